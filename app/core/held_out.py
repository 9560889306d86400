"""A model's answers to the examples that it was judged on: a file beside its head, one a line."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from app.core.promotion.pairs import Said, Verdicted

FILE = "held_out.jsonl"


class ClassShare(BaseModel):
    """A class, and how probable it was found."""

    label: str
    probability: float


Several = Annotated[list[str] | None, Field(None, exclude_if=lambda told: told is None)]
"""Of a model of several labels; others have no such member."""


class HeldOutAnswer(BaseModel):
    """What a model answered to one example that it, or the fit that judged, never learned from.

    Of several labels `expected` names all with commas between, `expected_probability` is of all of
    them and no other, as if each were for itself, and `label` is the most probable.
    """

    example_id: str
    expected: str
    expected_labels: Several
    expected_probability: float
    label: str
    probability: float
    labels: Several
    predictions: list[ClassShare]

    @property
    def truth(self) -> Said:
        """The label that is right; of several, all of them."""
        return self.expected if self.expected_labels is None else frozenset(self.expected_labels)

    @property
    def said(self) -> Said:
        """The label that was answered; of several, all that were."""
        return self.label if self.labels is None else frozenset(self.labels)

    @property
    def correct(self) -> bool:
        """Whether just that was answered that is right."""
        return self.said == self.truth

    @property
    def verdicted(self) -> Verdicted:
        """As a gate reads it."""
        given = {one.label: one.probability for one in self.predictions}
        return Verdicted(self.said, self.expected_probability, given)
