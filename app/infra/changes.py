"""Which rows have changed: one cheap question for everything that anybody waits on.

On SQLite `PRAGMA data_version` of one held connection says, in microseconds, whether anybody has
committed since the last look; on Postgres each look is one indexed query per topic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from app.infra.database import database_errors
from app.infra.orm import (
    BatchRow,
    DatasetVersionRow,
    EventRow,
    HookRunRow,
    JobRow,
    PromotionRow,
    RequestBatchRow,
    WorkRow,
)

_AT_ONCE = 500


@dataclass(frozen=True)
class Topic:
    """A kind of row; its `tokens` (id, token) differ after every change that matters."""

    name: str
    tokens: Callable[[Sequence[str]], Select[str, Any]]


JOB = Topic("job", lambda ids: select(JobRow.id, JobRow.status).where(JobRow.id.in_(ids)))
"""A job's status."""
BATCH = Topic("batch", lambda ids: select(BatchRow.id, BatchRow.status).where(BatchRow.id.in_(ids)))
"""A batch's status."""
REQUESTS = Topic(
    "requests",
    lambda ids: select(RequestBatchRow.id, RequestBatchRow.status).where(
        RequestBatchRow.id.in_(ids)
    ),
)
"""The status of a batch of requests."""
EVENTS = Topic(
    "events",
    lambda ids: (
        select(EventRow.job_id, func.max(EventRow.id))
        .where(EventRow.job_id.in_(ids))
        .group_by(EventRow.job_id)
    ),
)
"""The id of a job's newest event."""
VERSION = Topic(
    "version",
    lambda ids: select(DatasetVersionRow.id, DatasetVersionRow.status).where(
        DatasetVersionRow.id.in_(ids)
    ),
)
"""A dataset version's status."""
WORK = Topic("work", lambda ids: select(WorkRow.id, WorkRow.state).where(WorkRow.id.in_(ids)))
"""The state of a piece of work."""
PROMOTION = Topic(
    "promotion",
    lambda ids: select(PromotionRow.id, PromotionRow.status).where(PromotionRow.id.in_(ids)),
)
"""Whether a promotion waits."""
RUN = Topic(
    "run", lambda ids: select(HookRunRow.id, HookRunRow.status).where(HookRunRow.id.in_(ids))
)
"""The status of a hook's run."""

Tokens = dict[tuple[Topic, str], Any]


class Changes:
    """Looks for changes over one connection that it holds; used by one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._version: int | None = None
        self.interval = 0.02 if engine.dialect.name == "sqlite" else 0.1
        """Seconds between looks."""

    def look(self, wanted: Mapping[Topic, Sequence[str]], *, fresh: bool) -> Tokens | None:
        """The tokens of what is wanted; None where nothing was committed since the last look.

        `fresh` reads in any case. Raises database_unavailable.
        """
        with database_errors():
            try:
                connection = self._connect()
                moved = self._moved(connection)
                tokens = _tokens(connection, wanted) if moved or fresh else None
                connection.rollback()
            except SQLAlchemyError:
                self.close()
                raise
        return tokens

    def close(self) -> None:
        """Let go of the connection; the next look opens another."""
        held, self._connection, self._version = self._connection, None, None
        if held is not None:
            held.close()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(read_only=True)
        return self._connection

    def _moved(self, connection: Connection) -> bool:
        """Whether anybody may have committed since the last look."""
        if connection.dialect.name != "sqlite":
            return True
        version = int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        moved, self._version = version != self._version, version
        return moved


def _tokens(connection: Connection, wanted: Mapping[Topic, Sequence[str]]) -> Tokens:
    tokens: Tokens = {}
    for topic, ids in wanted.items():
        for start in range(0, len(ids), _AT_ONCE):
            rows = connection.execute(topic.tokens(ids[start : start + _AT_ONCE]))
            tokens |= {(topic, row[0]): row[1] for row in rows}
    return tokens
