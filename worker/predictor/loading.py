"""Puts a backbone's batcher together: engine, reader, heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.infra.precision import Precision
from worker.ml.engines import Engine, load_engine
from worker.predictor.answering import Answerer, Tokens
from worker.predictor.batching import Batcher, Deliver, Work
from worker.predictor.metrics import Metrics
from worker.predictor.prediction_cache import PredictionCache
from worker.predictor.readers import reader_for

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""A batch size that an engine has not seen costs it far more than a batch: these it has seen."""


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
        sizes = [size for size in _SIZES if size <= engine.best_batch]
        reader = reader_for(engine, sizes)
        for size in sizes:
            reader.forward([reader.example] * size)
        return Batcher(
            name,
            Work(
                reader.prepare,
                Answerer(engine.spec, cache, _token_counter(engine)),
                reader.is_large,
            ),
            [reader.forward],
            sizes=sizes,
            limit=limit,
            decoders=reader.decoders,
            weights_sha256=engine.weights_sha256,
            engine=engine.precision,
            deliver=deliver,
            metrics=metrics,
        )

    return build


def _token_counter(engine: Engine) -> Tokens:
    """Counts by a text backbone's tokenizer; what reads pictures has none, and counts nothing."""
    encoder = getattr(engine, "encoder", None)
    if encoder is None:
        return lambda texts: [0] * len(texts)
    counted: Tokens = encoder.counts
    return counted
