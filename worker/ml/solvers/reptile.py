"""Reptile (Nichol, Achiam & Schulman 2018): learn a start from which a few steps suffice.

The learner is x → (x ⊙ eˢ) W + b. Its start is the gain s [d], shared by every task, and a row
of W and b for every label that other tasks know by the same name; rows of unknown labels start
at zero. start ← start + ε·(adapted - start) over episodes drawn from the other tasks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml import threads
from worker.ml.solvers.problem import Affine

_TRIED = 2
"""Steps that are taken to see how long one takes."""


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """A task: rows [n, d], labels [n] below len(classes), and the classes' names."""

    x: Tensor
    labels: Tensor
    classes: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ReptileSettings:
    """`meta_step` is ε; `shots` the rows of a class in an episode."""

    meta_iterations: int = 100
    meta_step: float = 0.2
    inner_steps: int = 20
    inner_learning_rate: float = 5.0
    shots: int = 5


@dataclass(frozen=True)
class Start:
    """Where adaptation starts: gain s [d], and weight [d, L] and bias [L] of the known labels."""

    gain: Tensor
    weight: Tensor
    bias: Tensor
    labels: tuple[str, ...]

    def columns(self, classes: Sequence[str]) -> Tensor:
        """The place of each class among the known labels, or -1."""
        place = {label: at for at, label in enumerate(self.labels)}
        return torch.tensor([place.get(label, -1) for label in classes])

    def of(self, classes: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """(s, W, b) for a task with these classes."""
        columns = self.columns(classes)
        known = (columns >= 0).to(self.weight.dtype)
        at = columns.clamp(min=0)
        if not self.labels:
            weight = self.gain.new_zeros(len(self.gain), len(classes))
            return self.gain, weight, weight[0]
        return self.gain, self.weight[:, at] * known, self.bias[at] * known


def meta_learn(
    tasks: Sequence[Episodes], like: Tensor, settings: ReptileSettings, *, seed: int
) -> Start:
    """The start after `meta_iterations` episodes; without tasks, zero everywhere.

    `like` [n, d] are rows of the kind that the tasks have.
    """
    labels = tuple(sorted({label for task in tasks for label in task.classes}))
    gain = like.new_zeros(like.shape[1])
    start = Start(gain, gain.new_zeros(len(gain), len(labels)), gain.new_zeros(len(labels)), labels)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.meta_iterations if tasks else 0):
        task = tasks[int(torch.randint(len(tasks), (), generator=generator))]
        start = _follow(start, _episode(task, settings.shots, generator), settings)
    return start


def seconds_expected(
    tasks: Sequence[Episodes], whole: Episodes, settings: ReptileSettings, *, runs: int
) -> float:
    """What learning the start and `runs` adaptations to `whole` will take, by two steps of each,
    which lead nowhere: an estimate does not diverge."""
    few = replace(settings, inner_steps=_TRIED, inner_learning_rate=0.0)
    generator = torch.Generator().manual_seed(0)
    steps = settings.inner_steps / _TRIED
    expected = runs * steps * _seconds(whole, few)
    if tasks:
        largest = max(tasks, key=lambda task: len(task.classes))
        episode = _episode(largest, settings.shots, generator)
        expected += settings.meta_iterations * steps * _seconds(episode, few)
    return expected


def _seconds(task: Episodes, settings: ReptileSettings) -> float:
    gain = task.x.new_zeros(task.x.shape[1])
    start = Start(gain, gain.new_zeros(len(gain), 0), gain.new_zeros(0), ())
    before = time.perf_counter()
    adapt(start, task, torch.ones_like(task.x[:, 0]), settings)
    return time.perf_counter() - before


def adapt(
    start: Start, task: Episodes, weights: Tensor, settings: ReptileSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """(s, W, b) after `inner_steps` of gradient descent on weighted mean cross-entropy.

    Raises HeadstartError `diverged`.
    """
    gain, weight, bias = (value.clone() for value in start.of(task.classes))
    share = (weights / weights.sum())[:, None]
    targets = torch.nn.functional.one_hot(task.labels, len(task.classes)).to(task.x.dtype)
    rate = settings.inner_learning_rate
    with threads.enough(task.x.numel() * len(task.classes)):
        for _ in range(settings.inner_steps):
            scaled = task.x * gain.exp()
            error = share * ((scaled @ weight + bias).softmax(1) - targets)
            by_gain = (scaled * (error @ weight.T)).sum(0)
            gain = gain - rate * by_gain
            weight, bias = weight - rate * (scaled.T @ error), bias - rate * error.sum(0)
    _refuse_divergence(gain, weight, bias)
    return gain, weight, bias


def affine(gain: Tensor, weight: Tensor, bias: Tensor) -> Affine:
    """The adapted learner as one affine map of x."""
    return Affine((gain.exp()[:, None] * weight)[None, None], bias[None, None])


def _refuse_divergence(gain: Tensor, weight: Tensor, bias: Tensor) -> None:
    """Weights beyond half precision, which heads are stored in, are no fit any more."""
    most = torch.finfo(torch.half).max
    learned = (gain.exp()[:, None] * weight, bias)
    if not all(bool((value.abs() <= most).all()) for value in learned):
        raise HeadstartError(
            "diverged",
            "Training diverged: the weights grow without bound. Try a smaller inner_learning_rate.",
            param="inner_learning_rate",
        )


def _follow(start: Start, task: Episodes, settings: ReptileSettings) -> Start:
    gain, weight, bias = adapt(start, task, torch.ones_like(task.x[:, 0]), settings)
    columns, step = start.columns(task.classes), settings.meta_step
    moved_weight, moved_bias = start.weight.clone(), start.bias.clone()
    moved_weight[:, columns] += step * (weight - start.weight[:, columns])
    moved_bias[columns] += step * (bias - start.bias[columns])
    moved_gain = start.gain + step * (gain - start.gain)
    return Start(moved_gain, moved_weight, moved_bias, start.labels)


def _episode(task: Episodes, shots: int, generator: torch.Generator) -> Episodes:
    """At most `shots` random rows of each class."""
    order = torch.randperm(len(task.labels), generator=generator)
    labels = task.labels[order]
    rows = [order[labels == c][:shots] for c in range(len(task.classes))]
    chosen = torch.cat(rows)
    return Episodes(x=task.x[chosen], labels=task.labels[chosen], classes=task.classes)
