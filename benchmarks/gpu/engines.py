"""The engine on a device: the numbers of fp32 on the CPU, and its price over bare passes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from app.infra.precision import Precision
from benchmarks.embedding import bare_loop, decode_all
from benchmarks.gpu import inputs
from worker.ml.backbones import sources
from worker.ml.engines import Engine
from worker.ml.engines.base import ImageEngine
from worker.ml.engines.stream import embed_stream
from worker.ml.engines.torch_engine import load_torch

SAME, ROUNDED = 0.9999, 0.97
"""The least cosine to fp32 on the CPU: of fp32 without TF32, and of bf16,
whose roundings networks of random numbers make more of than trained ones.
"""
THREADS = len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """On which device, with which weights, and how much of everything."""

    device: str
    weights_dir: Path
    networks: Sequence[str]
    batches: Sequence[int]
    pictures: Sequence[tuple[str, bytes]]
    texts: Sequence[str]
    seconds: float
    precisions: Sequence[Precision]
    """What the device computes in, the fastest last."""

    @property
    def blobs(self) -> list[bytes]:
        """The pictures' bytes."""
        return [data for _, data in self.pictures]


def engine(plan: Plan, name: str, precision: Precision, device: str | None = None) -> Engine:
    """The torch engine of a network, as the service would load it on a GPU."""
    spec = sources.described(name, plan.weights_dir, None)
    return load_torch(spec, plan.weights_dir, device or plan.device, precision=precision)


def parity(plan: Plan) -> dict[str, Any]:
    """Of every network its rows on the device against fp32 on the CPU, whole and by its cut."""
    found: dict[str, Any] = {}
    few = plan.blobs[:16]
    for name in plan.networks:
        reference: Any = engine(plan, name, "f32", "cpu")
        pixels = np.stack(decode_all(few, reference.spec.input_size, 1))
        for precision in plan.precisions:
            made: Any = engine(plan, name, precision)
            rows = _alike(reference.embed(pixels), made.embed(pixels), reference.spec.layout)
            cut = _cosines(reference.embed_with_map(pixels), made.embed_with_map(pixels))
            found[f"{name} {precision}"] = _judged(precision, rows, float(cut.min()))
    said = plan.texts[:16]
    wanted: Any = engine(plan, inputs.TEXTS, "f32", "cpu")
    for precision in plan.precisions:
        read: Any = engine(plan, inputs.TEXTS, precision)
        cosines = _cosines(wanted.embed(said), read.embed(said))
        found[f"{inputs.TEXTS} {precision}"] = _judged(precision, float(cosines.min()))
    return {"holds": all(one["holds"] for one in found.values()), **found}


def _judged(precision: Precision, *cosines: float) -> dict[str, Any]:
    least = SAME if precision == "f32" else ROUNDED
    return {"least_cosine": round(min(cosines), 6), "holds": min(cosines) >= least}


def _alike(a: Any, b: Any, layout: Any) -> float:
    """The least cosine of any block of any row: levels are read apart."""
    blocks = ((a[:, one.start : one.stop], b[:, one.start : one.stop]) for one in layout)
    return min(float(_cosines(x, y).min()) for x, y in blocks)


def _cosines(a: Any, b: Any) -> Any:
    x, y = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return (x * y).sum(1) / np.maximum(lengths, 1e-30)


def throughput(plan: Plan) -> dict[str, Any]:
    """Images a second: the bare network, our engine over pixels, our stream over JPEGs."""
    return {name: _rates(plan, name) for name in plan.networks}


def _rates(plan: Plan, name: str) -> dict[str, Any]:
    precision = plan.precisions[-1]
    made: Any = engine(plan, name, precision)
    side, blobs = made.spec.input_size, plan.blobs
    pixels = np.zeros((made.best_batch, side, side, 3), np.uint8)
    bare = {size: bare_rate(plan, name, side, size) for size in plan.batches}
    best = max(bare.values())
    ours = rate(lambda: made.embed(pixels), len(pixels), plan)
    stream = rate(lambda: list(embed_stream(made, blobs, threads=THREADS)), len(blobs), plan)
    loop = rate(lambda: bare_loop(made, blobs, side), len(blobs), plan)
    return {
        "precision": made.precision,
        "bare_by_batch": {str(size): round(one, 1) for size, one in bare.items()},
        "engine": round(ours, 1),
        "engine_over_bare": round(ours / best, 3),
        "stream_of_jpegs": round(stream, 1),
        "stream_over_bare_loop": round(stream / loop, 3),
    }


def bare_rate(plan: Plan, name: str, side: int, size: int) -> float:
    """Of the library's own network, in the device's fastest precision, pixels already there."""
    kind = torch.bfloat16 if plan.precisions[-1] == "bf16" else torch.float32
    net: nn.Module = inputs.network(name).to(plan.device, kind)
    net = net.to(memory_format=torch.channels_last)
    pixels = torch.randn(size, 3, side, side, device=plan.device, dtype=kind)
    pixels = pixels.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return rate(lambda: net(pixels), size, plan)


def texts(plan: Plan) -> dict[str, Any]:
    """Texts a second of our engine, and of the bare encoder over tokens of one length."""
    precision = plan.precisions[-1]
    made: Any = engine(plan, inputs.TEXTS, precision)
    ours = rate(lambda: made.embed(plan.texts), len(plan.texts), plan)
    bare = {}
    for size in plan.batches:
        ids, mask = made.encoder.padded(
            [window for some in made.encoder.counted(plan.texts[:size]) for window in some]
        )
        given = [torch.from_numpy(one).to(plan.device) for one in (ids, mask)]
        with torch.inference_mode():
            bare[str(size)] = round(rate(partial(made._network, *given), len(ids), plan), 1)
    return {"precision": made.precision, "engine": round(ours, 1), "bare_by_batch": bare}


def jpeg_decoding(plan: Plan) -> dict[str, Any]:
    """Whole JPEGs a second by torchvision on the device, and ours, at the network's size, on
    threads.
    """
    from torchvision.io import decode_jpeg

    blobs = plan.blobs
    packed = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in blobs]
    threads = rate(lambda: decode_all(blobs, 224, THREADS), len(blobs), plan)
    found = {"threads": THREADS, "ours": round(threads, 1)}
    try:
        theirs = rate(lambda: _decoded(decode_jpeg, packed, plan), len(blobs), plan)
    except RuntimeError as error:
        return {**found, "torchvision": f"not on {plan.device}: {str(error).splitlines()[0]}"}
    return {**found, "torchvision": round(theirs, 1)}


def _decoded(decode: Callable[..., Any], packed: Sequence[torch.Tensor], plan: Plan) -> None:
    if plan.device == "cpu":
        for one in packed:
            decode(one)
        return
    for at in range(0, len(packed), 64):
        decode(list(packed[at : at + 64]), device=plan.device)


def rate(work: Callable[[], Any], count: int, plan: Plan) -> float:
    """Inputs a second, of which each call does `count`; once before the clock starts."""
    work()
    _finished(plan)
    began, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - began < plan.seconds:
        work()
        done += count
        _finished(plan)
    return done / (time.perf_counter() - began)


def _finished(plan: Plan) -> None:
    if plan.device != "cpu":
        torch.cuda.synchronize()


def lone_ms(made: ImageEngine, blobs: Sequence[bytes], times: int) -> float:
    """Median milliseconds from a JPEG's bytes to its rows, one after the other."""
    from benchmarks.serving.bare import lone

    return float(np.median(lone(made, list(blobs), made.spec.input_size, times)))
