"""Children that die: started again for ever, ever more rarely, and afresh once they were well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.cli.supervisor import (
    HEALTHY_SECONDS,
    LONGEST_PAUSE,
    Child,
    Supervisor,
    leave_on_signals,
    pause,
)
from app.infra.settings import Settings

SIGNALS = signal.SIGTERM, signal.SIGHUP, signal.SIGINT


CAUGHT = """
import os, signal, sys, time
from pathlib import Path
from app.cli.supervisor import Supervisor, leave_on_signals
from app.infra.settings import Settings
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which `nohup` has them ignore
supervisor = Supervisor(Settings(data_dir=Path(sys.argv[1])), "127.0.0.1", 1)
leave_on_signals()
try:
    os.kill(os.getpid(), int(sys.argv[2]))
    time.sleep(60)
except BaseException:  # as a library may
    print("caught", flush=True)
supervisor.obey_signals()
print("it goes on")
"""


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


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_whose_exception_somebody_caught_ends_it_before_there_are_children(
    tmp_path: Path, number: signal.Signals
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CAUGHT, str(tmp_path), str(int(number))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (128 + number, "caught\n"), ended.stderr


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_terminal_may_go_where_that_is_to_be_ignored(before: signal.Handlers) -> None:
    former = {one: signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(signal.SIGHUP, before)
        leave_on_signals()
        Supervisor(Settings(), "127.0.0.1", 0).obey_signals()
        kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert kept == (before is signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is not former[signal.SIGTERM]
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)
