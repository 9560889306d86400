"""The steps of `make gpu-check`, within a time, written down after each."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu import needs

SECONDS = 440.0
"""No step is begun after this, so that all ends within eight minutes."""
FIGURE = (
    "engine parity against fp32 on the CPU (least cosine of any block), images and texts a second"
    " against the bare network at its best batch, a cold job, serving over HTTP, jobs at each"
    " depth, a killed tuning, memory of trainer and predictor on one card"
)
METHOD = (
    "networks of random numbers, as no weights can be fetched: speed, parity and memory only, no"
    " accuracy; drawn JPEGs; the whole service on this machine; one run"
)
Step = Callable[[], Mapping[str, Any]]


def main() -> None:
    """Check, record `gpu` where there is one, and exit by whether all holds."""
    options = _options()
    if options.wheels:
        print(" ".join(needs.travelling()))
        return
    lacking = needs.missing()
    if lacking:
        raise SystemExit(f"{lacking} is missing here: bring wheels by `make gpu-wheels`")
    import torch

    if not options.dry and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here: --dry runs the same on the CPU, tiny")
    if options.dry:
        torch.set_num_threads(1)  # a tiny network's threads wait for each other more than they work
    results = check(dry=options.dry)
    failed = [name for name, one in results.items() if not one.get("holds", True)]
    print(f"does not hold: {', '.join(failed)}" if failed else "everything holds")
    sys.exit(1 if failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="tiny, on the CPU; writes no result")
    parser.add_argument("--wheels", action="store_true", help="print what may have to travel")
    return parser.parse_args()


def check(*, dry: bool) -> dict[str, Any]:
    """Every step's figures, in order."""
    from benchmarks.gpu import engines, over_http

    began = time.monotonic()
    results: dict[str, Any] = {"device": _device(dry=dry)}

    def take(steps: Mapping[str, Step]) -> None:
        for name, step in steps.items():
            results[name] = _timed(step, late=time.monotonic() - began > SECONDS)
            _write(results, dry=dry)

    with _plan(dry=dry) as plan:
        take({
            "parity": lambda: engines.parity(plan),
            "embedding": lambda: engines.throughput(plan),
            "texts": lambda: engines.texts(plan),
            "jpeg_decoding": lambda: engines.jpeg_decoding(plan),
        })  # fmt: skip
        few, lasting = (12, 0.5) if dry else (160, 6.0)
        depths = () if dry else over_http.DEPTHS
        with over_http.rig(plan, few=few, lasting=lasting, depths=depths) as rig:
            take({
                "cold_job": lambda: over_http.cold_job(rig),
                "serving": lambda: over_http.serving(rig),
                "resume": lambda: over_http.resume(rig),
                "deeper": lambda: over_http.deeper(rig),
                "caps": lambda: over_http.caps(rig),
            })  # fmt: skip
    results["seconds"] = round(time.monotonic() - began, 1)
    _write(results, dry=dry)
    return {name: one for name, one in results.items() if isinstance(one, Mapping)}


def _timed(step: Step, *, late: bool) -> dict[str, Any]:
    """A step's figures; one that breaks does not hold, and does not keep others from running."""
    if late:
        return {"holds": False, "skipped": f"not begun after {SECONDS:.0f} seconds"}
    began = time.monotonic()
    try:
        found: Mapping[str, Any] = step()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # each step says what it found
        found = {"holds": False, "error": f"{type(error).__name__}: {error}"[:2000]}
    return {**found, "step_seconds": round(time.monotonic() - began, 1)}


def _device(*, dry: bool) -> dict[str, Any]:
    import torch

    if dry:
        return {"name": "the CPU, dry"}
    told = torch.cuda.get_device_properties(0)
    return {"name": told.name, "memory_gib": round(told.total_memory / 2**30, 1)}


def _write(results: Mapping[str, Any], *, dry: bool) -> None:
    """On a GPU after each step, so that what was found outlives a limit of time."""
    from benchmarks.record import record

    if dry:
        print(json.dumps(list(results.items())[-1], indent=2))
        return
    record("gpu", figure=FIGURE, method=METHOD, results=results)


@contextmanager
def _plan(*, dry: bool) -> Iterator[Any]:
    """Networks and pictures in a folder that goes with the check."""
    from benchmarks.gpu import inputs
    from benchmarks.gpu.engines import Plan
    from worker.ml.engines.precision import units

    networks = ("test_resnet",) if dry else ("resnet50", "vit_b_16")
    count, classes, side = (32, 2, 120) if dry else (1000, 10, 375)
    with tempfile.TemporaryDirectory(prefix="headstart-gpu-") as folder:
        inputs.save_image_networks(networks, Path(folder))
        inputs.save_text_network(Path(folder), layers=1 if dry else 6, width=32 if dry else 384)
        yield Plan(
            device="cpu" if dry else "cuda",
            weights_dir=Path(folder),
            networks=networks,
            batches=(2,) if dry else (32, 64, 128, 256, 512),
            pictures=inputs.jpegs(count, classes=classes, side=side),
            texts=inputs.texts(16 if dry else 2048, longest=60),
            seconds=0.05 if dry else 2.0,
            precisions=("f32",) if dry else units("cuda"),
        )
