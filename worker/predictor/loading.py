"""Puts a backbone's batcher together: engine, decoding, heads."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.core.errors import HeadstartError
from app.core.image_header import inspect
from app.core.views import View
from app.infra.precision import Precision
from worker.answers.scoring import Rows
from worker.ml.engines import ImageEngine, load_engine
from worker.ml.heads.occlusion import occluded
from worker.ml.images.decoding import is_large
from worker.ml.images.views import PRIMARY, decode_views
from worker.predictor.answering import Answerer
from worker.predictor.batching import Batcher, Deliver, Work
from worker.predictor.calls import PendingInput
from worker.predictor.metrics import Metrics
from worker.predictor.prediction_cache import PredictionCache

Pixels = NDArray[np.uint8]
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""A batch size that an engine has not seen costs it far more than a batch: these it has seen."""
_HEAD = 2**16
"""Bytes within which most images say their size."""


def batcher_builder(
    *,
    weights_dir: Path | None,
    cache_dir: Path,
    limit: int,
    deliver: Deliver,
    metrics: Metrics,
    cache: PredictionCache,
) -> Callable[[str, Precision], Batcher]:
    """`build(name, precision)`: load the backbone, warm it up, start its batcher."""

    def build(name: str, precision: Precision) -> Batcher:
        engine = load_engine(name, weights_dir, cache_dir=cache_dir, precision=precision)
        metrics.networks.labels(name, engine.precision).inc()
        image = engine.spec.modality == "image"
        sizes = [size for size in _SIZES if size <= engine.best_batch]
        forward = _image_forward(engine, sizes) if image else _text_forward(engine)
        example: Any = _black(engine.spec.input_size) if image else "warm up"
        for size in sizes:
            forward([example] * size)
        prepare = _image_prepare(engine.spec.input_size) if image else _text_prepare
        return Batcher(
            name,
            Work(prepare, Answerer(engine.spec, cache), _is_large if image else None),
            [forward],
            sizes=sizes,
            limit=limit,
            decoders=cores() if image else 1,
            weights_sha256=engine.weights_sha256,
            engine=engine.precision,
            deliver=deliver,
            metrics=metrics,
        )

    return build


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _black(size: int) -> list[Pixels]:
    return [np.zeros((size, size, 3), np.uint8)]


def _image_prepare(size: int) -> Callable[[PendingInput], list[Pixels]]:
    """Decode straight to the network's size, each view that the item's heads read."""

    def prepare(item: PendingInput) -> list[Pixels]:
        head = item.call.head
        scale = head.live.config.pixel_scale if head is not None else None
        views = cast(Sequence[View], item.views) or (PRIMARY,)
        pixels = decode_views(bytes(item.input.data), views, size, scale=scale)
        return pixels + occluded(pixels[0]) if item.wants_saliency else pixels

    return prepare


def _is_large(item: PendingInput) -> bool:
    """By the header, which seldom needs a copy of the whole file; decoding says what is wrong."""
    for part in (item.input.data[:_HEAD], item.input.data):
        with suppress(HeadstartError):
            return is_large(inspect(bytes(part)))
    return False


def _image_forward(
    engine: Any, sizes: Sequence[int]
) -> Callable[[Sequence[list[Pixels]]], Sequence[Rows]]:
    """One pass for each side length among the views, almost always one."""

    def forward(batch: Sequence[list[Pixels]]) -> Sequence[Rows]:
        flat = [pixels for views in batch for pixels in views]
        same = len(flat) == 1 or len({pixels.shape for pixels in flat}) == 1
        rows = _in_sizes(engine, flat, sizes) if same else _by_shape(engine, flat)
        counts = np.cumsum([len(views) for views in batch])[:-1]
        return np.split(rows, counts)

    return forward


def _in_sizes(engine: Any, flat: Sequence[Pixels], sizes: Sequence[int]) -> Rows:
    """In passes of sizes that the engine has been warmed up for."""
    passes: list[Rows] = []
    at = 0
    while at < len(flat):
        size = sizes[bisect_right(sizes, len(flat) - at) - 1]
        passes.append(engine.embed(np.stack(flat[at : at + size])))
        at += size
    return passes[0] if len(passes) == 1 else np.concatenate(passes)


def _by_shape(engine: ImageEngine, flat: Sequence[Pixels]) -> Rows:
    rows: list[Rows | None] = [None] * len(flat)
    for shape in {pixels.shape for pixels in flat}:
        places = [place for place, pixels in enumerate(flat) if pixels.shape == shape]
        embedded = engine.embed(np.stack([flat[place] for place in places]))
        for place, row in zip(places, embedded, strict=True):
            rows[place] = row
    return np.stack([row for row in rows if row is not None])


def _text_prepare(item: PendingInput) -> str:
    return str(item.input.data, "utf-8")


def _text_forward(engine: Any) -> Callable[[Sequence[str]], Sequence[Rows]]:
    def forward(batch: Sequence[str]) -> Sequence[Rows]:
        rows: Rows = engine.embed(list(batch))
        return list(rows[:, None])

    return forward
