"""How often an organisation may ask: a window of a minute that slides.

Processes of the app share the count where there is a broker; else there is one process.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from app.core.errors import HeadstartError

RateHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class _Turn:
    taken: bool
    left: int
    reset_seconds: int


class Rates:
    """Counts requests by organisation; who has no bound is not counted."""

    def __init__(self, broker_url: str = "") -> None:
        shared = broker_url.startswith(("redis", "unix"))
        storage: Any = storage_from_string(broker_url) if shared else MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._shared = shared

    async def take(self, organisation_id: str, most: int) -> RateHeaders:
        """Count one request; headers that tell how many are left. Raises rate_limited."""
        if not most:
            return []
        if self._shared:
            turn = await to_thread.run_sync(self._take, organisation_id, most)
        else:
            turn = self._take(organisation_id, most)
        if not turn.taken:
            raise HeadstartError(
                "rate_limited",
                f"the organisation may predict {most:,} times a minute",
                param="requests_per_minute",
                retry_after=turn.reset_seconds,
                extra={"quota": {"name": "requests_per_minute", "limit": most}},
            )
        return _told(most, turn)

    def _take(self, organisation_id: str, most: int) -> _Turn:
        bound = RateLimitItemPerMinute(most)
        taken = self._limiter.hit(bound, organisation_id)
        stats = self._limiter.get_window_stats(bound, organisation_id)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        return _Turn(taken, max(0, stats.remaining), seconds)


def _told(most: int, turn: _Turn) -> RateHeaders:
    """As OpenAI's SDKs and their users know them."""
    return [
        (b"x-ratelimit-limit-requests", str(most).encode()),
        (b"x-ratelimit-remaining-requests", str(turn.left).encode()),
        (b"x-ratelimit-reset-requests", f"{turn.reset_seconds}s".encode()),
    ]
