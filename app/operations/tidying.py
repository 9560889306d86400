"""What the app does by the hour while it runs: sweep up after processes that were killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from anyio import to_thread

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
    while True:
        try:
            removed = await to_thread.run_sync(sweep)
            if removed:
                log.info("swept up after killed processes", number=removed)
        except OSError as error:
            log.warning("killed processes cannot be swept up after", reason=str(error))
        await asyncio.sleep(every)
