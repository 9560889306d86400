"""One cold job, first byte of the upload to `succeeded`, over a bare decode-and-embed loop."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.embedding import bare_loop
from benchmarks.record import record, shared_data, spread
from benchmarks.service import class_folders, fine_tune, running, upload, zipped
from worker.ml.engines import Engine, load_engine

ROUNDS = 3


def bare(engine: Engine, contents: Sequence[bytes]) -> float:
    """Seconds of the bare loop: threads that decode, overlapped with passes at the best batch."""
    started = time.perf_counter()
    bare_loop(engine, contents, engine.spec.input_size)
    return time.perf_counter() - started


def main() -> None:
    """Alternate the two, so that a drifting machine slows both."""
    pictures = class_folders(shared_data() / "clothing" / "train")
    archive, contents = zipped(pictures), [path.read_bytes() for _, path in pictures]
    engine = load_engine("efficientnet_lite0", None)
    bare(engine, contents[:64])
    cold, loop, warm = [], [], []
    with running() as service:
        warm_up = upload(service.client, zipped(pictures[::25]))
        fine_tune(service.client, warm_up["id"])
        for number in range(ROUNDS):
            tenant = service.tenant(f"round-{number}")
            loop.append(bare(engine, contents))
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
            "images": len(contents),
            "cold_seconds": spread(cold),
            "bare_seconds": spread(loop),
            "ratio": spread([a / b for a, b in zip(cold, loop, strict=True)]),
            "warm_seconds": spread(warm),
            "engine_precision": engine.precision,
        },
    )


if __name__ == "__main__":
    main()
