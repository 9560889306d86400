"""Drift: the first inputs become the reference, each window after them is tested once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.core.live.rule import PredictionLog
from app.infra.database import now
from app.infra.orm import DriftReferenceRow, LoggedPredictionRow
from app.infra.repositories import work
from app.infra.repositories.live import drift
from app.infra.repositories.live.drift import Watched
from worker.trainer import two_samples
from worker.trainer.attempt import Attempt
from worker.trainer.two_samples import Matrix, TwoSampleTest

STRANGEST = 5
_LEAST_LABELLED = 20
"""Inputs of each sample whose class is known, from which on a test within classes is made."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Inputs: their embeddings, what was answered, and the classes that feedback names."""

    embeddings: Matrix
    answers: Sequence[Mapping[str, Any]]
    labels: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.answers)


def run(attempt: Attempt) -> None:
    """Take the reference, or test the next window; then queue what is still to be tested."""
    payload = attempt.claim.payload
    of = Watched(
        organisation_id=attempt.claim.organisation_id,
        alias=payload["alias"],
        model_id=payload["model"],
    )
    rule, known, rows, labels, number = attempt.read(lambda session: _next(session, of))
    if rule is None or not rows:
        attempt.commit(lambda session: work.finish(session, attempt.claim))
        return
    sample = sample_of(rows, labels)
    result = None if known is None else window_result(reference_of(known), sample, number)
    if result is not None:
        result["strangest"] = [_named(rows[place], far) for place, far in result["strangest"]]

    def conclude(session: Session) -> None:
        work.finish(session, attempt.claim)
        if drift.alias_of(session, of) is None:
            return
        if result is None:
            session.add(_reference_row(session, of, rows, sample))
        else:
            drift.add_window(session, of, _window(rows, number, result))
        session.flush()
        drift.queue(session, of, rule)

    attempt.commit(conclude)


def _next(
    session: Session, of: Watched
) -> tuple[
    PredictionLog | None,
    DriftReferenceRow | None,
    list[LoggedPredictionRow],
    list[str | None],
    int,
]:
    """The rule, the reference if there is one, and the inputs that are to be it or a window."""
    alias = drift.alias_of(session, of)
    if alias is None or not alias.prediction_log:
        return None, None, [], [], 0
    rule = PredictionLog.model_validate(alias.prediction_log)
    known = drift.reference(session, of)
    wanted = rule.reference if known is None else rule.window
    rows = drift.following(session, of, drift.last_tested(session, of), wanted)
    latest = drift.windows(session, of, limit=1)
    number = latest[0].number + 1 if latest else 1
    if len(rows) < wanted:
        return rule, known, [], [], number
    return rule, known, rows, drift.labels(session, rows), number


def sample_of(rows: Sequence[LoggedPredictionRow], labels: Sequence[str | None]) -> Sample:
    """Logged inputs as a sample."""
    halves = b"".join(row.embedding or b"" for row in rows)
    return Sample(
        embeddings=_matrix(halves, len(rows)), answers=[row.answer for row in rows], labels=labels
    )


def reference_of(row: DriftReferenceRow) -> Sample:
    """The reference as a sample."""
    return Sample(
        embeddings=_matrix(row.embeddings, row.size), answers=row.answers, labels=row.labels
    )


def _matrix(halves: bytes, size: int) -> Matrix:
    return np.frombuffer(halves, "<f2").reshape(size, -1).astype(np.float64)


def window_result(reference: Sample, window: Sample, number: int) -> dict[str, Any]:
    """What is different in a window: of the inputs, of the answers, and within classes.

    `number` seeds the permutations, so that who tests it again finds the same.
    """
    apart = two_samples.distances(np.vstack([reference.embeddings, window.embeddings]))
    tests = _tests(reference, window, apart, number)
    p, drifted = two_samples.judged(list(tests.values()))
    far = two_samples.strangeness(apart, len(reference))
    order = np.argsort(-far)[:STRANGEST]
    return {
        "drifted": drifted,
        "p": p,
        **{name: test.told() for name, test in tests.items()},
        "given_class": _given_class(reference, window, apart, number),
        "class_mix": _class_mix(reference, window),
        "strangest": [(int(place), float(far[place])) for place in order],
    }


def _tests(
    reference: Sample, window: Sample, apart: Matrix, number: int
) -> dict[str, TwoSampleTest]:
    """What a window is told by: of inputs and answers the distributions and the means."""
    sizes = (len(reference), len(window))
    rows, scores = np.vstack([reference.embeddings, window.embeddings]), _scores(reference, window)
    return {
        "inputs": two_samples.compare(apart, sizes, number),
        "outputs": two_samples.compare(two_samples.distances(scores), sizes, number),
        "inputs_mean": two_samples.compare(two_samples.whitened(rows), sizes, number),
        "outputs_mean": two_samples.compare_means(scores, sizes, number),
    }


def _scores(reference: Sample, window: Sample) -> Matrix:
    """Every answer's probabilities, a column a class."""
    answers = [*reference.answers, *window.answers]
    classes = sorted({name for answer in answers for name in answer["scores"]})
    return np.array(
        [[float(answer["scores"].get(name, 0.0)) for name in classes] for answer in answers]
    )


def _given_class(
    reference: Sample, window: Sample, apart: Matrix, number: int
) -> dict[str, Any] | None:
    """Whether inputs of the same class differ, where feedback knows the class of enough; None where
    it does not: then another mix of the same classes is drift, too.
    """
    labels = [*reference.labels, *window.labels]
    first = len(reference)
    shared = set(reference.labels) & set(window.labels) - {None}
    places = np.array([at for at, label in enumerate(labels) if label in shared], int)
    sizes = (int((places < first).sum()), int((places >= first).sum()))
    if min(sizes) < _LEAST_LABELLED:
        return None
    strata = [labels[at] for at in places]
    found = two_samples.compare(apart[np.ix_(places, places)], sizes, number, strata)
    return {**found.told(), "labelled": list(sizes)}


def _class_mix(reference: Sample, window: Sample) -> list[dict[str, Any]]:
    """What part of the answers each label was."""
    shares = [
        Counter(answer["label"] for answer in sample.answers) for sample in (reference, window)
    ]
    return [
        {
            "label": label,
            "reference": shares[0][label] / len(reference),
            "window": shares[1][label] / len(window),
        }
        for label in sorted(shares[0] | shares[1])
    ]


def _named(row: LoggedPredictionRow, far: float) -> dict[str, Any]:
    return {
        "id": row.id,
        "prediction_id": row.prediction_id,
        "index": row.place,
        "label": row.answer["label"],
        "distance": round(far, 5),
    }


def _reference_row(
    session: Session, of: Watched, rows: Sequence[LoggedPredictionRow], sample: Sample
) -> DriftReferenceRow:
    return DriftReferenceRow(
        organisation_id=of.organisation_id,
        alias=of.alias,
        model_id=of.model_id,
        size=len(rows),
        embeddings=b"".join(row.embedding or b"" for row in rows),
        answers=[row.answer for row in rows],
        labels=list(sample.labels),
        first_at=rows[0].created_at,
        last_at=rows[-1].created_at,
        last_id=rows[-1].id,
        created_at=now(session),
    )


def _window(
    rows: Sequence[LoggedPredictionRow], number: int, result: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "number": number,
        "last_id": rows[-1].id,
        "size": len(rows),
        "drifted": bool(result["drifted"]),
        "result": {name: value for name, value in result.items() if name != "drifted"},
        "first_at": rows[0].created_at,
        "last_at": rows[-1].created_at,
    }
