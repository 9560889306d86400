"""What is told of an input whose embedding is not finite: that, or that its network gives none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from app.core.errors import HeadstartError
from worker.ml.engines.base import Engine, Vectors
from worker.ml.engines.joint import parts_of

_TEXTS = ("warm up", "The quick brown fox jumps over the lazy dog.", "")


def not_finite(engine: Engine, what: str = "this") -> HeadstartError:
    """The error of one input, `what`, of which the engine gave NaN or infinite numbers.

    The engine is shown inputs of its own first. Raises weights_invalid where it gives no finite
    numbers of any of these either: then nothing is wrong with the input.
    """
    for one in parts_of(engine):
        if not any(np.isfinite(one.embed(batch)).all() for batch in _SHOWN[one.spec.modality](one)):
            told = f"{one.spec.name} gives no finite numbers, whatever it is shown"
            raise HeadstartError("weights_invalid", told, param="model")
    told = f"{engine.spec.name} gives NaN or infinite numbers of {what}, or cannot read it"
    return HeadstartError("not_finite", told)


def own_not_finite(
    engine: Engine, own: Callable[[Any], Vectors], what: str = "this"
) -> HeadstartError:
    """The same of a model's `own` network, which makes rows [n, d] of a batch as the engine's.

    Raises model_corrupt where it gives no finite numbers of what it is shown either.
    """
    shown = _SHOWN[engine.spec.modality](engine)
    if not any(np.isfinite(own(batch)).all() for batch in shown):
        told = f"the model's own {engine.spec.name} gives no finite numbers, whatever it is shown"
        raise HeadstartError("model_corrupt", told)
    told = f"the model's own {engine.spec.name} gives NaN or infinite numbers of {what}"
    return HeadstartError("not_finite", told)


def _pictures(engine: Engine) -> Iterator[Any]:
    """Noise, grey, white and black of the network's side."""
    shape = (1, engine.spec.input_size, engine.spec.input_size, 3)
    yield np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    yield from (np.full(shape, level, np.uint8) for level in (128, 255, 0))


def _texts(_engine: Engine) -> Iterator[Any]:
    yield from ([text] for text in _TEXTS)


_SHOWN: Mapping[str, Callable[[Engine], Iterator[Any]]] = {"image": _pictures, "text": _texts}
"""Batches of one."""
