"""The one entry point: a task of labelled embeddings in, a head with honest numbers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml import calibration, evaluation, selection, spaces
from worker.ml.heads import logistic
from worker.ml.heads.base import Fit, HeadArtifact, Problem, Support, Task

__all__ = ["Fit", "HeadArtifact", "Support", "Task", "fit"]

GRID = torch.logspace(-3, 0, 7)
"""The λ that cross-validation chooses from (C = 1/λ from 1,000 to 1)."""


def fit(task: Task) -> Fit:
    """Fit `task.method`; raises HeadstartError unknown_method | insufficient_classes | diverged."""
    if len(set(task.support.labels.tolist())) < 2:
        raise HeadstartError("insufficient_classes", param="training_file")
    return _method(task.method)(task)


def _method(name: str) -> Callable[[Task], Fit]:
    methods: Mapping[str, Callable[[Task], Fit]] = {"auto": _logistic, "logistic": _logistic}
    if name not in methods:
        raise HeadstartError("unknown_method", f"There is no method {name!r}.", param="method")
    return methods[name]


def _logistic(task: Task) -> Fit:
    """Logistic regression on the last layer, λ by stratified, group-aware cross-validation."""
    support = selection.canonical(task.support, task.seed)
    x = spaces.last(support.features[spaces.PRIMARY], task.layout).double()
    centre = x.mean(0)
    grid = _grid(task.hyperparameters.get("l2", "auto"))
    factor = spaces.span((x - centre) @ (x - centre).T)
    best, oof, count = _choose(factor, support, grid)
    problem = _problem(factor, support, torch.ones(1, len(support)))
    affine = logistic.fit(problem, grid[best : best + 1])
    weight, bias = spaces.unspan(x - centre, factor, affine.weight[0, 0]), affine.bias[0, 0]
    temperature = _temperature(oof, support)
    artifact = _artifact(task, support, weight, bias - centre @ weight, temperature)
    return Fit(
        head=artifact,
        evaluation=_evaluation(oof, support, temperature, count),
        hyperparameters={"l2": float(grid[best]), "space": "last"},
    )


def _grid(l2: Any) -> Tensor:
    return GRID.double() if l2 == "auto" else torch.tensor([float(l2)]).double()


def _problem(x: Tensor, support: Support, weights: Tensor) -> Problem:
    balance = selection.balanced(support.labels, len(support.classes))
    return Problem(
        x=x[None], labels=support.labels, classes=len(support.classes), weights=weights * balance
    )


def _choose(x: Tensor, support: Support, grid: Tensor) -> tuple[int, Tensor | None, int]:
    """The best λ's place, its out-of-fold logits [n, k] and the folds; λ = 0.1 without folds."""
    count = selection.fold_count(support.labels, support.groups)
    if count == 0:
        return int((grid - 0.1).abs().argmin()), None, 0
    fold = selection.folds(support.labels, support.groups, count)
    masks = selection.training_weights(fold, count)
    problem = _problem(x, support, masks.repeat(len(grid), 1))
    affine = logistic.fit(problem, grid.repeat_interleave(count))
    logits = affine.logits(problem.x)[0].reshape(len(grid), count, len(x), -1)
    oof = logits[:, fold, torch.arange(len(x))]
    losses = torch.stack([torch.nn.functional.cross_entropy(z, support.labels) for z in oof])
    best = int(losses.argmin())
    return best, oof[best], count


def _temperature(oof: Tensor | None, support: Support) -> float:
    per_class = len(support) / len(support.classes)
    if oof is None:
        oof, labels = torch.zeros(0, len(support.classes)), torch.zeros(0, dtype=torch.long)
        return calibration.temperature(oof, labels, per_class=per_class)
    return calibration.temperature(oof, support.labels, per_class=per_class)


def _evaluation(
    oof: Tensor | None, support: Support, temperature: float, count: int
) -> dict[str, Any]:
    logits = torch.zeros(len(support), len(support.classes)) if oof is None else oof
    probabilities = (logits / temperature).softmax(1)
    return evaluation.evaluate(
        probabilities, support.labels, support.classes, how="k-fold", folds=count
    )


def _artifact(
    task: Task, support: Support, weight: Tensor, bias: Tensor, temperature: float
) -> HeadArtifact:
    """The head in the caller's order of classes."""
    order = [support.classes.index(label) for label in task.support.classes]
    config = {
        "format": 1,
        "method": task.method,
        "classes": list(task.support.classes),
        "spaces": ["last"],
        "prediction_views": [spaces.PRIMARY],
        "temperature": temperature,
    }
    tensors = {"weight": weight[:, order].half(), "bias": bias[order].float()}
    return HeadArtifact(tensors=tensors, config=config)
