"""Proof that a bundle answers as the service does, and how far precision alone moves an answer.

Training examples are answered with probabilities near one, which hardly move whatever computes
them: half-and-half mixtures of two of them lie near the boundaries, where they do.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml.engines import Engine
from worker.ml.engines.stream import Result, embed_stream
from worker.ml.heads import scoring
from worker.ml.heads.bundle import run as script
from worker.ml.heads.scoring import LiveHead

TOLERANCE = 0.005
"""Of a probability, bundle and service both in f32: decoders and libraries may round otherwise."""
QUANTISED = 0.05
"""The same on a graph file: in eight bits, pixels that differ by one may round to other steps."""
_MIXED = (256, 256)
_AT_LEAST = 512


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What a bundle is tried on: files, and whose they are in words."""

    examples: Sequence[bytes]
    of: str


def compare(
    classify: script.Classifier,
    head: LiveHead,
    *,
    same: Engine,
    serving: Engine,
    pictures: Pictures,
    threads: int,
) -> dict[str, Any]:
    """How far the bundle is from the service in its own precision, and from it as it answers.

    `same` computes in f32 as the bundle does, `serving` in the model's own precision.
    """
    tried = [*pictures.examples, *mixtures(pictures.examples, classify.scale)]
    bundle = torch.from_numpy(np.array(classify(tried)))

    def served(engine: Engine) -> Tensor:
        return _served(engine, head, tried, threads=threads)

    exact, answered = _both(same, serving, served)
    count = len(pictures.examples)
    return {
        "examples": count,
        "mixtures": len(tried) - count,
        "of": pictures.of,
        "max_abs_probability_difference": _difference(bundle, answered),
        "labels_equal": all(
            classify.said(ours.numpy()) == classify.said(theirs.numpy())
            for ours, theirs in zip(bundle[:count], answered[:count], strict=True)
        ),
        "bundle": classify.runtime,
        "precision": "f32",
        "service": serving.precision,
        "same_precision": {
            "service": same.precision,
            "max_abs_probability_difference": _difference(bundle, exact),
            "tolerance": tolerance(same),
        },
    }


def _both(
    same: Engine, serving: Engine, served: Callable[[Engine], Tensor]
) -> tuple[Tensor, Tensor]:
    exact = served(same)
    return exact, exact if serving is same else served(serving)


def _difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max())


def _served(engine: Engine, head: LiveHead, pictures: Sequence[bytes], *, threads: int) -> Tensor:
    """What the service answers: [n, k]."""
    embed = partial(embed_stream, engine, pictures, threads=threads)
    features = {
        view: _rows(embed(view=view, scale=head.config.pixel_scale), len(pictures))
        for view in head.config.views
    }
    with torch.inference_mode():
        predictions = scoring.predict(features, [head] * len(pictures), layout=engine.spec.layout)
    return torch.stack([one.probabilities for one in predictions])


def _rows(stream: Iterable[Result], count: int) -> Tensor:
    embedded = dict(stream)
    rows = []
    for index in range(count):
        row = embedded[index]
        if isinstance(row, HeadstartError):
            raise row
        rows.append(row)
    return torch.from_numpy(np.stack(rows))


def mixtures(pictures: Sequence[bytes], scale: script.Scale | None = None) -> list[bytes]:
    """Half of each picture and half of the next, the last with the first, as PNG files."""
    flat = [script.decode(one, _AT_LEAST, scale).resize(_MIXED) for one in pictures]
    return [_png(Image.blend(a, b, 0.5)) for a, b in zip(flat, [*flat[1:], *flat[:1]], strict=True)]


def drawn() -> list[bytes]:
    """Pictures for a model whose dataset is gone: smooth noise, as PNG files."""
    random = np.random.default_rng(0)
    return [_drawn(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(8)]


def _drawn(cells: NDArray[np.uint8]) -> bytes:
    return _png(Image.fromarray(cells).resize((320, 240), Image.Resampling.BICUBIC))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def tolerance(engine: Engine) -> float:
    """By how much a bundle's probabilities may differ from this engine's."""
    return QUANTISED if engine.spec.source == "graph" else TOLERANCE
