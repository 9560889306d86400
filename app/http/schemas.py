"""Shapes that several rooms answer with."""

from __future__ import annotations

from collections.abc import Sequence

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
