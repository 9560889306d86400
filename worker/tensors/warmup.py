"""What the tensor process does before it is asked: compile, and run everything once.

A network for another side, or the first fit of a process, would cost the first caller seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import numpy as np
import torch

from app.core.views import IDLE, PRIMARY
from worker.ml.engines import Engine, ImageEngine, TextEngine
from worker.ml.fit import fit
from worker.ml.images.views import as_view, view_size
from worker.ml.tasks import Support, Task

_CLASSES, _EXAMPLES = 3, 15


def steps(engine: Engine) -> Iterator[Callable[[], object]]:
    """Short pieces of work, the most useful first."""
    if engine.spec.modality == "text":
        texts = cast(TextEngine, engine)
        yield lambda: texts.embed(["warm up"] * texts.best_batch)
        return
    images = cast(ImageEngine, engine)
    for side in _sides(engine):
        yield partial(_embed_black, images, side)
    yield lambda: fit(_rehearsal(engine))


def _embed_black(engine: ImageEngine, side: int) -> None:
    engine.embed(np.zeros((engine.best_batch, side, side, 3), np.uint8))


def _sides(engine: Engine) -> list[int]:
    """Of all views' pixels; the network's own comes first."""
    spec = engine.spec
    views = [PRIMARY["image"], *(view for view in IDLE["image"] if not spec.fixed_size)]
    sides = [view_size(as_view(view), spec.input_size) for view in views]
    return list(dict.fromkeys(sides))


def _rehearsal(engine: Engine) -> Task:
    """A fit on random numbers, as small as the paths through it allow."""
    random = torch.Generator().manual_seed(0)
    shape = (_EXAMPLES, engine.spec.width)
    support = Support(
        features={PRIMARY["image"]: torch.rand(shape, generator=random).half()},
        labels=torch.arange(_EXAMPLES) % _CLASSES,
        groups=torch.arange(_EXAMPLES),
        ids=[str(number) for number in range(_EXAMPLES)],
        classes=[str(number) for number in range(_CLASSES)],
    )
    return Task(
        method="auto",
        hyperparameters={},
        support=support,
        layout=engine.spec.layout,
        backbone=engine.spec.name,
        weights_sha256=engine.weights_sha256,
    )
