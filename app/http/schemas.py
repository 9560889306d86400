"""Shapes that several rooms answer with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
