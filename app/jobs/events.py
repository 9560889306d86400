"""A job's history as server-sent events: oldest first, resumable, over as soon as the job is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from anyio import to_thread
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from app.core.errors import DATABASE_AWAY, HeadstartError
from app.core.job_state import TERMINAL
from app.http.dependencies import Services
from app.http.waiting import EVENTS
from app.infra.database import reading
from app.infra.orm import EventRow
from app.infra.repositories import job_queries
from app.jobs.views import event_number, event_of

_AT_ONCE = 500
_PING_SECONDS = 5.0
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no", "vary": "Accept"}
DONE = format_sse_event(event="done", data_str="[DONE]")
"""The last frame: OpenAI's word for the end, so that clients need not reconnect to learn it."""


@dataclass(frozen=True)
class EventBatch:
    """Some events in order; `last` says that nothing can follow them."""

    events: list[EventRow]
    last: bool


def wants_stream(accept: str) -> bool:
    """Whether the Accept header names event streams."""
    return any(
        part.split(";")[0].strip().lower() == "text/event-stream" for part in accept.split(",")
    )


def resume_point(last_event_id: str | None) -> int:
    """The number after which to go on. Raises invalid_request for what is no event's id."""
    if not last_event_id:
        return 0
    number = event_number(last_event_id)
    if number is None:
        raise HeadstartError(
            "invalid_request", "Last-Event-ID is not an event's id", param="Last-Event-ID"
        )
    return number


def stream(services: Services, job_id: str, *, after: int, key: str) -> EventSourceResponse:
    """The answer that follows the job from the event `after` to its end, or to that of `key`, the
    header that opened it.
    """
    return EventSourceResponse(_frames(services, job_id, after, key), headers=_HEADERS)


def read(services: Services, job_id: str, after: int) -> EventBatch:
    """What has happened since. The status is read first: a job that has ended adds nothing."""
    with reading(services.sessions) as session:
        ended = job_queries.status(session, job_id) in (*TERMINAL, None)
        events = job_queries.events_after(session, job_id, after=after, limit=_AT_ONCE)
    return EventBatch(events, last=ended and len(events) < _AT_ONCE)


async def _frames(services: Services, job_id: str, after: int, key: str) -> AsyncIterator[bytes]:
    with services.waiting.watch(EVENTS, job_id) as watch:
        while not services.waiting.stopping:
            if not await _opens(services, key):
                return
            batch = await _read(services, job_id, after)
            for row in batch.events if batch else ():
                after = row.id
                yield _frame(row)
            if batch is not None and batch.last:
                yield DONE
                return
            more = batch is not None and len(batch.events) == _AT_ONCE
            if not more and not await watch.change(_PING_SECONDS):
                yield KEEPALIVE_COMMENT


async def _opens(services: Services, key: str) -> bool:
    """Whether the key still opens the stream: one that was revoked or has expired does not; while
    the database is away nobody knows, and nothing is read either.
    """
    try:
        (await services.keyring.identify(key)).require("read")
    except HeadstartError as error:
        return error.code in DATABASE_AWAY
    return True


async def _read(services: Services, job_id: str, after: int) -> EventBatch | None:
    """None while the database is away: the stream stays open and goes on afterwards."""
    try:
        return await to_thread.run_sync(read, services, job_id, after)
    except HeadstartError as error:
        if error.code not in DATABASE_AWAY:
            raise
        return None


def _frame(row: EventRow) -> bytes:
    event = event_of(row)
    return format_sse_event(id=event.id, data_str=event.model_dump_json())
