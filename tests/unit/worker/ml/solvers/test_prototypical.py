"""The nearest class mean, by distances and by the affine map."""

from __future__ import annotations

import torch

from tests.unit.worker.ml.tasks import problem
from worker.ml.solvers import prototypical


def test_logits_are_minus_the_squared_distances() -> None:
    given = problem()
    found = prototypical.fit(given).logits(given.x)[1, 0]
    w = given.weights[0]
    means = torch.stack(
        [
            (w[own, None] * given.x[1][own]).sum(0) / w[own].sum()
            for own in (given.labels == c for c in range(3))
        ]
    )
    distances = torch.cdist(given.x[1], means).square()
    expected = -distances + given.x[1].square().sum(1, keepdim=True)
    torch.testing.assert_close(found, expected)
