"""Children that die: started again for ever, ever more rarely, and afresh once they were well."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
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


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of this process, as they were afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_whose_exception_somebody_caught_ends_it_before_there_are_children(
    tmp_path: Path, number: signal.Signals
) -> None:
    supervisor = Supervisor(Settings(data_dir=tmp_path), "127.0.0.1", 1)
    leave_on_signals()
    with suppress(SystemExit):  # as a library's finalizer does
        os.kill(os.getpid(), number)
        time.sleep(5)
    with pytest.raises(SystemExit) as ended:
        supervisor.obey_signals()
    assert ended.value.code == 128 + number
    leave_on_signals()
    supervisor.obey_signals()
    assert not supervisor.stopping
