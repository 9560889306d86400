"""One cold job, first byte of the upload to `succeeded`, over a bare decode-and-embed loop."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import record, shared_data, spread
from benchmarks.service import class_folders, fine_tune, running, upload, zipped
from worker.ml.engines import Engine, load_engine
from worker.ml.streaming import embed_stream

ROUNDS = 3


def bare_loop(engine: Engine, paths: Sequence[Path]) -> float:
    """Seconds to decode `paths` in threads, overlapped with forward passes at the best batch."""
    contents = [path.read_bytes() for path in paths]
    started = time.perf_counter()
    seen = sum(1 for _ in embed_stream(engine, contents, "squish", threads=os.cpu_count() or 1))
    assert seen == len(paths)
    return time.perf_counter() - started


def main() -> None:
    """Alternate the two, so that a drifting machine slows both."""
    pictures = class_folders(shared_data() / "clothing" / "train")
    archive, paths = zipped(pictures), [path for _, path in pictures]
    engine = load_engine("efficientnet_lite0", None)
    bare_loop(engine, paths[:64])
    cold, bare, warm = [], [], []
    with running() as service:
        warm_up = upload(service.client, zipped(pictures[::25]))
        fine_tune(service.client, warm_up["id"])
        for number in range(ROUNDS):
            tenant = service.tenant(f"round-{number}")
            bare.append(bare_loop(engine, paths))
            started = time.perf_counter()
            dataset = upload(tenant, archive)
            fine_tune(tenant, dataset["id"])
            cold.append(time.perf_counter() - started)
            time.sleep(20)  # idle-time views of this dataset must not weigh on what follows
            for _ in range(3):
                started = time.perf_counter()
                fine_tune(tenant, dataset["id"])
                warm.append(time.perf_counter() - started)
    record(
        "cold_job",
        figure="a cold job on 1,000 clothing images over the bare decode + forward loop;"
        " and the same job warm",
        method=f"{ROUNDS} rounds, alternating; each cold job in a new organisation, whose caches"
        " are empty; models loaded beforehand on both sides; warm: embeddings cached, POST of"
        " the job to its answer with Prefer: wait",
        results={
            "images": len(paths),
            "cold_seconds": spread(cold),
            "bare_seconds": spread(bare),
            "ratio": spread([a / b for a, b in zip(cold, bare, strict=True)]),
            "warm_seconds": spread(warm),
            "engine_precision": engine.precision,
        },
    )


if __name__ == "__main__":
    main()
