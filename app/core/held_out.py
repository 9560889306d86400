"""A model's answers to the examples that it was judged on: a file beside its head, one a line."""

from __future__ import annotations

from pydantic import BaseModel

FILE = "held_out.jsonl"


class ClassShare(BaseModel):
    """A class, and how probable it was found."""

    label: str
    probability: float


class HeldOutAnswer(BaseModel):
    """What a model answered to one example that it, or the fit that judged, never learned from."""

    example_id: str
    expected: str
    expected_probability: float
    label: str
    probability: float
    predictions: list[ClassShare]
