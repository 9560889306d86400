"""The same backbone and clients against LitServe and against plain FastAPI with torch.

LitServe is no dependency of ours: HEADSTART_LITSERVE_PYTHON names a Python that has it beside
torch, timm and torchvision. Without it, that row is left out and said to be.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import wrk
from benchmarks.record import record
from benchmarks.serving_world import world
from benchmarks.wrk import Load

CLIENTS = 32


@contextmanager
def running(python: str, module: str) -> Iterator[str]:
    """A competitor's server, answering; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [python, "-m", f"benchmarks.competitors.{module}", str(port)]
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


def main() -> None:
    """Each server in turn, ours between."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    python = os.environ.get("HEADSTART_LITSERVE_PYTHON")
    rates: dict[str, list[float]] = {"headstart": [], "fastapi_torch": [], "litserve": []}
    with tempfile.TemporaryDirectory(prefix="headstart-competitors-") as name:
        folder = Path(name)
        with world(folder) as made:
            raw = Load(made.jpegs, "image/jpeg", ["/predict"], "none")
            ours = wrk.prepare(
                Load(made.jpegs, "image/jpeg", [made.path()], made.key), folder / "ours"
            )
            plain = wrk.prepare(raw, folder / "plain")
            encoded = [_as_json(jpeg) for jpeg in made.jpegs]
            lit = wrk.prepare(Load(encoded, "application/json", ["/predict"], "none"), folder / "l")
            rate(made.url, ours, 3)
            for _ in range(options.rounds):
                rates["headstart"].append(rate(made.url, ours, options.seconds))
                with running(sys.executable, "plain_fastapi") as url:
                    rate(url, plain, 2)
                    rates["fastapi_torch"].append(rate(url, plain, options.seconds))
                if python:
                    with running(python, "litserve_torch") as url:
                        rate(url, lit, 2)
                        rates["litserve"].append(rate(url, lit, options.seconds))
    record(
        "serving_competitors",
        figure="images per second over HTTP of 32 clients with single images, and ours over theirs",
        method=f"wrk, {options.rounds} rounds of {options.seconds:g} s in turn, same JPEGs, same"
        " cores; theirs: timm efficientnet_lite0 in torch fp32 with Pillow; LitServe with batches"
        " of up to 32, 10 ms",
        results=_results(rates),
    )


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


if __name__ == "__main__":
    main()
