"""The bare pipeline in a process of its own: decode the JPEGs, run the engine, nothing else.

`python -m benchmarks.serving.bare <folder>` reads commands, one a line (`throughput <seconds>`,
`lone <times>` or `decoding <passes>`), and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch


class Bare:
    """The other side: starts the process and asks it."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving.bare", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask("throughput 1")

    def __enter__(self) -> Bare:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def throughput(self, seconds: float) -> dict[str, float]:
        """Images a second at the best batch, and core milliseconds an image."""
        found: dict[str, float] = self._ask(f"throughput {seconds}")
        return found

    def lone(self, times: int) -> list[float]:
        """Milliseconds from bytes to embedding, one image at a time, sorted."""
        found: list[float] = self._ask(f"lone {times}")
        return found

    def decoding(self) -> float:
        """Core milliseconds to decode an image."""
        return float(self._ask("decoding 2"))

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main() -> None:
    """Answer commands until the input ends."""
    from benchmarks.embedding import bare_loop
    from worker.ml.engines import load_engine

    torch.set_num_threads(1)
    blobs = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    engine: Any = load_engine("efficientnet_lite0", None)
    size = engine.spec.input_size
    for line in sys.stdin:
        command, amount = line.split()
        if command == "lone":
            found: Any = lone(engine, blobs, size, int(amount))
        elif command == "decoding":
            found = decoding(blobs, size, int(amount))
        else:
            found = throughput(lambda: bare_loop(engine, blobs, size), len(blobs), float(amount))
        print(json.dumps(found), flush=True)


def throughput(once: Any, images: int, seconds: float) -> dict[str, float]:
    """Repeat whole passes over the images for at least so long."""
    started, cpu, passes = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        once()
        passes += 1
    took = time.perf_counter() - started
    done = passes * images
    cpu_ms = (time.process_time() - cpu) / done * 1e3
    return {"images_per_second": done / took, "core_ms_per_image": cpu_ms}


def decoding(blobs: list[bytes], size: int, passes: int) -> float:
    """Core milliseconds an image, on one thread."""
    from worker.ml.images.views import decode_to

    began = time.process_time()
    for blob in blobs * passes:
        decode_to(blob, "squish", size)
    return (time.process_time() - began) * 1e3 / len(blobs) / passes


def lone(engine: Any, blobs: list[bytes], size: int, times: int) -> list[float]:
    """One image after the other: decode, then a batch of one."""
    from worker.ml.images.views import decode_to

    found = []
    for number in range(times):
        started = time.perf_counter()
        engine.embed(decode_to(blobs[number % len(blobs)], "squish", size)[np.newaxis])
        found.append((time.perf_counter() - started) * 1e3)
    return sorted(found)


if __name__ == "__main__":
    main()
