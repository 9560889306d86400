"""Shapes that several rooms answer with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.backbones import member_names


class Interval(BaseModel):
    """A figure with its 95% interval; nulls where it cannot be estimated."""

    model_config = ConfigDict(extra="allow")

    value: float | None
    low: float | None
    high: float | None


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
        return cls(backbones=names, views=list(views), passes=len(names) * len(views))


class CalibratedThreshold(BaseModel):
    """How often `unknown` is said of inputs that are known."""

    stated: float = Field(description="The false-alarm rate that the model states.")
    before: float = Field(description="Share of these inputs that were unknown before.")
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
    num_inputs: int = Field(description="Inputs that it was made of.")
    failed: int = Field(description="Inputs that could not be read, and were left out.")
    unknown: CalibratedThreshold
    accuracy: ShiftedAccuracy
    warning: str | None = Field(description="What unlabelled inputs cannot tell here.")
    created_at: int
