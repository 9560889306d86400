"""One cold job, first byte of the upload to `succeeded`, over a bare decode-and-embed loop."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from benchmarks.embedding import bare_loop
from benchmarks.record import record, shared_data, spread
from benchmarks.service import class_folders, fine_tune, running, upload, zipped
from worker.ml.engines import Engine, load_engine


def bare(engine: Engine, contents: Sequence[bytes]) -> float:
    """Seconds of the bare loop: threads that decode, overlapped with passes at the best batch."""
    started = time.perf_counter()
    bare_loop(engine, contents, engine.spec.input_size)
    return time.perf_counter() - started


def main(rounds: int) -> None:
    """Alternate the two, so that a drifting machine slows both."""
    pictures = class_folders(shared_data() / "clothing" / "train")
    archive, contents = zipped(pictures), [path.read_bytes() for _, path in pictures]
    engine = load_engine("efficientnet_lite0", None)
    bare(engine, contents[:64])
    cold, loop, warm = [], [], []
    with running() as service:
        warm_up = upload(service.client, zipped(pictures[::25]))
        fine_tune(service.client, warm_up["id"])
        service.settle()
        for number in range(rounds):
            tenant = service.tenant(f"round-{number}")
            loop.append(bare(engine, contents))
            started = time.perf_counter()
            dataset = upload(tenant, archive)
            fine_tune(tenant, dataset["id"])
            cold.append(time.perf_counter() - started)
            service.settle()
            for _ in range(3):
                started = time.perf_counter()
                fine_tune(tenant, dataset["id"])
                warm.append(time.perf_counter() - started)
    record(
        "cold_job",
        figure="a cold job on 1,000 clothing images over the bare decode + forward loop;"
        " and the same job warm",
        method=f"{rounds} rounds, alternating; each cold job in a new organisation, whose caches"
        " are empty; models loaded beforehand on both sides; warm: every view cached, trainer idle,"
        " POST of the job to its answer with Prefer: wait",
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    main(parser.parse_args().rounds)
