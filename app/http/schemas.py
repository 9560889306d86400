"""Shapes that several rooms answer with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.backbones import member_names
from app.core.modalities import pictured


class Interval(BaseModel):
    """A figure with its 95% interval; nulls where it cannot be estimated."""

    model_config = ConfigDict(extra="allow")

    value: float | None
    low: float | None
    high: float | None


class DeletedPart(BaseModel):
    """What a deletion is of."""

    object: str = Field(examples=["dataset"])
    id: str = Field(examples=["ds_01jd3v6s0q8m4f2k9x7c5b1n3a"])


class Deletion(BaseModel):
    """How far the removal of what was deleted is; nothing of it can be read any more.

    Counts are of `versions`, `examples`, `models`, `logged_predictions`, `feedback` and the like
    as rows; `contents` are distinct inputs, `embeddings` their vectors, `files` those in storage.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "del_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "object": "deletion",
                    "subject": {"object": "dataset", "id": "ds_01jd3v6s0q8m4f2k9x7c5b1n3a"},
                    "status": "done",
                    "created_at": 1764000000,
                    "finished_at": 1764000000,
                    "copies_gone_at": 1764007200,
                    "removed": {"versions": 1, "contents": 90, "embeddings": 90, "files": 3},
                    "kept": {"contents": 10, "files": 0},
                    "remaining": {},
                }
            ]
        }
    )

    id: str
    object: Literal["deletion"] = "deletion"
    subject: DeletedPart
    status: Literal["pending", "done"] = Field(
        description="`done`: no row and no stored file has any of it."
    )
    created_at: int
    finished_at: int | None = Field(description="When it was done.")
    copies_gone_at: int | None = Field(
        description="By when what nobody can reach any more is gone from memory and from copies "
        "that other hosts have fetched, too. Backups have what they had."
    )
    removed: dict[str, int] = Field(description="What is gone so far.")
    kept: dict[str, int] = Field(
        description="What something else of the organisation has, too, and so stays."
    )
    remaining: dict[str, int] = Field(description="What is still to go; empty once it is done.")


class DatasetVersion(BaseModel):
    """An immutable version of a dataset; `version` is null once the dataset is gone."""

    id: str
    version: int | None


class PredictionCost(BaseModel):
    """What one prediction takes: its input goes through each backbone once for each view."""

    backbones: list[str] = Field(examples=[["efficientnet_lite0"]])
    views: list[str] = Field(examples=[["squish"]])
    passes: int = Field(ge=1, examples=[1])

    @classmethod
    def of(cls, backbone: str, views: Sequence[str]) -> PredictionCost:
        """Of a model on a backbone, or on several `a+b`, that reads `views`."""
        names = list(member_names(backbone))
        pictures = list(dict.fromkeys(map(pictured, views)))
        return cls(backbones=names, views=pictures, passes=len(names) * len(pictures))


class CalibratedThreshold(BaseModel):
    """How often `unknown` is said of inputs that are known."""

    stated: float = Field(description="The false-alarm rate that the model states.")
    before: float = Field(
        description="Share of these inputs that are unknown to the model as it was made, whatever "
        "has been calibrated since."
    )
    plus_minus: float = Field(
        description="How far the rate on further inputs of this source may be from the stated one:"
        " 1.96 standard errors of so many inputs."
    )


class ShiftedAccuracy(BaseModel):
    """How often the model is right on inputs of a new source, told without their labels."""

    estimate: Interval | None = Field(description="Null where nothing tells; see `reason`.")
    method: str = Field(description="What it is made of; the estimate holds both parts.")
    evaluated: Interval | None = Field(description="The evaluation's own accuracy, beside it.")
    reason: str | None = Field(description="Why there is no estimate.")


class Calibration(BaseModel):
    """What unlabelled inputs of a new source have set anew in a model."""

    object: Literal["model.calibration"] = "model.calibration"
    model: str
    calibrated: bool = Field(description="Whether thresholds were set; see `warning` where not.")
    num_inputs: int = Field(description="Inputs that it was made of, all different.")
    copies: int = Field(0, description="Inputs that were the same as others, and not counted.")
    failed: int = Field(description="Inputs that could not be read, and were left out.")
    unknown: CalibratedThreshold
    accuracy: ShiftedAccuracy
    warning: str | None = Field(description="What unlabelled inputs cannot tell here.")
    created_at: int
