"""A model's answers to the examples that it was judged on, read from beside its head."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError

from app.core.errors import HeadstartError
from app.core.held_out import FILE, HeldOutAnswer
from app.core.promotion.pairs import labels_of
from app.http.pages import Page
from app.http.schemas import DatasetVersion
from app.infra.orm import ModelRow
from app.infra.storage import Storage

_ANSWER: dict[str, Any] = {
    "id": "ex_9f2c1f7a4b0d6e8c3a5b7d9f",
    "object": "model.evaluation.example",
    "example_id": "ex_9f2c1f7a4b0d6e8c3a5b7d9f",
    "expected": "RBC",
    "expected_probability": 0.11,
    "label": "WBC",
    "probability": 0.86,
    "predictions": [
        {"label": "WBC", "probability": 0.86},
        {"label": "RBC", "probability": 0.11},
    ],
}


class EvaluatedExample(HeldOutAnswer):
    """One example that the model was judged on, and what it answered: never one it learned from."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER]})

    id: str
    object: Literal["model.evaluation.example"] = "model.evaluation.example"


class EvaluatedExamples(Page[EvaluatedExample]):
    """Examples that a model was judged on, and the version of the dataset that they are of."""

    dataset: DatasetVersion | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Which answers: of examples of this label, that were called that, right or wrong ones."""

    expected: str | None = None
    label: str | None = None
    correct: bool | None = None

    def takes(self, answer: HeldOutAnswer) -> bool:
        """Whether this is one of them."""
        return (
            (self.expected is None or self.expected in labels_of(answer.truth))
            and (self.label is None or self.label in labels_of(answer.said))
            and self.correct in (None, answer.correct)
        )


def answers(storage: Storage, row: ModelRow) -> Iterator[HeldOutAnswer]:
    """Every answer of the model, in the order in which they were judged.

    Raises not_found for a model from before they were kept, or whose folds could judge nothing, and
    model_corrupt.
    """
    try:
        path = storage.fetch(f"{row.artifact}/{FILE}")
    except FileNotFoundError as error:
        raise HeadstartError("not_found", _why_none(row), param="model") from error
    with path.open("rb") as file:
        registered = row.card.get("held_out", {}).get("sha256")
        if registered not in (None, hashlib.file_digest(file, "sha256").hexdigest()):
            raise _corrupt()
        file.seek(0)
        for line in file:
            try:
                yield HeldOutAnswer.model_validate_json(line)
            except ValidationError as error:  # of a model from before their hash was kept
                raise _corrupt() from error


def _why_none(row: ModelRow) -> str:
    """Why a model has no answers to examples that it never learned from."""
    if not row.evaluation.get("estimable", True):
        why = row.evaluation.get("reason", "its examples are too few to be held out")
        return f"this model has no held-out answers ({why}): label more examples"
    return "this model was made before held-out answers were kept: train it again"


def _corrupt() -> HeadstartError:
    why = f"the stored model is damaged: {FILE} is not what was stored"
    return HeadstartError("model_corrupt", why, retry_after=60)


def page_of(
    storage: Storage,
    row: ModelRow,
    cell: Cell,
    *,
    dataset: DatasetVersion | None,
    after: str | None,
    limit: int,
) -> EvaluatedExamples:
    """The answers of `cell` behind the example `after`, `limit` at most."""
    rest = answers(storage, row)
    if after is not None and not any(one.example_id == after for one in rest):
        why = "after: the model was not judged on such an example"
        raise HeadstartError("invalid_request", why, param="after")
    found = list(islice((one for one in rest if cell.takes(one)), limit + 1))
    return EvaluatedExamples(
        data=[_shown(one) for one in found[:limit]],
        has_more=len(found) > limit,
        dataset=dataset,
    )


def _shown(answer: HeldOutAnswer) -> EvaluatedExample:
    return EvaluatedExample(id=answer.example_id, **answer.model_dump())
