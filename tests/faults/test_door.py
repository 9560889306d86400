"""Chaos at the door: connections that are slow, idle, half-closed, too large or cut off, beside the
predictions of another tenant.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.infra.database import make_sessions, open_engine
from app.infra.settings import Settings
from tests import serving_kit as kit
from tests.api.predictions.conftest import register
from tests.factories import make_key, migrated
from tests.faults.counts import times

CONNECTIONS = 200
ASKED = times(60, 1000)
MIB = 2**20
PNG = kit.digit_pngs(1, skip=30)[0][0]


@dataclass(frozen=True)
class Door:
    """A service in processes of its own, and the keys of two tenants."""

    url: str
    model: str
    key: str
    other: str
    process: subprocess.Popen[bytes]

    @property
    def path(self) -> str:
        return f"/v1/models/{self.model}/predictions"

    @property
    def resident(self) -> int:
        """Bytes of the app's process."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30)

    def head(self, length: int) -> bytes:
        """A request for predictions of the other tenant, whose body is still to come."""
        return (
            f"POST {self.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.other}\r\n"
            f"content-type: image/png\r\ncontent-length: {length}\r\n\r\n"
        ).encode()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    settings = Settings(data_dir=tmp_path)
    migrated(tmp_path)
    target = kit.store_model(settings, organisation="default").target
    engine = open_engine(settings.database)
    sessions = make_sessions(engine)
    key, other = make_key(sessions), make_key(sessions, "other")
    register(sessions, target, name=target.model)
    engine.dispose()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app.cli.serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"HEADSTART_DATA_DIR": str(tmp_path)}
    with kit.predictor(settings):
        process = subprocess.Popen(command, env=environment)
        url = f"http://127.0.0.1:{port}"
        try:
            _until_ready(url)
            yield Door(url, target.model, key, other, process)
        finally:
            process.terminate()
            process.wait(300)


def test_a_crowd_at_the_door_harms_nobody_else(
    door: Door, record_property: Callable[[str, object], None]
) -> None:
    quiet, _ = _asked(door)
    before = door.resident
    with _crowd(door) as peak:
        beside, statuses = _asked(door)
    ratio = _p99(beside) / _p99(quiet)
    grown = (max(peak) - before) / 1e6
    record_property("p99 beside the crowd, over quiet", round(ratio, 2))
    record_property("growth of the app in MB", round(grown, 1))
    assert statuses == Counter({200: ASKED})
    assert grown <= 100


def _asked(door: Door) -> tuple[list[float], Counter[int]]:
    """Seconds of each of ASKED predictions, one after another, and their statuses."""
    took, statuses = [], Counter[int]()
    headers = {"authorization": f"Bearer {door.key}", "content-type": "image/png"}
    headers["x-headstart-cache"] = "off"
    with httpx.Client(base_url=door.url, headers=headers, timeout=300) as client:
        for _ in range(ASKED):
            began = time.perf_counter()
            statuses[client.post(door.path, content=PNG).status_code] += 1
            took.append(time.perf_counter() - began)
    return took, statuses


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


@contextmanager
def _crowd(door: Door) -> Iterator[list[int]]:
    """CONNECTIONS at once, a fifth of each kind; gives the app's memory as it was seen."""
    kinds = (_idle, _slow, _half_closed, _oversized, _aborted)
    stop, peak = threading.Event(), [door.resident]
    mine = [connection for kind in kinds for connection in kind(door, CONNECTIONS // len(kinds))]
    pesters = threading.Thread(target=_pester, args=(door, mine, stop, peak))
    pesters.start()
    try:
        yield peak
    finally:
        stop.set()
        pesters.join()
        for connection in mine:
            connection.close()


def _pester(door: Door, mine: list[socket.socket], stop: threading.Event, peak: list[int]) -> None:
    """A byte on each connection that takes one, a few cut off in the middle, again and again."""
    while not stop.is_set():
        for connection in mine:
            with suppress(OSError):
                connection.send(b"x", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        for connection in _aborted(door, 5):
            connection.close()
        peak.append(door.resident)
        time.sleep(0.05)


def _idle(door: Door, count: int) -> list[socket.socket]:
    return [door.connect() for _ in range(count)]


def _slow(door: Door, count: int) -> list[socket.socket]:
    return [_sent(door, door.head(10_000)) for _ in range(count)]


def _half_closed(door: Door, count: int) -> list[socket.socket]:
    found = []
    for _ in range(count):
        connection = _sent(door, door.head(len(PNG)) + PNG)
        connection.shutdown(socket.SHUT_WR)
        found.append(connection)
    return found


def _oversized(door: Door, count: int) -> list[socket.socket]:
    return [_sent(door, door.head(65 * MIB) + bytes(MIB // 4)) for _ in range(count)]


def _aborted(door: Door, count: int) -> list[socket.socket]:
    """Those of which half a body came and that a reset then ends."""
    found = []
    for _ in range(count):
        connection = _sent(door, door.head(MIB) + bytes(MIB // 2))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        found.append(connection)
    return found


def _sent(door: Door, data: bytes) -> socket.socket:
    """A connection on which as much of `data` has been sent as the other end took."""
    connection = door.connect()
    with suppress(OSError):
        connection.sendall(data)
    return connection


def _until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(url + "/v2/health/ready").is_success:
                return
        time.sleep(0.1)
    raise AssertionError("the service was not ready in time")
