"""From `headstart up` to the first answered prediction, on a data folder that was used before.

Wall time is worth something on an idle machine only; core seconds, of all processes until then, are
so on a busy one, too: on two idle cores it cannot take less than half of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import httpx

from benchmarks.record import record, shared_data, spread
from benchmarks.service import class_folders, fine_tune, upload, wait_until_ready, zipped

_MOST_SECONDS = 180.0
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Started:
    """Seconds until a prediction was answered, and core seconds of each process until then."""

    seconds: float
    core_seconds: dict[str, float]


def main(rounds: int) -> None:
    """Train one model, then start and stop the service."""
    clothing = shared_data() / "clothing"
    jpeg = next(path for _, path in class_folders(clothing / "test", per_class=1)).read_bytes()
    with tempfile.TemporaryDirectory(prefix="headstart-first-") as name:
        folder = Path(name)
        model = _trained(folder, clothing / "train")
        before = os.getloadavg()[0]
        runs = [_start(folder, model, jpeg) for _ in range(rounds)]
    names = sorted({name for run in runs for name in run.core_seconds})
    record(
        "first_prediction",
        figure="`headstart up` to the first answered prediction, warm disk cache",
        method=f"{rounds} starts of a data folder with one model; asked every 20 ms;"
        " core_seconds: of every process, up to the answer",
        results={
            "seconds": spread([run.seconds for run in runs]),
            "core_seconds": spread([sum(run.core_seconds.values()) for run in runs]),
            "core_seconds_of": {
                name: spread([run.core_seconds.get(name, 0.0) for run in runs]) for name in names
            },
            "other_load_on_the_machine": round(before, 1),
        },
    )


def _trained(folder: Path, pictures: Path) -> str:
    """The id of a model of 5 classes; everything that idle time does is done."""
    with _up(folder) as (process, url), _client(folder, url) as client:
        _until_answered(lambda: client.get("/v2/health/ready"), process)
        dataset = upload(client, zipped(class_folders(pictures, per_class=5)[:25]))["id"]
        wait_until_ready(client, dataset)
        return str(fine_tune(client, dataset)["fine_tuned_model"])


def _start(folder: Path, model: str, jpeg: bytes) -> Started:
    path = f"/v1/models/{model}/predictions"
    began = time.perf_counter()
    with _up(folder) as (process, url), _client(folder, url) as client:
        kind = {"content-type": "image/jpeg"}
        _until_answered(lambda: client.post(path, content=jpeg, headers=kind), process)
        seconds = time.perf_counter() - began
        return Started(seconds, dict(_spent(process.pid)))


@contextmanager
def _up(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "up",
        "--port",
        str(port),
        "--data-dir",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _client(folder: Path, url: str) -> httpx.Client:
    path = folder / "api-key"
    while not path.exists():
        time.sleep(0.02)
    headers = {"authorization": f"Bearer {path.read_text().strip()}"}
    return httpx.Client(base_url=url, headers=headers, timeout=_MOST_SECONDS)


def _until_answered(ask: Callable[[], httpx.Response], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ask().status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise SystemExit("the service never answered")


def _spent(pid: int) -> Iterator[tuple[str, float]]:
    """Core seconds of a process and those below it, by the module that each runs."""
    told = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    name = told[told.index("-m") + 1] if "-m" in told else told[0]
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    yield name, sum(map(int, fields[11:15])) / _TICK
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _spent(int(child))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args().rounds)
