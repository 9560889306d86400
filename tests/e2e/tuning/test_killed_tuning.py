"""A tuning that is killed goes on, and comes to the figures of one that is not.

On the network that is served this takes minutes; CI has it on a small one in tests/faults/tuning.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.embedded import start
from app.core.modalities import IDLE, PRIMARY, TUNED_VIEWS, mapped
from app.infra.settings import Settings
from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import upload
from tests.faults.counts import FULL
from tests.servers import wait_for

JOBS = "/v1/fine_tuning/jobs"
KILLED = (b"worker.tensors", b"worker.trainer", b"worker.tensors")
"""Whom SIGKILL meets, each time that a state has been kept."""
GIVEN = {"epochs": 8, "learning_rate": 1e-4, "share": 0.5}


EXAMPLES = 48


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Service]:
    """An embedded service whose supervisor starts again what dies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_TUNING_KEEP_SECONDS", "0")
        supervisor = start(Settings(data_dir=tmp_path), host="127.0.0.1", port=0)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            supervisor.run_once()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        key = (tmp_path / "api-key").read_text().strip()
        yield Service("embedded", supervisor.url, key, tmp_path)
    finally:
        over.set()
        watching.join()
        supervisor.stop()


def mixed_up() -> bytes:
    """Discs and bars under either label, so that a training does not soon come to its end."""
    every = list(drawn(per_class=EXAMPLES // 2, seed=40).values())
    return zipped({f"{'ab'[n % 2]}/{n}.png": data for n, data in enumerate(every)})


def submitted(client: httpx.Client, dataset: str, depth: str) -> str:
    method = {"type": depth, depth: {"hyperparameters": GIVEN}}
    body = {"model": "efficientnet_lite0", "training_file": dataset, "seed": 1, "method": method}
    return str(client.post(JOBS, json=body).raise_for_status().json()["id"])


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    """The job, when it has succeeded."""
    told = wait_for(lambda: _over(client, job), seconds=600)
    assert told["status"] == "succeeded", told
    return dict(told)


def _over(client: httpx.Client, job: str) -> dict[str, Any] | None:
    told: dict[str, Any] = client.get(f"{JOBS}/{job}").json()
    return told if told["status"] in ("succeeded", "failed") else None


@pytest.mark.timeout(900)
@pytest.mark.skipif(not FULL, reason="minutes of tuning: `make faults` runs it")
@pytest.mark.parametrize("depth", ["partial", "lora"])
def test_a_killed_tuning_comes_to_the_same_end(watched: Service, depth: str) -> None:
    with watched.client() as client:
        dataset = upload(client, mixed_up())["id"]
        ended(client, submitted(client, dataset, depth))
        _wait_for_every_view(watched, depth)
        unbroken = ended(client, submitted(client, dataset, depth))
        job = submitted(client, dataset, depth)
        for number, whom in enumerate(KILLED):
            wait_for(lambda so_far=number: _resumed(client, job) == so_far, seconds=600)
            _wait_for_state(watched, job)
            assert _over(client, job) is None
            os.kill(_of(watched, whom), signal.SIGKILL)
        broken = ended(client, job)
        assert _resumed(client, job) == len(KILLED)
        assert not list(watched.data_dir.rglob(f"tunings/*/{job}/*")), "states go with the job"
        assert not _differences(*(_evaluation(client, one) for one in (unbroken, broken)))


def _wait_for_every_view(service: Service, depth: str) -> None:
    """Until idle time has embedded all, so that the frozen heads of later jobs are the same."""
    folder = service.data_dir / "storage" / "embeddings"

    def rows() -> int:
        return sum(len(np.load(file, mmap_mode="r")) for file in folder.glob("**/*.npy"))

    cached = map(mapped, TUNED_VIEWS) if depth == "partial" else ()
    every = {PRIMARY["image"], *IDLE["image"], *cached}
    wait_for(lambda: rows() == EXAMPLES * len(every), seconds=600)


def _resumed(client: httpx.Client, job: str) -> int:
    said = [one["message"] for one in _events(client, job)]
    return said.count("Tuning goes on where a former try got to")


def _wait_for_state(service: Service, job: str) -> None:
    """Until one more has been kept."""
    folder = service.data_dir / "storage" / "tunings"
    seen = set(folder.glob(f"*/{job}/*.safetensors"))
    wait_for(lambda: set(folder.glob(f"*/{job}/*.safetensors")) - seen, seconds=600)


def _events(client: httpx.Client, job: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while True:
        after = {"after": events[-1]["id"]} if events else {}
        page = client.get(f"{JOBS}/{job}/events", params={"limit": 100, **after}).json()
        events += page["data"]
        if not page["has_more"]:
            return events


def _evaluation(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/v1/models/{job['fine_tuned_model']}/evaluation").json()
    return {name: told[name] for name in ("accuracy", "log_loss", "calibration_error", "per_class")}


def _differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two documents have not the same members, or numbers that are not the same."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        return [d for name in one for d in _differences(one[name], other[name], f"{where}.{name}")]
    if isinstance(one, list):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for n, (a, b) in pairs for d in _differences(a, b, f"{where}[{n}]")]
    same = one == (pytest.approx(other, abs=1e-3) if isinstance(other, float) else other)
    return [] if same else [f"{where}: {one} and {other}"]


def _of(service: Service, what: bytes) -> int:
    """The service's process of that command: its data folder is in the environment."""
    where = str(service.data_dir).encode() + b"\0"
    every = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    named = [pid for pid in every if what in _read(pid, "cmdline")]
    (found,) = (pid for pid in named if where in _read(pid, "environ"))
    return found


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return b""
