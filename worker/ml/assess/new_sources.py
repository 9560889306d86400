"""For which inputs a figure holds, and what it would be for inputs of a source that is new."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from worker.ml.assess.intervals import Z

SHIFT = 0.5
"""By how much the log-odds of an error rise from the sources at hand to a new one (measured)."""

SHIFT_SPREAD = 1.0
"""Standard deviation of that from source to source (measured, docs/adr/0046)."""

SAME = (
    "inputs that come as the examples came, from the same sources: of other cameras, places or "
    "authors see new_sources"
)
FURTHER_GROUPS = "inputs of further groups, drawn as the groups of the examples were"
LIKE_HELD_OUT = "inputs that come as the held-out examples came"
ELSEWHERE = (
    "inputs of a source that no judged example is from, such as another camera, light, shop or "
    "hand; what a source changes is known from other data alone: calibrate on inputs of it, or "
    "judge by a validation_file from it, for a figure of its own"
)


def new_sources(expected: float, variance: float) -> dict[str, Any]:
    """The accuracy for new sources of a model that is `expected` to have one in (0, 1) for those
    at hand, known with this `variance`, both of log-odds added; with a 95% interval.
    """
    spread = math.sqrt(SHIFT_SPREAD**2 + variance / (expected * (1 - expected)) ** 2)
    middle = math.log(expected / (1 - expected)) - SHIFT
    value, low, high = (_share(middle + step * Z * spread) for step in (0, -1, 1))
    return {"accuracy": {"value": value, "low": low, "high": high}, "holds_for": ELSEWHERE}


def holds_for(how: Mapping[str, Any], *, grouped: bool) -> str:
    """What a figure that was obtained so holds for."""
    if how["method"] == "hold-out":
        return LIKE_HELD_OUT
    return FURTHER_GROUPS if grouped else SAME


def _share(log_odds: float) -> float:
    return (1 + math.tanh(log_odds / 2)) / 2
