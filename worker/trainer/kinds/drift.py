"""Drift: the first inputs become the reference, each window after them is tested once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.core.live.drifting import LEAST_LABELLED, LONGER
from app.core.live.rule import CurrentLog
from app.infra.database import now
from app.infra.orm import DriftReferenceRow, DriftWindowRow, LoggedPredictionRow
from app.infra.repositories import work
from app.infra.repositories.live import drift
from app.infra.repositories.live import log as live_log
from app.infra.repositories.live.drift import Watched
from worker.trainer.attempt import Attempt
from worker.trainer.context import MadeWayError
from worker.trainer.two_samples import Matrix, Pause
from worker.trainer.windows import Sample, labelled_sizes, told_apart, window_result

_LOOKED_BACK = 8
"""Windows of which labels that come late are heeded."""
_GROWN = 2.0
"""Labels so many times as telling as those before are worth another test."""


_Told = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Next:
    """What is to be tested: the first inputs where there is no reference, or a window after it."""

    after: str
    """The row that was looked at last."""
    rows: Sequence[LoggedPredictionRow]
    labels: Sequence[str | None]
    number: int
    before: Sequence[Sequence[Mapping[str, Any]]]
    """What was answered in the windows that are looked at together with it."""


@dataclass(frozen=True, kw_only=True)
class _Labelled:
    """A window that was tested before more of its inputs, or of the first ones, had a label."""

    id: str
    number: int
    drifted: bool
    sample: Sample


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What there is to do for an alias's log."""

    log: CurrentLog
    known: Sample | None
    """The reference, with the labels that there are by now."""
    next: _Next | None
    late: Sequence[_Labelled]


def run(attempt: Attempt) -> None:
    """Take the reference, or test the next window, and heed labels that have come since; then queue
    what is still to be tested.
    """
    payload = attempt.claim.payload
    of = Watched(
        organisation_id=attempt.claim.organisation_id,
        alias=payload["alias"],
        model_id=payload["model"],
    )
    found = attempt.read(lambda session: _look(session, of))
    if found is None:
        attempt.commit(lambda session: work.finish(session, attempt.claim))
        return
    pause = _pause(attempt)
    _heed_late(attempt, of, found, pause)
    sample = None if found.next is None else sample_of(found.next.rows, found.next.labels)
    result = None if sample is None else _result(found, sample, pause)

    def conclude(session: Session) -> None:
        work.finish(session, attempt.claim)
        log = _current(session, of, alone=True)
        if log is None:
            return
        if log.id == found.log.id and found.next is not None and sample is not None:
            _note_labels(session, of, found)
            _write(session, of, found.next, sample, result)
        session.flush()
        drift.queue(session, of, log.rule)

    attempt.commit(conclude)


def _pause(attempt: Attempt) -> Pause:
    """What ends a test that others' work is to pass, or whose claim is lost: of the largest windows
    and references one takes seconds. It is made again as a whole.
    """

    def pause() -> None:
        attempt.guard()
        if attempt.is_passed():
            raise MadeWayError

    return pause


def _heed_late(attempt: Attempt, of: Watched, found: _Look, pause: Pause) -> None:
    """Test what has labels by now window by window, each kept before the next is tested."""
    for one in found.late:
        told = _told_late(found, one, pause)

        def write(session: Session, of_window: str = one.id, told: _Told = told) -> None:
            log = _current(session, of, alone=True)
            if log is not None and log.id == found.log.id:
                _relabel(session, of, found, of_window, told)

        attempt.commit(write)


def _result(found: _Look, sample: Sample, pause: Pause) -> dict[str, Any] | None:
    """What a window shows; None of what becomes the reference."""
    if found.known is None or found.next is None:
        return None
    asked = found.next
    result = window_result(found.known, sample, asked.number, asked.before, pause=pause)
    strangest = [_named(found.next.rows[place], far) for place, far in result["strangest"]]
    return {**result, "strangest": strangest}


def _told_late(found: _Look, one: _Labelled, pause: Pause) -> _Told:
    assert found.known is not None
    return told_apart(found.known, one.sample, one.number, drifted=one.drifted, pause=pause)


def _relabel(session: Session, of: Watched, found: _Look, window_id: str, told: _Told) -> None:
    """What labels that came later say of the reference and of a window that is there still."""
    _note_labels(session, of, found)
    row = drift.window(session, of, window_id)
    if row is not None:
        row.result = {**row.result, **told}


def _note_labels(session: Session, of: Watched, found: _Look) -> None:
    first = drift.reference(session, of)
    if first is not None and found.known is not None:
        first.labels = list(found.known.labels)


def _write(
    session: Session, of: Watched, found: _Next, sample: Sample, result: Mapping[str, Any] | None
) -> None:
    """What was found. The log has to be the one that was read, and nobody else to have looked: what
    was deleted with a log that ended meanwhile must not come back by this.
    """
    if drift.last_tested(session, of) != found.after:
        return
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


def _look(session: Session, of: Watched) -> _Look | None:
    """None where the log is off, or there is nothing to do."""
    log = _current(session, of)
    if log is None:
        return None
    first = drift.reference(session, of)
    known = None if first is None else reference_of(first, drift.first_labels(session, of, first))
    late = [] if first is None or known is None else list(_late(session, of, first, known))
    found = _next(session, of, log, first)
    if found is None and not late:
        return None
    return _Look(log=log, known=known, next=found, late=late)


def _next(
    session: Session, of: Watched, log: CurrentLog, first: DriftReferenceRow | None
) -> _Next | None:
    """None where there are too few inputs yet."""
    after = drift.last_tested(session, of)
    wanted = log.rule.reference if first is None else log.rule.window
    rows = drift.following(session, of, after, wanted)
    if len(rows) < wanted:
        return None
    latest = drift.windows(session, of, limit=LONGER)
    number = latest[0].number + 1 if latest else 1
    before = [] if number % LONGER else list(_answered(session, of, first, latest))
    return _Next(
        after=after,
        rows=rows,
        labels=drift.labels(session, rows),
        number=number,
        before=before,
    )


def _spans(
    first: DriftReferenceRow, latest: Sequence[DriftWindowRow]
) -> Iterator[tuple[DriftWindowRow, str]]:
    """Windows, newest first, each with the log's row that it begins after."""
    for place, row in enumerate(latest):
        if place + 1 < len(latest):
            yield row, latest[place + 1].last_id
        elif row.number == 1:
            yield row, first.last_id


def _answered(
    session: Session,
    of: Watched,
    first: DriftReferenceRow | None,
    latest: Sequence[DriftWindowRow],
) -> Iterator[list[Mapping[str, Any]]]:
    """What was answered in the windows just before; nothing of one whose inputs the log has not
    kept so long.
    """
    if first is None:
        return
    for row, after in list(_spans(first, latest))[: LONGER - 1]:
        rows = drift.within(session, of, after, row)
        if len(rows) == row.size:
            yield [one.answer for one in rows]


def _late(
    session: Session, of: Watched, first: DriftReferenceRow, known: Sample
) -> Iterator[_Labelled]:
    """Windows of which labels tell much more than they did when they were tested last."""
    for row, after in _spans(first, drift.windows(session, of, limit=_LOOKED_BACK + 1)):
        rows = drift.within(session, of, after, row)
        labels = drift.labels(session, rows)
        sizes = labelled_sizes(known.labels, labels)
        before = (row.result.get("given_class") or {"labelled": [0, 0]})["labelled"]
        if min(sizes) >= LEAST_LABELLED and _telling(sizes) >= _GROWN * _telling(before):
            sample = sample_of(rows, labels)
            yield _Labelled(id=row.id, number=row.number, drifted=row.drifted, sample=sample)


def _telling(sizes: Sequence[int]) -> float:
    """How much two samples of these sizes tell: the variance of a difference of means, inverse."""
    return sizes[0] * sizes[1] / max(1, sum(sizes))


def sample_of(rows: Sequence[LoggedPredictionRow], labels: Sequence[str | None]) -> Sample:
    """Logged inputs as a sample."""
    halves = b"".join(row.embedding or b"" for row in rows)
    return Sample(
        embeddings=_matrix(halves, len(rows)), answers=[row.answer for row in rows], labels=labels
    )


def reference_of(row: DriftReferenceRow, labels: Sequence[str | None]) -> Sample:
    """The reference as a sample."""
    return Sample(embeddings=_matrix(row.embeddings, row.size), answers=row.answers, labels=labels)


def _matrix(halves: bytes, size: int) -> Matrix:
    return np.frombuffer(halves, "<f2").reshape(size, -1).astype(np.float64)


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
