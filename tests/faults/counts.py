"""How often a fault is provoked: a few times in CI, as often as promised by `make faults`."""

from __future__ import annotations

import os

FULL = os.environ.get("HEADSTART_FAULTS") == "full"


def times(few: int, promised: int) -> int:
    """`promised` with HEADSTART_FAULTS=full, otherwise `few`."""
    return promised if FULL else few
