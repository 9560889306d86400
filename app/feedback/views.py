"""Rows of models in use as callers see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.core.class_figures import wilson
from app.core.held_out import ClassShare
from app.core.live.quality import abstained, said_right
from app.feedback.schemas import (
    ClassRecall,
    Feedback,
    FeedbackApplied,
    LiveAccuracy,
    LoggedInput,
    PredictedAnswer,
)
from app.http.schemas import Interval
from app.infra.orm import FeedbackRow, LoggedPredictionRow

_SHOWN = 10


def told_of(row: FeedbackRow) -> dict[str, Any]:
    """What the feedback says."""
    return {name: getattr(row, name) for name in ("label", "labels", "correct", "unknown")}


def feedback_of(row: FeedbackRow) -> Feedback:
    """One as its caller sees it."""
    return Feedback(
        id=row.id,
        model=row.model_id,
        alias=row.alias or None,
        prediction_id=row.prediction_id,
        index=row.place,
        predicted=predicted_of(row.answer),
        label=row.label,
        labels=row.labels,
        correct=said_right(row.answer, told_of(row)),
        unknown=row.unknown,
        audited=row.audited,
        content=row.content_key is not None,
        applied=FeedbackApplied.model_validate(row.applied) if row.applied else None,
        notes=_notes(row),
        source=row.source,
        created_by=row.actor,
        created_at=int(row.created_at),
        updated_at=int(row.updated_at),
    )


def _notes(row: FeedbackRow) -> list[str]:
    said = [row.label] if row.label is not None else row.labels or []
    known = row.answer["scores"]
    notes = [
        f"the model has no class {label!r}: it will be a new one" for label in said
        if label not in known
    ]  # fmt: skip
    if said and row.content_key is None:
        notes.append("the input is not kept, so no dataset can have it: send the input itself")
    return notes


def predicted_of(answer: Mapping[str, Any]) -> PredictedAnswer:
    """What the model said."""
    return PredictedAnswer.model_validate({k: v for k, v in answer.items() if k != "scores"})


def _most_probable(scores: Mapping[str, float]) -> list[ClassShare]:
    """The classes that come first, with their probabilities."""
    first = sorted(scores.items(), key=lambda one: -one[1])[:_SHOWN]
    return [ClassShare(label=label, probability=probability) for label, probability in first]


def logged_of(row: LoggedPredictionRow, said: FeedbackRow | None = None) -> dict[str, Any]:
    """A logged input's fields."""
    where = f"/v1/models/{row.model_id}/logged/{row.id}/content"
    found = LoggedInput(
        id=row.id,
        model=row.model_id,
        prediction_id=row.prediction_id,
        index=row.place,
        predicted=predicted_of(row.answer),
        predictions=_most_probable(row.answer["scores"]),
        content=where if row.content_key is not None else None,
        feedback=said.id if said is not None else None,
        created_at=int(row.created_at),
    )
    return found.model_dump()


def interval(hits: int, count: int, *, alone: float | None = None) -> Interval:
    """A share with its 95% interval (Wilson), as wide as `alone` of them tell; nulls of none."""
    if not count:
        return Interval(value=None, low=None, high=None)
    tell = count if alone is None else alone
    low, high = wilson(hits / count * tell, tell)
    return Interval(value=hits / count, low=low, high=high)


def accuracy_of(
    rows: Sequence[FeedbackRow], *, model: str, alias: str, volunteered: int
) -> LiveAccuracy:
    """How often the model was right, by audited feedback."""
    said = [(row, said_right(row.answer, told_of(row))) for row in rows]
    judged = [(row, right) for row, right in said if right is not None]
    right_ones = sum(right for _, right in judged)
    unanswered = sum(abstained(row.answer, told_of(row)) for row, _ in judged)
    return LiveAccuracy(
        model=model,
        alias=alias or None,
        accuracy=interval(right_ones, len(judged), alone=_alone(judged)),
        audited=len(judged),
        correct=right_ones,
        abstained=unanswered,
        per_class=_recalls(judged),
        volunteered=volunteered,
        basis=_basis(len(judged), unanswered, volunteered),
    )


def _alone(judged: Sequence[tuple[FeedbackRow, bool]]) -> float:
    """How many inputs say something of their own: a content again says nothing (Kish 1965)."""
    times = Counter(row.sha256 or row.id for row, _ in judged)
    squares = sum(count**2 for count in times.values())
    return len(judged) ** 2 / squares if squares else 0.0


def _recalls(judged: Sequence[tuple[FeedbackRow, bool]]) -> list[ClassRecall]:
    """Of each right label, in their order; of several, whether it was among what was said."""
    hits, counts = Counter[str](), Counter[str]()
    for row, right in judged:
        found = row.answer.get("labels", [row.label] if right else [])
        for label in [row.label] if row.labels is None else row.labels:
            if label is not None:
                counts[label] += 1
                hits[label] += label in found
    return [
        ClassRecall(label=label, count=count, recall=interval(hits[label], count))
        for label, count in sorted(counts.items())
    ]


def _basis(audited: int, unanswered: int, volunteered: int) -> str:
    aside = f"{volunteered} volunteered ones are not counted: people report errors"
    if not audited:
        return f"no audited feedback yet: label what GET …/audit draws; {aside}"
    told = f"{audited} audited inputs, drawn at random as their callers say"
    if unanswered:
        told += f", of which {unanswered} of its classes were answered unknown, which is not right"
    return f"{told}; {aside}"
