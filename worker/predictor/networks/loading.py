"""Puts a backbone's batcher together: engine, reader, heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary, finalize

from app.infra import weights
from app.infra.precision import Precision
from worker.answers.scoring import not_finite_of
from worker.ml.engines import Engine, load_engine
from worker.ml.engines.finite import not_finite
from worker.ml.engines.joint import joint
from worker.ml.engines.tunable import serving
from worker.predictor.answering import Answerer, Tokens
from worker.predictor.batching import Batcher, Deliver, Work
from worker.predictor.loaded import rehearse
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
    wait: float,
    deliver: Deliver,
    metrics: Metrics,
    cache: PredictionCache,
) -> Callable[[str, Precision], Batcher]:
    """`build(name, precision)`: load the backbone, warm it up, start its batcher.

    Of several backbones `a+b` each is loaded once, whoever else reads it.
    """
    engines = _Engines(
        lambda name, precision: load_engine(
            name, weights_dir, cache_dir=cache_dir, precision=precision
        ),
        metrics,
    )

    def build(name: str, precision: Precision) -> Batcher:
        spec = weights.get(name, weights_dir)
        engine = joint([engines.get(one.name, precision) for one in spec.parts])
        sizes = [size for size in _SIZES if size <= engine.best_batch]
        reader = reader_for(engine, sizes)
        for size in sizes:
            reader.forward([reader.example] * size)
        return Batcher(
            name,
            Work(
                reader.prepare,
                Answerer(
                    engine.spec,
                    cache,
                    _token_counter(engine),
                    not_finite=lambda: not_finite(engine),
                    own_not_finite=lambda head: not_finite_of(engine, head.live),
                ),
                reader.is_large,
                reader.price,
            ),
            [reader.forward],
            sizes=sizes,
            limit=limit,
            wait=wait,
            decoders=reader.decoders,
            weights_sha256=engine.weights_sha256,
            fingerprint=engine.fingerprint,
            former=engine.former,
            rehearse=lambda depth: rehearse(
                reader,
                sizes,
                serving(name, depth, weights_dir, cache_dir=cache_dir),
                depth=depth,
            ),
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


class _Engines:
    """Every engine that a batcher reads, shared by those that do; threads may share it."""

    def __init__(self, load: Callable[[str, Precision], Engine], metrics: Metrics) -> None:
        self._load, self._metrics = load, metrics
        self._loaded: WeakValueDictionary[tuple[str, Precision], Engine] = WeakValueDictionary()
        self._locks: dict[tuple[str, Precision], Lock] = {}

    def get(self, name: str, precision: Precision) -> Engine:
        """The engine of one backbone. Raises backbone_unavailable."""
        network = name, precision
        with self._locks.setdefault(network, Lock()):
            engine = self._loaded.get(network)
            if engine is None:
                engine = self._loaded[network] = self._load(name, precision)
                loaded = self._metrics.networks.labels(name, engine.precision)
                loaded.inc()
                finalize(engine, loaded.dec)
            return engine
