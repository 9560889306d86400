"""Promise 1 for uploads in parts: the app is killed at any byte, and the upload goes on."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.factories import make_key
from tests.faults.counts import times
from tests.servers import free_port, wait_for
from tests.worker_kit import Kit
from tests.workers import ROOT, environment
from worker.trainer.idle.sweeper import Sweeper

KILLS = times(1, 40)
SIZE, PIECE = 3_000_000, 200_000


@contextmanager
def app(footing: Kit, key: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """The app as a process of its own, and a client of it."""
    port = free_port()
    command = ["-m", "uvicorn", "app.main:app", "--port", str(port), "--no-access-log"]
    started = subprocess.Popen(
        [sys.executable, *command, "--log-level", "error"],
        env=environment(footing.settings),
        cwd=ROOT,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(f"{url}/livez").status_code == 200, seconds=60)
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=300) as client:
            yield started, client
    finally:
        started.kill()
        started.wait()


def send_on(client: httpx.Client, upload: str, pieces: list[bytes]) -> list[str]:
    """Send what has not come yet; the ids of all parts in their order."""
    answer = client.get(f"/v1/uploads/{upload}/parts", params={"limit": 1000})
    came = {one["sha256"]: one["id"] for one in answer.raise_for_status().json()["data"]}
    for piece in pieces:
        name = hashlib.sha256(piece).hexdigest()
        if name not in came:
            files = {"data": ("part", piece)}
            sent = client.post(f"/v1/uploads/{upload}/parts", files=files)
            came[name] = sent.raise_for_status().json()["id"]
    return [came[hashlib.sha256(piece).hexdigest()] for piece in pieces]


@pytest.mark.promise(1)
def test_an_upload_goes_on_after_its_app_was_killed(footing: Kit) -> None:
    key, chance = make_key(footing.sessions, "acme"), random.Random(11)
    data = chance.randbytes(SIZE)
    pieces = [data[at : at + PIECE] for at in range(0, SIZE, PIECE)]
    announced = {"filename": "r.jsonl", "bytes": SIZE, "mime_type": "x/y", "purpose": "batch"}
    with app(footing, key) as (_, client):
        upload = client.post("/v1/uploads", json=announced).raise_for_status().json()["id"]
    for _ in range(KILLS):
        with app(footing, key) as (process, client):
            late = threading.Timer(chance.random() * 0.3, process.kill)
            late.start()
            with suppress(httpx.HTTPError):
                send_on(client, upload, pieces)
            late.join()
    with app(footing, key) as (process, client):
        ids = send_on(client, upload, pieces)
        body = {"part_ids": ids, "md5": hashlib.md5(data).hexdigest()}
        late = threading.Timer(0.05, process.kill)
        late.start()
        with suppress(httpx.HTTPError):
            client.post(f"/v1/uploads/{upload}/complete", json=body)
        late.join()
    with app(footing, key) as (_, client):
        done = client.post(f"/v1/uploads/{upload}/complete", json=body).raise_for_status().json()
        again = client.post(f"/v1/uploads/{upload}/complete", json=body).raise_for_status().json()
        assert done["file"]["id"] == again["file"]["id"]
        path = f"/v1/files/{done['file']['id']}/content"
        sweeper = Sweeper(footing.sessions, footing.storage, grace=0, clock=time.monotonic)
        sweeper.sweep()
        sweeper.sweep()
        assert client.get(path).content == data
        listed = client.get("/v1/files", params={"purpose": "batch"}).json()["data"]
        assert [one["id"] for one in listed] == [done["file"]["id"]]
