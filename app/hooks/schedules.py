"""When a cron expression is due, in a time zone: what a clock on a wall there would say."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from app.core.errors import HeadstartError

FIELDS = 5
"""Minute, hour, day, month, weekday: the reader of expressions would take seconds before them."""


def check(cron: str, timezone: str) -> None:
    """Raises invalid_value where the expression or the zone means nothing, or no time ever."""
    if len(cron.split()) != FIELDS:
        why = f"{cron!r} is no cron expression: that has five fields, here are {len(cron.split())}"
        raise HeadstartError("invalid_value", why, param="triggers")
    try:
        next_due(cron, timezone, 0.0)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        why = f"there is no time zone {timezone!r}; one is like Europe/Berlin"
        raise HeadstartError("invalid_value", why, param="triggers") from error
    except (CronSimError, StopIteration) as error:
        why = f"{cron!r} is no cron expression with five fields: {error or 'it is never due'}"
        raise HeadstartError("invalid_value", why, param="triggers") from error


def next_due(cron: str, timezone: str, after: float) -> float:
    """The first time after `after`, both in seconds since 1970; what a change of clocks skips or
    repeats is due once.
    """
    start = datetime.fromtimestamp(after, ZoneInfo(timezone))
    return next(CronSim(cron, start)).timestamp()
