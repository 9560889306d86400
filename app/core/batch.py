"""A batch's inputs: examples like a dataset's, but a bad one stays in its place, with its fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from app.core.manifest import Example, Problem


class Fault(BaseModel):
    """Why an input was not taken in; it becomes that input's error."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


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
