"""What looking at a version answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.manifest import Modality, Split
from app.datasets.statistics import SplitCount


class Spread(BaseModel):
    """How a number is spread over the examples that were looked at."""

    min: float
    p5: float
    median: float
    p95: float
    max: float


class SizeCount(BaseModel):
    """How many pictures have these sides, in pixels as stored."""

    width: int
    height: int
    count: int


class Brightness(BaseModel):
    """Means of pictures, 0 black to 1 white, as a model sees them."""

    looked_at: int = Field(description="Pictures, spread evenly over the version.")
    spread: Spread | None
    by_class: dict[str, float] = Field(
        description="The mean of each class's: where they differ much, a model may learn the light."
    )


class ImageStatistics(BaseModel):
    """What a version's pictures are like, by their headers."""

    formats: dict[str, int]
    width: Spread | None
    height: Spread | None
    sizes: list[SizeCount] = Field(description="The most frequent ones.")
    brightness: Brightness | None = Field(
        description="Null while the version is processing, and where no predictor could be "
        "reached, which decodes pictures."
    )


class TextStatistics(BaseModel):
    """What a version's texts are like."""

    characters: Spread | None
    words: Spread | None
    scripts: dict[str, int] = Field(description="Texts by the script most of their letters are in.")


class NearDuplicates(BaseModel):
    """Examples that are almost the same, as the trainer saw them when it embedded the version."""

    looked_at: int
    groups: list[list[str]] = Field(description="Ids of examples, the largest groups first.")


class VersionStatistics(BaseModel):
    """What a version is like; excluded examples do not count."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "dataset.statistics",
                    "dataset": "ds_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "version": 1,
                    "modality": "image",
                    "num_examples": 32,
                    "num_excluded": 1,
                    "num_groups": 0,
                    "looked_at": 32,
                    "splits": [
                        {
                            "split": "train",
                            "num_examples": 32,
                            "classes": [
                                {"label": "crack", "count": 12},
                                {"label": "ok", "count": 20},
                            ],
                        }
                    ],
                }
            ]
        }
    )

    object: Literal["dataset.statistics"] = "dataset.statistics"
    dataset: str
    version: int
    modality: Modality
    num_examples: int
    num_excluded: int
    num_groups: int = Field(description="Distinct groups; an example without one counts for none.")
    splits: list[SplitCount]
    looked_at: int = Field(description="Examples whose content was read, spread evenly.")
    bytes: Spread | None = None
    image: ImageStatistics | None = None
    text: TextStatistics | None = None
    near_duplicates: NearDuplicates | None = Field(
        description="Null where nobody has looked for them."
    )


class ChangedExample(BaseModel):
    """An example that both versions have, with what it was and what it is."""

    id: str
    path: str
    before: dict[str, Any]
    after: dict[str, Any]


class KeptExample(BaseModel):
    """An example that only one of the versions has."""

    id: str
    path: str
    label: str
    split: Split


class OnlyInOne(BaseModel):
    """Examples that only one of the versions has."""

    count: int
    examples: list[KeptExample] = Field(description="The first thousand.")


class ChangedExamples(BaseModel):
    """Examples that both have, differently."""

    count: int
    examples: list[ChangedExample] = Field(description="The first thousand.")


class VersionDiff(BaseModel):
    """How a version differs from another of the same dataset; excluded examples are in neither."""

    object: Literal["dataset.diff"] = "dataset.diff"
    dataset_id: str
    from_version: int
    to_version: int
    unchanged: int
    added: OnlyInOne
    removed: OnlyInOne
    relabelled: ChangedExamples
    moved: ChangedExamples = Field(description="To another group or split, with the same label.")
