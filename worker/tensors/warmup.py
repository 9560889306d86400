"""What the tensor process does before it is asked: compile, and run everything once.

A network for another side, or the first fit of a process, would cost the first caller seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from app.core.modalities import PRIMARY
from worker.ml.engines import Engine
from worker.ml.engines.readings import reading_of
from worker.ml.engines.stream import embedder
from worker.ml.fit import fit
from worker.ml.tasks import Support, Task

_CLASSES, _EXAMPLES = 3, 15


def steps(engine: Engine) -> Iterator[Callable[[], object]]:
    """Short pieces of work, the most useful first."""
    for batch in reading_of(engine).rehearsals(engine):
        yield partial(embedder(engine, PRIMARY[engine.spec.modality]), batch)
    if not engine.spec.reads.read_by_heads:
        yield lambda: fit(_rehearsal(engine))


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
