"""An erasure's turn: who appends to its dataset all the time must not keep it out.

It reads and writes anew without a lock, and begins again where the dataset has changed by then; and
it waits while a version is in the making. From then on it has its turn: new versions wait, for
as long as the next try may take and no longer, so that a process that is killed meanwhile keeps
nobody waiting for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.http.dependencies import Services, written
from app.infra.database import now, reading
from app.infra.orm import DatasetRow
from app.infra.repositories import datasets, erasing

_LEAST_SECONDS, _MOST_SECONDS = 30.0, 600.0
_TIMES = 3.0
"""Of what the try before took."""
_REFUSED_SECONDS = 120.0
"""So long it keeps its turn after it was refused for a version in the making: whoever asks again
finds no further one."""
_MAKING_SECONDS = 20.0
"""So long it waits for the versions that are in the making."""
_PATIENCE_SECONDS = 10.0
"""So long a new version waits, and is refused then."""
_PAUSE_SECONDS = 0.2


class ErasureTurn:
    """The turn of one erasure, which it does not have yet."""

    def __init__(self, services: Services, dataset_id: str, organisation_id: str) -> None:
        self._services, self._named, self._whose = services, dataset_id, organisation_id
        self._began, self.is_held, self.outlasts = time.monotonic(), False, False

    def take(self) -> None:
        """Have it for the next try. Raises not_found."""
        took, self._began = time.monotonic() - self._began, time.monotonic()
        self._keep(min(max(_TIMES * took, _LEAST_SECONDS), _MOST_SECONDS))

    def is_refused_no_more(self) -> bool:
        """Have it while a version is in the making, and wait for that: whether it has ended.

        False too where none is, and something else refuses.
        """
        if not self._is_making():
            return False
        self._keep(_REFUSED_SECONDS)
        self.outlasts = not _within(_MAKING_SECONDS, lambda: not self._is_making())
        return not self.outlasts

    def give_back(self) -> None:
        """Let new versions be made again."""
        written(self._services, lambda session: self._mark(session, None))

    def _keep(self, seconds: float) -> None:
        self.is_held = True
        written(self._services, lambda session: self._mark(session, now(session) + seconds))

    def _mark(self, session: Session, until: float | None) -> None:
        row = datasets.lock(session, self._named, organisation_id=self._whose)
        row.erasing_until = until

    def _is_making(self) -> bool:
        with reading(self._services.sessions) as session:
            return erasing.is_making(session, self._named, organisation_id=self._whose)


@contextmanager
def taking(services: Services, dataset_id: str, organisation_id: str) -> Iterator[ErasureTurn]:
    """An erasure's turn, which ends with the block: its commit has ended it, or it has failed."""
    turn = ErasureTurn(services, dataset_id, organisation_id)
    try:
        yield turn
    except BaseException:
        if turn.is_held and not turn.outlasts:
            with suppress(HeadstartError):  # it ends by itself, or with the dataset
                turn.give_back()
        raise


def is_taken(session: Session, dataset: DatasetRow) -> bool:
    """Whether an erasure has its turn now."""
    return dataset.erasing_until is not None and dataset.erasing_until > now(session)


def passed(services: Services, dataset: DatasetRow) -> None:
    """Wait while an erasure has its turn. Raises not_found, and in_flight after a while."""

    def is_over() -> bool:
        with reading(services.sessions) as session:
            whose = dataset.organisation_id
            row = datasets.get(session, dataset.id, organisation_id=whose).dataset
            return not is_taken(session, row)

    if not _within(_PATIENCE_SECONDS, is_over):
        why = "examples of this dataset are being erased; try again"
        raise HeadstartError("in_flight", why, retry_after=5)


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    """Whether it is done by then; it is looked at once at least."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True
