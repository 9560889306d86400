"""A batch's inputs: examples like a dataset's, but a bad one stays in its place, with its fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field

from app.core.manifest import Example, Problem

MOST_PARTS = 20
"""Parts of a batch that are told of."""


class Fault(BaseModel):
    """Why an input was not taken in; it becomes that input's error."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class LeftOffPart(BaseModel):
    """Inputs `start` to `stop - 1`, which were answered one by one, and why."""

    start: int
    stop: int
    code: str = Field(description="`too_few_inputs`, `enough_examples`, `unbalanced` or `texts`.")
    message: str


class Smoothing(BaseModel):
    """How the inputs of a batch with `use_unlabelled` were answered."""

    smoothed: int = Field(0, description="Inputs answered with the help of the others.")
    one_by_one: int = Field(0, description="Inputs answered as they would be alone.")
    left_off: list[LeftOffPart] = Field(
        [], description="The parts that were answered one by one, and why; the first of many."
    )

    def plus(self, other: Smoothing) -> Smoothing:
        """Both together."""
        parts = sorted([*self.left_off, *other.left_off], key=lambda part: part.start)
        return Smoothing(
            smoothed=self.smoothed + other.smoothed,
            one_by_one=self.one_by_one + other.one_by_one,
            left_off=parts[:MOST_PARTS],
        )


class BatchInput(Example):
    """One line of a batch's manifest; a dataset's manifest can be read as such lines too.

    `label` is empty where the input has none.
    """

    fault: Fault | None = None

    @property
    def labelled(self) -> bool:
        """Whether it is known what it is."""
        return bool(self.label) or self.labels is not None


def inputs(examples: Iterable[Example], problems: Iterable[Problem]) -> Iterator[BatchInput]:
    """The examples of an unlabelled upload, each with the problem that excludes it, if any."""
    faults: Mapping[str | None, Fault] = {
        problem.example_id: Fault(code=problem.code, message=problem.message)
        for problem in problems
        if problem.excluded and problem.example_id is not None
    }
    for example in examples:
        yield BatchInput.model_construct(**dict(example), fault=faults.get(example.id))


def load(lines: Iterable[bytes]) -> list[BatchInput]:
    """The inputs on these lines of a manifest, in order."""
    return [BatchInput.model_validate_json(line) for line in lines]
