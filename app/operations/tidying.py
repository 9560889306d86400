"""What the app does now and then while it runs: sweep up what nobody needs any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from anyio import to_thread
from sqlalchemy.exc import InterfaceError, OperationalError

from app.core.errors import HeadstartError

log = structlog.get_logger()


@asynccontextmanager
async def tidied(sweep: Callable[[], int], *, every: float = 3600.0) -> AsyncIterator[None]:
    """Sweep now and every so many seconds, for as long as the block lasts."""
    task = asyncio.create_task(_tidy(sweep, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tidy(sweep: Callable[[], int], every: float) -> None:
    name = getattr(getattr(sweep, "func", sweep), "__name__", "")
    while True:
        try:
            removed = await to_thread.run_sync(sweep)
            if removed:
                log.info("swept up", what=name, number=removed)
        except (OSError, HeadstartError, OperationalError, InterfaceError) as error:
            log.warning("cannot sweep up", reason=str(error))
        await asyncio.sleep(every)
