"""A child that hangs, told from one that is idle, busy, or answers late."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.cli import hung
from app.cli.hung import LifeWatch, answers, predictor_answers, trainer_beats
from app.infra.processes import stillness
from tests.servers import serving

IDLE, BUSY = "import time; time.sleep(60)", "while True: pass"


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-S", "-c", code])
    try:
        time.sleep(0.3)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("code", "frozen", "sign", "hangs"),
    [
        (IDLE, True, False, True),
        (BUSY, True, False, True),
        (IDLE, False, False, True),
        (IDLE, False, True, False),
        (BUSY, False, False, False),
        (BUSY, False, True, False),
    ],
)
def test_only_what_neither_answers_nor_computes_hangs(
    monkeypatch: pytest.MonkeyPatch, code: str, frozen: bool, sign: bool, hangs: bool
) -> None:
    monkeypatch.setattr(stillness, "LOOK_SECONDS", 0.03)
    monkeypatch.setattr(stillness, "LOOKS", 20)
    monkeypatch.setattr(hung, "_ASK_SECONDS", 0.1)
    with running(code) as process:
        if frozen:
            process.send_signal(signal.SIGSTOP)
        watch = LifeWatch(process.pid, lambda: sign)
        until = time.monotonic() + 1.0
        while not (found := watch.hangs()) and (hangs or time.monotonic() < until):
            time.sleep(0.03)
        assert found is hangs


class Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def test_who_answers_is_heard_by_either_kind_of_address() -> None:
    server = HTTPServer(("127.0.0.1", 0), Ok)
    url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        assert answers(f"{url}/livez")
        assert predictor_answers(url)
    assert not answers(f"{url}/livez")
    assert not predictor_answers(url)


def test_a_predictor_that_takes_calls_and_says_nothing_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hung, "_ANSWER_SECONDS", 0.1)
    path = tmp_path / "p.sock"
    assert not predictor_answers(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert not predictor_answers(f"unix:{path}")
        served = threading.Thread(target=_answer_all, args=(server,), daemon=True)
        served.start()
        assert predictor_answers(f"unix:{path}")
        served.join()


def _answer_all(server: socket.socket) -> None:
    for _ in range(2):  # the first one has hung up
        taken, _ = server.accept()
        with taken, suppress(OSError):
            if taken.recv(1000):
                taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_a_trainer_is_heard_by_its_beat(tmp_path: Path) -> None:
    beat = tmp_path / "run" / f"trainer-{socket.gethostname()}-7.alive"
    assert not trainer_beats(tmp_path, 7)
    beat.parent.mkdir()
    beat.touch()
    assert trainer_beats(tmp_path, 7)
    assert not trainer_beats(tmp_path, 8)
    os.utime(beat, (time.time() - 90, time.time() - 90))
    assert not trainer_beats(tmp_path, 7)
