"""Times as callers see them."""

from __future__ import annotations


def whole(seconds: float | None) -> int | None:
    """The time in whole seconds since 1970, if there is one."""
    return None if seconds is None else int(seconds)
