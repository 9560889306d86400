"""Small made-up tasks: classes as clouds around their own points, seen in several views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from app.core.backbones import pyramid
from worker.ml.solvers.problem import SolverProblem
from worker.ml.tasks import Support, Task

LAYOUT = pyramid((4, 6, 8, 12))
WIDTH = LAYOUT[-1].stop
VIEWS = ("squish", "mirror", "large", "pad", "rot90", "rot180", "rot270")


def clouds(
    counts: Sequence[int],
    *,
    seed: int = 0,
    noise: float = 0.6,
    views: Sequence[str] = ("squish",),
    names: Sequence[str] | None = None,
) -> Support:
    """`counts[c]` examples of class c; the class points depend on nothing but their number."""
    points = torch.randn(len(counts), WIDTH, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    rows = points[labels] + noise * torch.randn(len(labels), WIDTH, generator=generator)
    features = {
        view: (rows + 0.1 * number * torch.randn(rows.shape, generator=generator)).abs().half()
        for number, view in enumerate(views)
    }
    return Support(
        features=features,
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[f"ex_{seed}_{row}" for row in range(len(labels))],
        classes=list(names or [f"class {c}" for c in range(len(counts))]),
    )


def task(support: Support, method: str = "auto", **given: Any) -> Task:
    """A task on a made-up backbone, which has no generic statistics."""
    fields = {key: given.pop(key) for key in ("validation", "others", "seed") if key in given}
    return Task(
        method=method,
        hyperparameters=given,
        support=support,
        layout=LAYOUT,
        backbone="made-up",
        **fields,
    )


def problem(n: int = 24, width: int = 5, classes: int = 3, *, fits: int = 2) -> SolverProblem:
    """Random rows, random labels (every class present), random weights, float64, two spaces."""
    generator = torch.Generator().manual_seed(n)
    return SolverProblem(
        x=torch.randn(2, n, width, generator=generator, dtype=torch.double),
        labels=torch.arange(n) % classes,
        classes=classes,
        weights=torch.rand(fits, n, generator=generator, dtype=torch.double) + 0.5,
    )
