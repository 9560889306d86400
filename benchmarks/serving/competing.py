"""The same backbone and clients against LitServe and against plain FastAPI with torch.

LitServe is no dependency of ours: HEADSTART_LITSERVE_PYTHON names a Python that has it beside
torch, timm and torchvision. Without it, that row is left out and said to be.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serving import wrk
from benchmarks.serving.bench import Bench
from benchmarks.serving.wrk import Load

CLIENTS = 32


@contextmanager
def running(python: str, module: str) -> Iterator[str]:
    """A competitor's server, answering; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [python, "-m", f"benchmarks.serving.competitors.{module}", str(port)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # LitServe outlives a SIGTERM
        process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit("a competitor's server ended")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            time.sleep(5)  # LitServe's port answers before its workers do
            return
    raise SystemExit("a competitor's server did not start")


def rate(url: str, folder: Path, seconds: float) -> float:
    """Images a second of 32 clients that ask one at a time."""
    found = wrk.run(url, folder, clients=CLIENTS, seconds=seconds)
    if found["errors"]:
        raise SystemExit(f"wrk saw errors: {found}")
    return float(found["requests"] / found["seconds"])


def competitors(bench: Bench) -> dict[str, Any]:
    """Each server in turn, ours between."""
    python = os.environ.get("HEADSTART_LITSERVE_PYTHON")
    world, seconds = bench.world, bench.seconds
    raw = bench.load("plain", Load(world.jpegs, "image/jpeg", ["/predict"], "none"))
    encoded = [_as_json(jpeg) for jpeg in world.jpegs]
    packed = bench.load("packed", Load(encoded, "application/json", ["/predict"], "none"))
    rates: dict[str, list[float]] = {"headstart": [], "fastapi_torch": [], "litserve": []}
    for _ in range(bench.rounds):
        rates["headstart"].append(rate(world.url, bench.single(), seconds))
        with running(sys.executable, "plain_fastapi") as url:
            rates["fastapi_torch"].append(_warm_rate(url, raw, seconds))
        if python:
            with running(python, "litserve_torch") as url:
                rates["litserve"].append(_warm_rate(url, packed, seconds))
    return _results(rates)


def _warm_rate(url: str, folder: Path, seconds: float) -> float:
    rate(url, folder, 2)
    return rate(url, folder, seconds)


def _results(rates: dict[str, list[float]]) -> dict[str, Any]:
    middle = {name: median(found) for name, found in rates.items() if found}
    ours = middle["headstart"]
    return {
        "images_per_second": {name: round(value, 1) for name, value in middle.items()},
        "ours_over": {
            name: round(ours / value, 2) for name, value in middle.items() if value != ours
        },
        "left_out": [name for name, found in rates.items() if not found],
    }


def _as_json(jpeg: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(jpeg).decode()}).encode()
