"""Children that die: started again for ever, ever more rarely, and afresh once they were well."""

from __future__ import annotations

import os
import sys
import time

from app.cli.supervisor import HEALTHY_SECONDS, LONGEST_PAUSE, Child, pause


def test_the_pause_doubles_to_a_limit() -> None:
    assert [pause(starts) for starts in range(1, 5)] == [1, 2, 4, 8]
    assert pause(10) == pause(1024) == pause(10**9) == LONGEST_PAUSE


def test_a_child_that_was_well_begins_anew() -> None:
    child = Child("child", [sys.executable, "-c", ""], starts=2000, started=time.monotonic())
    for well, starts in ((False, 2001), (True, 1), (False, 2)):
        if well:
            child.started -= HEALTHY_SECONDS + 1
        child.start(os.environ)
        assert child.process is not None
        child.process.wait()
        assert child.dead()
        assert child.starts == starts
