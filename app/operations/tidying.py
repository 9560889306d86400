"""What the app does now and then while it runs, such as to sweep up what nobody needs any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog
from anyio import to_thread
from sqlalchemy.exc import InterfaceError, OperationalError

from app.core.errors import HeadstartError

log = structlog.get_logger()


_GRACE_SECONDS = 10.0


@asynccontextmanager
async def repeated(step: Callable[[], Awaitable[None]], *, every: float) -> AsyncIterator[None]:
    """Take a step now and every so many seconds, for as long as the block lasts.

    The step that is under way at its end is waited for, a while: a thread of it may hold one of the
    database's connections. An error that a step lets through is logged, and ends nothing.
    """
    over = asyncio.Event()
    task = asyncio.create_task(_repeat(step, every, over))
    try:
        yield
    finally:
        over.set()
        await asyncio.wait([task], timeout=_GRACE_SECONDS)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _repeat(step: Callable[[], Awaitable[None]], every: float, over: asyncio.Event) -> None:
    while not over.is_set():
        try:
            await step()
        except Exception:
            log.exception("a step beside the requests failed")
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await over.wait()


@asynccontextmanager
async def tidied(sweep: Callable[[], int], *, every: float = 3600.0) -> AsyncIterator[None]:
    """Sweep now and every so many seconds, for as long as the block lasts."""
    async with repeated(partial(_tidy, sweep), every=every):
        yield


async def _tidy(sweep: Callable[[], int]) -> None:
    name = getattr(getattr(sweep, "func", sweep), "__name__", "")
    try:
        removed = await to_thread.run_sync(sweep)
        if removed:
            log.info("swept up", what=name, number=removed)
    except (OSError, HeadstartError, OperationalError, InterfaceError) as error:
        log.warning("cannot sweep up", reason=error)
