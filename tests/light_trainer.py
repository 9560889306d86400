"""A real trainer process around the light tensor process; its clock may be wrong.

`HEADSTART_TEST_CLOCK_OFFSET` seconds are added to what Python says the time is.
"""

from __future__ import annotations

import os
import time


def shift_clock(seconds: float) -> None:
    """Make this process's wall clock wrong; the monotonic clock stays."""
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + int(seconds * 1e9)


if __name__ == "__main__":
    shift_clock(float(os.environ.get("HEADSTART_TEST_CLOCK_OFFSET", "0")))
    from worker.trainer.loop import main

    raise SystemExit(main(child="tests.light_child"))
