"""Drift: the first inputs become the reference, each window after them is tested once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.core.live.rule import CurrentLog
from app.infra.database import now
from app.infra.orm import DriftReferenceRow, LoggedPredictionRow
from app.infra.repositories import work
from app.infra.repositories.live import drift
from app.infra.repositories.live import log as live_log
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


@dataclass(frozen=True, kw_only=True)
class _Next:
    """What is to be looked at: the first inputs where none are `known`, or a window after them."""

    log: CurrentLog
    known: DriftReferenceRow | None
    after: str
    """The row that was looked at last."""
    rows: Sequence[LoggedPredictionRow]
    labels: Sequence[str | None]
    number: int


def run(attempt: Attempt) -> None:
    """Take the reference, or test the next window; then queue what is still to be tested."""
    payload = attempt.claim.payload
    of = Watched(
        organisation_id=attempt.claim.organisation_id,
        alias=payload["alias"],
        model_id=payload["model"],
    )
    found = attempt.read(lambda session: _next(session, of))
    if found is None:
        attempt.commit(lambda session: work.finish(session, attempt.claim))
        return
    sample = sample_of(found.rows, found.labels)
    result = None if found.known is None else _result(found, sample)

    def conclude(session: Session) -> None:
        work.finish(session, attempt.claim)
        log = _current(session, of, alone=True)
        if log is None:
            return
        if log.id == found.log.id and drift.last_tested(session, of) == found.after:
            _write(session, of, found, sample, result)
        session.flush()
        drift.queue(session, of, log.rule)

    attempt.commit(conclude)


def _result(found: _Next, sample: Sample) -> dict[str, Any]:
    assert found.known is not None
    result = window_result(reference_of(found.known), sample, found.number)
    strangest = [_named(found.rows[place], far) for place, far in result["strangest"]]
    return {**result, "strangest": strangest}


def _write(
    session: Session, of: Watched, found: _Next, sample: Sample, result: Mapping[str, Any] | None
) -> None:
    """What was found. The log has to be the one that was read, and nobody else to have looked: what
    was deleted with a log that ended meanwhile must not come back by this.
    """
    if result is None:
        session.add(_reference_row(session, of, found.rows, sample))
    else:
        drift.add_window(session, of, _window(found.rows, found.number, result))


def _current(session: Session, of: Watched, *, alone: bool = False) -> CurrentLog | None:
    return live_log.current(
        session,
        organisation_id=of.organisation_id,
        alias=of.alias,
        model_id=of.model_id,
        alone=alone,
    )


def _next(session: Session, of: Watched) -> _Next | None:
    """None where the log is off, or has too few inputs yet."""
    log = _current(session, of)
    if log is None:
        return None
    known, after = drift.reference(session, of), drift.last_tested(session, of)
    wanted = log.rule.reference if known is None else log.rule.window
    rows = drift.following(session, of, after, wanted)
    if len(rows) < wanted:
        return None
    latest = drift.windows(session, of, limit=1)
    return _Next(
        log=log,
        known=known,
        after=after,
        rows=rows,
        labels=drift.labels(session, rows),
        number=latest[0].number + 1 if latest else 1,
    )


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
