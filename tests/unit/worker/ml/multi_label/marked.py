"""Small made-up sets with several labels an example: a point a label, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tests.unit.worker.ml.tasks import WIDTH, clouds
from worker.ml.tasks import Support


def marked(
    marks: Tensor, *, seed: int = 0, noise: float = 0.5, views: Sequence[str] = ("squish",)
) -> Support:
    """Examples with these marks [n, C]."""
    n, classes = marks.shape
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(classes, WIDTH, generator=torch.Generator().manual_seed(5))
    rows = marks.float() @ points + noise * torch.randn(n, WIDTH, generator=generator)
    bare = clouds([n], seed=seed, views=views)
    return replace(
        bare,
        features={view: (rows + 0.05 * at).abs().half() for at, view in enumerate(views)},
        labels=torch.zeros(n, dtype=torch.long),
        classes=[f"class {c}" for c in range(classes)],
        marks=marks,
    )


def drawn(n: int, classes: int = 4, *, share: float = 0.35, seed: int = 0) -> Tensor:
    """Marks [n, C] at random."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, classes, generator=generator) < share
