"""Times as callers see them."""

from __future__ import annotations

STALE_SECONDS = 60.0
"""A trainer that works, or looks for work, says so more often."""


def whole(seconds: float | None) -> int | None:
    """The time in whole seconds since 1970, if there is one."""
    return None if seconds is None else int(seconds)
