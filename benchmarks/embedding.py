"""The cold path: our overlapped stream over the bare network, the bare decoder and a bare loop."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record, shared_data, spread
from worker.ml.engines import Engine, load_engine
from worker.ml.engines.stream import embed_stream
from worker.ml.images.views import decode_to

THREADS = len(os.sched_getaffinity(0))


def bare_loop(engine: Any, blobs: Sequence[bytes], size: int) -> None:
    """The least that one can write: a pool decodes ahead, the network takes full batches."""
    decode = partial(decode_to, view="squish", size=size)
    batch = engine.best_batch
    with ThreadPoolExecutor(THREADS, initializer=partial(torch.set_num_threads, 1)) as pool:
        pixels = pool.map(decode, blobs)
        for start in range(0, len(blobs), batch):
            rows = [next(pixels) for _ in range(min(batch, len(blobs) - start))]
            engine.embed(np.stack(rows))


def decode_all(blobs: Sequence[bytes], size: int, threads: int) -> list[Any]:
    """Every picture at the network's size."""
    decode = partial(decode_to, view="squish", size=size)
    with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
        return list(pool.map(decode, blobs))


def seconds(work: Callable[[], Any]) -> float:
    """The time one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass
class Rates:
    """Of one part: images per second of the clock, and milliseconds of processor time an image."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], Any], images: int) -> None:
        """Time one call."""
        cpu = time.process_time()
        self.per_second.append(images / seconds(work))
        self.cpu_ms.append(1000 * (time.process_time() - cpu) / images)


def measure(engine: Engine, blobs: Sequence[bytes], rounds: int) -> dict[str, Rates]:
    """Each part's rates, the parts in turn so that noise meets all of them."""
    size = engine.spec.input_size
    pixels = np.stack(decode_all(blobs, size, THREADS))
    parts: dict[str, Callable[[], Any]] = {
        "forward": lambda: engine.embed(pixels),  # type: ignore[arg-type]
        "decode_one_thread": lambda: decode_all(blobs, size, 1),
        "decode": lambda: decode_all(blobs, size, THREADS),
        "bare_loop": lambda: bare_loop(engine, blobs, size),
        "embed_stream": lambda: list(embed_stream(engine, blobs, threads=THREADS)),
    }
    found = {name: Rates() for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            found[name].add(part, len(blobs))
    return found


def latency(engine: Any, times: int) -> float:
    """Milliseconds of a forward pass on one image, the median."""
    one = np.zeros((1, engine.spec.input_size, engine.spec.input_size, 3), np.uint8)
    return float(np.median([1000 * seconds(lambda: engine.embed(one)) for _ in range(times)]))


def starts(cache_dir: Path) -> dict[str, float]:
    """Seconds to the first vector in this process: from the network, then from its stored graph."""
    load = partial(load_engine, "efficientnet_lite0", None, device="cpu", cache_dir=cache_dir)
    return {"converting": round(seconds(load), 2), "stored": round(seconds(load), 2)}


def _over(part: Rates, ours: Rates) -> list[float]:
    return [a / b for a, b in zip(part.per_second, ours.per_second, strict=True)]


def main() -> None:
    """Rounds of every part in turn on the same clothing images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = sorted((shared_data() / "clothing" / "train").glob("*/*"))[: options.images]
    blobs = [path.read_bytes() for path in paths]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        started = starts(Path(folder))
        engine = load_engine("efficientnet_lite0", None, device="cpu", cache_dir=Path(folder))
        measure(engine, blobs[:64], 1)
        found = measure(engine, blobs, options.rounds)
        lone = latency(engine, 100)
    ours = found["embed_stream"]
    ratios = {part: spread(_over(found[part], ours)) for part in ("forward", "bare_loop")}
    bare = sum(found["bare_loop"].cpu_ms)
    record(
        "embedding",
        figure="images per second of the cold path, and the bare parts over it (1.0 = as fast)",
        method=f"{options.rounds} rounds of all parts in turn in one process, {len(blobs)} clothing"
        f" JPEGs held in memory, {THREADS} decoding threads, efficientnet_lite0 with all levels",
        results={
            "other_load_on_the_machine": round(load, 1),
            "precision": engine.precision,
            "best_batch": engine.best_batch,
            "images_per_second": {part: spread(r.per_second) for part, r in found.items()},
            "cpu_ms_per_image": {part: spread(r.cpu_ms) for part, r in found.items()},
            "over_embed_stream": ratios,
            "embed_stream_cpu_over_bare_loop": round(sum(ours.cpu_ms) / bare, 3),
            "lone_forward_ms": round(lone, 2),
            "start_seconds": started,
        },
    )


if __name__ == "__main__":
    main()
