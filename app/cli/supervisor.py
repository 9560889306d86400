"""The embedded footing: the app, a trainer and a predictor as children of one process.

A child that dies, or hangs, is started again, with a growing pause; SIGTERM, SIGHUP and Ctrl-C
drain them all, a second one ends them at once. None outlives this process
(`app.infra.processes.leash`), and each holds the data folder's lock for as long as it lives.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from app.cli.hung import LifeWatch, answers, predictor_answers, trainer_beats
from app.cli.options import console
from app.core.errors import HeadstartError
from app.infra.processes.leash import leashed
from app.infra.settings import Settings

_READY_SECONDS = 180.0
LONGEST_PAUSE = 30.0
HEALTHY_SECONDS = 90.0
"""A child that was started longer ago had run well: no pause is nearly as long."""
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PROBES = (("the app", "/readyz"), ("the predictor", "/v2/health/ready"))
"""What must answer before the service is ready, in the order in which it comes to that."""
_LATER = "trainer"
"""The child that starts when predictions work: it would take half of the processor from those that
are waited for."""
_KEYS = "HEADSTART_SECRETS_KEY"
_PATIENCE = 5.0
"""Seconds of silence before it is said what is waited for."""

_DOES = {
    "the app": "still starts",
    "the predictor": "still loads its backbone, which the first start on a machine converts",
}

Say = Callable[[str], None]


def pause(starts: int) -> float:
    """Seconds between a start and the next one, after so many that came to nothing."""
    return min(LONGEST_PAUSE, 2.0 ** min(starts - 1, 10))


@dataclass
class Child:
    """One process of ours, and when it may next be started."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    """In a row, none of which it survived for long."""
    started: float = 0.0
    not_before: float = 0.0
    watch: LifeWatch | None = None
    """Of the process that runs."""

    def start(self, environment: Mapping[str, str], *, keeps: Sequence[int] = ()) -> None:
        """Start it, in a process group of its own so that Ctrl-C reaches only the supervisor.

        It inherits the descriptors `keeps`.
        """
        self.process = subprocess.Popen(  # noqa: S603
            self.command, env=dict(environment), start_new_session=True, pass_fds=keeps
        )
        before, self.started = self.started, time.monotonic()
        self.starts = 1 if self.started - before > HEALTHY_SECONDS else self.starts + 1
        self.not_before = self.started + pause(self.starts)

    def dead(self) -> bool:
        """Whether it is not running."""
        return self.process is None or self.process.poll() is not None


@dataclass
class Supervisor:
    """Runs the children until it is told to stop; they hold the descriptor `lock`, if any."""

    settings: Settings
    host: str
    port: int
    lock: int | None = None
    children: list[Child] = field(default_factory=list)
    _told: int = 0
    """How often it was told to stop."""

    @property
    def url(self) -> str:
        """Where the service answers on this machine."""
        host = _LOOPBACK.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._told > 0

    def obey_signals(self) -> None:
        """Stop at SIGTERM, SIGHUP and Ctrl-C, from now on; end where one has come before."""
        for number in _heeded():
            signal.signal(number, self._on_signal)
        if _came:
            raise SystemExit(128 + _came[0])

    def start(self, say: Say = lambda _: None) -> None:
        """Start every child, the trainer once predictions work; `say` what has come to be ready.

        Returns early where it is told to stop. Raises internal if a child ends before that, or
        after 180 s; whatever is raised, no child is left.
        """
        self._environment = leashed(os.environ) | {
            "HEADSTART_DATA_DIR": str(self.settings.data_dir.resolve()),
            "HEADSTART_LOG_LEVEL": self.settings.log_level,
            "PYTHONUNBUFFERED": "1",
        }
        self.children = [Child(name, command) for name, command in self._commands()]
        try:
            for child in self.children:
                if child.name != _LATER:
                    self._start(child)
            self._wait_until_ready(say)
            if not self.stopping:
                self.run_once()
        except BaseException:
            self.stop()
            raise

    def run(self) -> None:
        """Restart what dies or hangs, until it is told to stop."""
        while not self.stopping:
            self.run_once()
            self._end_what_hangs()
            time.sleep(0.2)

    def run_once(self) -> None:
        """Start what does not run, unless it was started a moment ago."""
        for child in self.children:
            if child.dead() and time.monotonic() >= child.not_before:
                self._start(child)

    def stop(self) -> None:
        """Ask all children at once to drain; kill what outlasts the grace, or a second signal."""
        self._told = told = self._told or 1
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self.settings.drain_seconds + 5
        while any(process.poll() is None for process in running):
            if time.monotonic() > deadline or self._told > told:
                for process in running:
                    process.kill()
            time.sleep(0.02)

    def _start(self, child: Child) -> None:
        own = self._environment
        if child.name != "app":  # nobody else has a secret to open
            own = {name: value for name, value in own.items() if not name.startswith(_KEYS)}
        child.start(own, keeps=() if self.lock is None else (self.lock,))
        assert child.process is not None
        pid = child.process.pid
        signs = {
            "app": lambda: answers(f"{self.url}/livez"),
            "predictor": lambda: predictor_answers(self.settings.listen),
            _LATER: lambda: trainer_beats(self.settings.data_dir, pid),
        }
        child.watch = LifeWatch(pid, signs[child.name])

    def _end_what_hangs(self) -> None:
        for child in self.children:
            if not child.dead() and child.watch is not None and child.watch.hangs():
                assert child.process is not None
                console.print(f"The {child.name} hangs; it is ended, and started again.")
                child.watch = None
                child.process.kill()

    def _commands(self) -> list[tuple[str, list[str]]]:
        python = sys.executable
        address = ["--host", self.host, "--port", str(self.port)]
        return [
            ("predictor", [python, "-m", "worker.predictor"]),
            ("app", [python, "-m", "app.cli.serve", *address]),
            (_LATER, [python, "-m", "worker.trainer"]),
        ]

    def _wait_until_ready(self, say: Say) -> None:
        began = said = time.monotonic()
        for name, path in _PROBES:
            while not self.stopping and not answers(self.url + path):
                self._check_children()
                if time.monotonic() > began + _READY_SECONDS:
                    raise HeadstartError("internal", f"{name} was not ready in time")
                if time.monotonic() > said + _PATIENCE:
                    said = time.monotonic()
                    say(f"{name} {_DOES[name]} ({said - began:.0f} s)")
                time.sleep(0.05)
            said = time.monotonic()
            say(f"{name} is ready after {said - began:.1f} s")

    def _check_children(self) -> None:
        for child in self.children:
            if child.dead() and child.process is not None:
                raise HeadstartError(
                    "internal",
                    f"the {child.name} ended with status {child.process.returncode} before the"
                    " service was ready; what it printed above says why",
                )

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._told += 1


_came: list[int] = []
"""The signals that `_leave` was called for: what it raises may meet somebody who catches all."""


def leave_on_signals() -> None:
    """Until there are children, end at once; also where a shell let us ignore Ctrl-C."""
    _came.clear()
    for number in _heeded():
        signal.signal(number, _leave)


def _heeded() -> list[signal.Signals]:
    """All of them, but for a SIGHUP that `nohup` has us ignore: the terminal may go."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [one for one in _SIGNALS if not (ignored and one is signal.SIGHUP)]


def _leave(number: int, _frame: FrameType | None) -> None:
    _came.append(number)
    raise SystemExit(128 + number)
