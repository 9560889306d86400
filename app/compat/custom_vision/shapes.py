"""Custom Vision's shapes, as its SDKs read and write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MOST_IMAGES = 64
"""Of a batch, as Custom Vision has it."""


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as its clients read a time."""
    return datetime.fromtimestamp(seconds, UTC)


class Camel(BaseModel):
    """Members in camel case, as .NET has them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class VisionDomain(Camel):
    """What pictures are of, which nothing here depends on."""

    id: str
    name: str
    type: Literal["Classification"] = "Classification"
    exportable: bool = True
    enabled: bool = True
    exportable_platforms: list[str] = ["ONNX", "OpenVino"]


class VisionSettings(Camel):
    """How a project classifies."""

    domain_id: str
    classification_type: str = Field(examples=["Multiclass"])
    target_export_platforms: list[str] = []
    use_negative_set: bool = False


class VisionProject(Camel):
    """A dataset and a namespace of published names."""

    id: str
    name: str
    description: str
    settings: VisionSettings
    created: datetime
    last_modified: datetime
    thumbnail_uri: str | None = None
    dr_mode_enabled: bool = False
    status: Literal["Succeeded"] = "Succeeded"


class ProjectChange(Camel):
    """What of a project may change; the rest of what is sent back is not read."""

    name: str | None = Field(None, min_length=1, max_length=200)
    description: str | None = Field(None, max_length=1000)


class VisionTag(Camel):
    """A label."""

    id: str
    name: str
    description: str
    type: Literal["Regular"] = "Regular"
    image_count: int


class ImageTag(Camel):
    """The label of an image."""

    tag_id: str
    tag_name: str
    created: datetime


class VisionImage(Camel):
    """An example."""

    id: str
    created: datetime
    width: int
    height: int
    resized_image_uri: str
    thumbnail_uri: str
    original_image_uri: str = Field(description="It wants the key, as every address here.")
    tags: list[ImageTag]
    regions: list[dict[str, Any]] = []
    metadata: dict[str, str] = {}


ImageStatus = Literal[
    "OK", "OKDuplicate", "ErrorSource", "ErrorImageFormat", "ErrorImageSize", "ErrorUnknown"
]


class ImageCreated(Camel):
    """What became of one image."""

    source_url: str
    status: ImageStatus
    image: VisionImage | None = None


class ImagesCreated(Camel):
    """What became of a batch."""

    is_batch_successful: bool
    images: list[ImageCreated]


class ImageFile(Camel):
    """One image of a batch."""

    name: str | None = Field(None, max_length=200)
    contents: str = Field(description="Base64.")
    tag_ids: list[str] | None = None
    regions: Annotated[list[Any], Field(max_length=0)] | None = None


class ImageFiles(Camel):
    """A batch of images, with the tag of those that have none of their own."""

    images: Annotated[list[ImageFile], Field(min_length=1, max_length=MOST_IMAGES)]
    tag_ids: list[str] | None = None
    metadata: dict[str, str] | None = None


class ImageAddress(Camel):
    """One image of a batch, to be fetched."""

    url: str = Field(max_length=2000)
    tag_ids: list[str] | None = None
    regions: Annotated[list[Any], Field(max_length=0)] | None = None


class ImageAddresses(Camel):
    """A batch of addresses, with the tag of those that have none of their own."""

    images: Annotated[list[ImageAddress], Field(min_length=1, max_length=MOST_IMAGES)]
    tag_ids: list[str] | None = None
    metadata: dict[str, str] | None = None


class ImageTagging(Camel):
    """An image and the tag that it is to have."""

    image_id: str
    tag_id: str


class ImageTaggings(Camel):
    """Images and their new tags."""

    tags: Annotated[list[ImageTagging], Field(min_length=1, max_length=MOST_IMAGES)]


class ImageTagged(Camel):
    """Which images have a new tag, and which had it."""

    created: list[ImageTagging]
    duplicated: list[ImageTagging]
    exceeded: list[ImageTagging] = []


class VisionIteration(Camel):
    """A job and its model."""

    id: str
    name: str
    status: Literal["Training", "Completed", "Failed"]
    created: datetime
    last_modified: datetime
    trained_at: datetime | None
    project_id: str
    exportable: bool = True
    exportable_to: list[str] = ["ONNX", "OpenVino"]
    domain_id: str
    classification_type: str = Field(examples=["Multiclass"])
    training_type: Literal["Regular"] = "Regular"
    reserved_budget_in_hours: int = 0
    training_time_in_minutes: int
    publish_name: str | None
    original_publish_resource_id: str | None = None
    training_error_details: str | None


class IterationChange(Camel):
    """What of an iteration may change; the rest of what is sent back is not read."""

    name: str = Field(min_length=1, max_length=200)


class TagPerformance(Camel):
    """How well one tag is told."""

    id: str
    name: str
    precision: float
    precision_std_deviation: float = 0.0
    recall: float
    recall_std_deviation: float = 0.0
    average_precision: float | None = Field(None, description="Of several tags an image.")


class IterationPerformance(Camel):
    """How well the iteration tells tags apart: the tags' means."""

    per_tag_performance: list[TagPerformance]
    precision: float
    precision_std_deviation: float = 0.0
    recall: float
    recall_std_deviation: float = 0.0
    average_precision: float | None = None


class VisionExport(Camel):
    """A network to take away."""

    platform: str
    status: Literal["Exporting", "Done", "Failed"]
    download_uri: str | None = Field(description="It wants the key, as every address here.")
    flavor: str | None = None
    newer_version_available: bool = False


class VisionPrediction(Camel):
    """One tag's probability."""

    probability: float
    tag_id: str
    tag_name: str
    tag_type: Literal["Regular"] = "Regular"


class ImagePrediction(Camel):
    """Every tag's probability, most probable first."""

    id: str
    project: str
    iteration: str
    created: datetime
    predictions: list[VisionPrediction]


class ImageUrl(Camel):
    """Where an image is."""

    url: str = Field(max_length=2000, examples=["https://example.com/casting.jpg"])
