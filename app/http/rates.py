"""How often an organisation may ask: a window of a minute that slides.

Processes of the app share the count where there is a broker; while it is away each counts alone,
for a broker's outage must not be the predictions'.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import structlog
from anyio import to_thread
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from app.core.errors import HeadstartError

RateHeaders = list[tuple[bytes, bytes]]
_SECONDS = 0.5
"""A broker that takes longer is away."""
_ALONE_SECONDS = 5.0
"""How long one that was away is not asked."""

log = structlog.get_logger()


@dataclass(frozen=True)
class _Turn:
    taken: bool
    left: int
    reset_seconds: int


class Rates:
    """Counts requests by organisation; who has no bound is not counted."""

    def __init__(self, broker_url: str = "") -> None:
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if broker_url.startswith(("redis", "unix")):
            timeouts = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
            storage: Any = storage_from_string(broker_url, wrap_exceptions=True, **timeouts)
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._alone_until = 0.0

    async def take(
        self, organisation_id: str, most: int
    ) -> tuple[RateHeaders, HeadstartError | None]:
        """Count one request: headers that tell how many are left, and the refusal where none is."""
        if not most:
            return [], None
        turn = None
        if self._shared is not None and time.monotonic() >= self._alone_until:
            turn = await to_thread.run_sync(self._together, organisation_id, most)
        if turn is None:
            turn = _take(self._own, organisation_id, most)
        return _told(most, turn), None if turn.taken else _refused(most, turn)

    def _together(self, organisation_id: str, most: int) -> _Turn | None:
        """The turn in the count that is shared; None while that cannot be reached."""
        assert self._shared is not None
        try:
            return _take(self._shared, organisation_id, most)
        except StorageError as error:
            self._alone_until = time.monotonic() + _ALONE_SECONDS
            log.warning("each process counts its requests alone", reason=error)
            return None


def _take(limiter: SlidingWindowCounterRateLimiter, organisation_id: str, most: int) -> _Turn:
    bound = RateLimitItemPerMinute(most)
    taken = limiter.hit(bound, organisation_id)
    stats = limiter.get_window_stats(bound, organisation_id)
    seconds = max(1, math.ceil(stats.reset_time - time.time()))
    return _Turn(taken, max(0, stats.remaining), seconds)


def _refused(most: int, turn: _Turn) -> HeadstartError:
    return HeadstartError(
        "rate_limited",
        f"the organisation may predict {most:,} times a minute",
        param="requests_per_minute",
        retry_after=turn.reset_seconds,
        extra={"quota": {"name": "requests_per_minute", "limit": most}},
    )


def _told(most: int, turn: _Turn) -> RateHeaders:
    """As OpenAI's SDKs and their users know them, and as draft-ietf-httpapi-ratelimit-headers-06
    has them."""
    return [
        (b"ratelimit-limit", str(most).encode()),
        (b"ratelimit-remaining", str(turn.left).encode()),
        (b"ratelimit-reset", str(turn.reset_seconds).encode()),
        (b"ratelimit-policy", f"{most};w=60".encode()),
        (b"x-ratelimit-limit-requests", str(most).encode()),
        (b"x-ratelimit-remaining-requests", str(turn.left).encode()),
        (b"x-ratelimit-reset-requests", f"{turn.reset_seconds}s".encode()),
    ]
