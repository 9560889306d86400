"""The nearest training examples are the nearest."""

from __future__ import annotations

import torch

from app.core.backbones import Block
from worker.ml.heads.base import Support
from worker.ml.neighbours import of_support

LAYOUT = (Block(0, "max", 0, 2), Block(0, "mean", 2, 5))


def test_the_nearest_come_first_by_the_last_layers_cosine() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 5, generator=generator)
    support = Support(
        features={"squish": rows},
        labels=torch.tensor([0, 1, 0, 1, 0, 1]),
        groups=torch.arange(6),
        ids=[f"ex_{place}" for place in range(6)],
        classes=["a", "b"],
    )
    known = of_support(support, LAYOUT)
    asked = rows[[4]] * 3
    asked[:, :2] = 100  # not of the last layer: changes nothing
    (found,) = known.nearest(asked, LAYOUT, count=3)
    assert (found[0].example_id, found[0].label) == ("ex_4", "a")
    assert abs(found[0].similarity - 1) < 1e-3
    cosines = torch.nn.functional.cosine_similarity(rows[[4], 2:], rows[:, 2:])
    order = cosines.argsort(descending=True).tolist()
    assert [one.example_id for one in found] == [f"ex_{place}" for place in order[:3]]
    assert len(known.nearest(asked, LAYOUT, count=100)[0]) == 6
