"""What the app does by the hour while it runs: sweep up after uploads whose process was killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import structlog
from anyio import to_thread

from app.datasets.streaming import sweep

OLD_SECONDS = 3600.0
"""No upload is silent for so long."""

log = structlog.get_logger()


@asynccontextmanager
async def tidied(staging: Path, *, every: float = 3600.0) -> AsyncIterator[None]:
    """Sweep `staging` now and every so many seconds, for as long as the block lasts."""
    task = asyncio.create_task(_tidy(staging, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tidy(staging: Path, every: float) -> None:
    while True:
        try:
            removed = await to_thread.run_sync(partial(sweep, staging, older_than=OLD_SECONDS))
            if removed:
                log.info("swept the staging folder", number=removed)
        except OSError as error:
            log.warning("the staging folder cannot be swept", reason=str(error))
        await asyncio.sleep(every)
