"""Reptile: its steps against autograd, and a start that is worth having."""

from __future__ import annotations

import pytest
import torch

from app.core.errors import HeadstartError
from worker.ml.solvers import reptile
from worker.ml.solvers.reptile import Episodes, ReptileSettings, Start

CLASSES = ("a", "b", "c")


def episodes(seed: int, n: int = 12, width: int = 6) -> Episodes:
    generator = torch.Generator().manual_seed(seed)
    points = torch.eye(width, dtype=torch.double)[:3]
    labels = torch.arange(n) % 3
    noise = torch.randn(n, width, generator=generator, dtype=torch.double)
    return Episodes(x=points[labels] + 0.3 * noise, labels=labels, classes=CLASSES)


def test_one_step_follows_the_slope_that_autograd_finds() -> None:
    task = episodes(0)
    generator = torch.Generator().manual_seed(1)
    start = Start(
        torch.randn(6, generator=generator, dtype=torch.double),
        torch.randn(6, 3, generator=generator, dtype=torch.double),
        torch.randn(3, generator=generator, dtype=torch.double),
        CLASSES,
    )
    weights = torch.rand(12, generator=generator, dtype=torch.double)
    parameters = [value.clone().requires_grad_() for value in start.of(CLASSES)]
    logits = (task.x * parameters[0].exp()) @ parameters[1] + parameters[2]
    losses = torch.nn.functional.cross_entropy(logits, task.labels, reduction="none")
    (losses * weights / weights.sum()).sum().backward()
    settings = ReptileSettings(inner_steps=1, inner_learning_rate=0.5)
    found = reptile.adapt(start, task, weights, settings)
    for parameter, moved in zip(parameters, found, strict=True):
        torch.testing.assert_close(moved, parameter.detach() - 0.5 * parameter.grad)


def test_a_learned_start_needs_fewer_steps() -> None:
    settings = ReptileSettings(inner_steps=2, inner_learning_rate=0.5)
    tasks = [episodes(seed) for seed in range(1, 5)]
    new = episodes(9)
    learned = reptile.meta_learn(tasks, new.x, settings, seed=0)
    bare = reptile.meta_learn([], new.x, settings, seed=0)

    def loss(start: Start) -> float:
        head = reptile.affine(
            *reptile.adapt(start, new, torch.ones(12, dtype=torch.double), settings)
        )
        return float(torch.nn.functional.cross_entropy(head.logits(new.x[None])[0, 0], new.labels))

    assert loss(learned) < 0.8 * loss(bare)


def test_unknown_labels_start_at_zero() -> None:
    start = reptile.meta_learn(
        [episodes(0)], episodes(0).x, ReptileSettings(meta_iterations=3), seed=0
    )
    _, weight, bias = start.of(["b", "never seen"])
    assert float(weight[:, 0].abs().sum()) > 0
    assert float(weight[:, 1].abs().sum() + bias[1].abs()) == 0


def test_the_same_seed_learns_the_same_start() -> None:
    first, second = (
        reptile.meta_learn([episodes(0), episodes(1)], episodes(0).x, ReptileSettings(), seed=7)
        for _ in range(2)
    )
    assert torch.equal(first.weight, second.weight)


def test_steps_that_are_too_long_are_refused() -> None:
    tasks = [episodes(seed, width=50) for seed in range(4)]
    far = [Episodes(x=10 * task.x, labels=task.labels, classes=CLASSES) for task in tasks]
    with pytest.raises(HeadstartError) as caught:
        reptile.meta_learn(far, far[0].x, ReptileSettings(inner_learning_rate=10.0), seed=0)
    assert (caught.value.code, caught.value.param) == ("diverged", "inner_learning_rate")
