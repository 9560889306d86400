"""Uploads as bytes on a socket: before the key, too slow, cut off, too much, and their memory."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.infra.database import make_sessions, open_engine
from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.api.uploading import DATASETS, code, leftovers, made, rows, send, small
from tests.archives import png
from tests.factories import make_key
from tests.servers import free_port, wait_for

pytestmark = pytest.mark.slow

HEAD = (
    "POST {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n"
    "content-type: multipart/form-data; boundary=xyz\r\n{length}\r\n\r\n"
)
PART = b'--xyz\r\ncontent-disposition: form-data; name="file"; filename="set.zip"\r\n\r\n'


@contextmanager
def serving(empty_database: Path, folder: Path, **settings: Any) -> Iterator[Service]:
    (folder / "headstart.db").write_bytes(empty_database.read_bytes())
    with serve(Settings(data_dir=folder, **settings)) as service:
        yield service


@contextmanager
def started(
    service: Service, key: str, *, length: int | None, path: str = DATASETS
) -> Iterator[socket.socket]:
    """A connection on which the head of an upload was sent; no length means chunked."""
    where = urlsplit(service.url)
    told = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(HEAD.format(path=path, key=key, length=told).encode())
        yield connection


def status(connection: socket.socket) -> int:
    return int(connection.recv(65536).split()[1])


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def staged(service: Service) -> list[Path]:
    return list((service.settings.data_dir / "staging").glob("*"))


def test_the_key_is_checked_before_the_first_byte(service: Service) -> None:
    for path in (DATASETS, "/v1/files", f"{DATASETS}/ds_x/examples"):
        with started(service, "hs_nobody", length=1000, path=path) as connection:
            assert status(connection) == 401


def test_the_scope_is_checked_before_the_first_byte(service: Service) -> None:
    reader = make_key(service.services.sessions, scopes=["read"])
    with started(service, reader, length=1000) as connection:
        assert status(connection) == 403


def test_a_missing_dataset_is_noticed_before_the_first_byte(service: Service, key: str) -> None:
    path = f"{DATASETS}/ds_{'0' * 26}/examples"
    with started(service, key, length=1000, path=path) as connection:
        assert status(connection) == 404


def test_a_byte_a_second_is_too_slow(empty_database: Path, tmp_path: Path) -> None:
    with serving(empty_database, tmp_path, upload_grace_seconds=1.0) as service:
        key = make_key(service.services.sessions)
        with started(service, key, length=100_000) as connection:
            connection.sendall(PART)
            begun = time.monotonic()
            connection.settimeout(0.2)
            answer = b""
            while not answer and time.monotonic() - begun < 10:
                try:
                    answer = connection.recv(65536)
                except TimeoutError:
                    connection.sendall(b"x")
        assert answer.split()[1] == b"408"
        assert b"request_timeout" in answer
        assert time.monotonic() - begun < 5
        assert (rows(service), leftovers(service), staged(service)) == (0, [], [])


@pytest.mark.parametrize("abruptly", [True, False])
def test_a_client_that_goes_leaves_nothing(service: Service, key: str, abruptly: bool) -> None:
    with started(service, key, length=10_000_000) as connection:
        connection.sendall(PART + os.urandom(3_000_000))
        wait_for(lambda: staged(service))
        if abruptly:
            linger = b"\x01\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wait_for(lambda: not staged(service))
    assert (rows(service), leftovers(service)) == (0, [])


@pytest.mark.parametrize("told", [True, False])
def test_a_body_over_the_cap_is_refused(empty_database: Path, tmp_path: Path, told: bool) -> None:
    with serving(empty_database, tmp_path, max_upload_bytes=1_000_000) as service:
        key = make_key(service.services.sessions)
        with started(service, key, length=1_000_001 if told else None) as connection:
            if not told:
                connection.sendall(chunk(PART))
                for _ in range(16):
                    connection.sendall(chunk(bytes(65536)))
            assert status(connection) == 413
        wait_for(lambda: not staged(service))
        assert (rows(service), leftovers(service)) == (0, [])
        with service.client(key) as client:
            assert send(client).status_code == 201


def test_nobody_is_kept_waiting_by_uploads_that_dawdle(service: Service, key: str) -> None:
    with service.client(key) as client:
        held = [started(service, key, length=1_000_000) for _ in range(60)]
        connections = [one.__enter__() for one in held]
        try:
            for connection in connections:
                connection.sendall(PART + b"x" * 1000)
            for _ in range(50):
                assert client.get("/livez").status_code == 200
            assert made(client)["num_examples"] == 6
            assert len(staged(service)) == len(held), "none of them has ended meanwhile"
        finally:
            for one in held:
                one.__exit__(None, None, None)
    wait_for(lambda: not staged(service))


def test_no_transaction_is_open_while_bytes_flow(service: Service, key: str) -> None:
    with started(service, key, length=1_000_000) as connection:
        connection.sendall(PART + b"x" * 100_000)
        wait_for(lambda: staged(service))
        pool: Any = service.services.engine.pool
        wait_for(lambda: pool.checkedout() == 0)  # the service itself looks at times
        with service.client(key) as client:
            made(client)


def test_builds_take_turns(service: Service, client: httpx.Client) -> None:
    seen = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(service.services.builds.under_way)

    threads = [threading.Thread(target=made, args=(client,)) for _ in range(12)]
    watcher = threading.Thread(target=watch)
    for thread in [watcher, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    assert max(seen) == 2
    assert len(client.get(DATASETS).json()["data"]) == 12


def _big_zip(path: Path, mebibytes: int) -> None:
    """Two classes of large pictures, honest in their headers and random in their pixels."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(mebibytes // 4):
            archive.writestr(
                f"{'ab'[number % 2]}/{number}.png", png(number + 1) + os.urandom(4 << 20)
            )


def _resident(pid: int, field: str = "VmHWM") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


@contextmanager
def own_process(empty_database: Path, folder: Path) -> Iterator[tuple[int, httpx.Client]]:
    """The app as a process of its own: its id, and a caller."""
    (folder / "headstart.db").write_bytes(empty_database.read_bytes())
    engine = open_engine(Settings(data_dir=folder).database)
    key = make_key(make_sessions(engine))
    engine.dispose()
    port = free_port()
    command = ["-m", "uvicorn", "app.main:app", "--port", str(port), "--no-access-log"]
    process = subprocess.Popen(
        [sys.executable, *command, "--log-level", "warning"],
        env=os.environ | {"HEADSTART_DATA_DIR": str(folder)},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(url + "/readyz").status_code == 200)
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, timeout=120, headers=headers) as client:
            yield process.pid, client
    finally:
        process.terminate()
        process.wait(20)


def test_a_large_upload_is_never_in_memory(empty_database: Path, tmp_path: Path) -> None:
    _big_zip(tmp_path / "big.zip", 160)
    with own_process(empty_database, tmp_path) as (pid, client):
        made(client)
        before = _resident(pid)
        with (tmp_path / "big.zip").open("rb") as file:
            answer = client.post(DATASETS, files={"file": ("big.zip", file)})
        assert answer.status_code == 201, answer.text
        grown = _resident(pid) - before
        examples = f"{DATASETS}/{answer.json()['id']}/examples"
        first = client.get(examples).json()["data"][0]["id"]
        assert len(client.get(f"{examples}/{first}/content").content) > 4 << 20
    assert grown < 60 << 20, f"{grown >> 20} MiB more at the peak"


def test_a_full_disk_is_said_and_survived(empty_database: Path, tmp_path: Path) -> None:
    with own_process(empty_database, tmp_path) as (pid, client):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
        answer = send(client, os.urandom(5 << 20))
        assert code(answer) == (507, "storage_full")
        assert answer.headers["retry-after"]
        assert not list((tmp_path / "staging").iterdir())
        assert client.get(DATASETS).json()["data"] == []
        made(client)


def test_a_failing_commit_takes_the_blobs_back(service: Service, client: httpx.Client) -> None:
    with service.services.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON work BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    answer = client.post(DATASETS, files={"file": ("set.zip", small())})
    assert answer.status_code >= 500
    assert (rows(service), leftovers(service)) == (0, [])
    with service.services.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse")
    made(client)
