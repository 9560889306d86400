"""The method `linear`: the textbook recipe on the last layer, judged by a hold-out."""

from __future__ import annotations

from typing import Any

import torch

from worker.ml.assess import calibration
from worker.ml.features import spaces
from worker.ml.features.spaces import Channel
from worker.ml.folds import assigned, estimable
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.solvers import gradient_descent
from worker.ml.tasks import Support, Task

HOLD_OUT_FOLDS = 5
"""Without a validation set, one fold of so many is held out."""

PRIOR_TEMPERATURE = {1: 1.0}


def fit(setting: Setting) -> Fitted:
    """Train, keep the best epoch, and say how good it is on what was not trained on."""
    task = setting.task
    train, held_out = _split(setting)
    settings = _settings(task)
    descended = gradient_descent.fit(
        _rows(setting, train),
        classes=len(task.support.classes),
        validation=_rows(setting, held_out) if held_out is not None else None,
        settings=settings,
        seed=task.seed,
        report=task.report,
    )
    resolved = gradient_descent.resolved(settings)
    return Fitted(
        channels=(Channel("raw", (setting.primary,)),),
        tensors={"weight": descended.weight.T.contiguous(), "bias": descended.bias},
        out_of_fold=torch.zeros(0, len(task.support.classes)),
        used={key: value for key, value in resolved.items() if value is not None}
        | {"best_epoch": descended.best_epoch, "stopped_early": descended.stopped_early},
        by_class=frozenset(),
        balanced=False,
        temperature=_temperature(setting, descended, held_out),
        held_out=held_out,
    )


def _split(setting: Setting) -> tuple[Support, Support | None]:
    """What to train on and what to hold out: the validation set, or a stratified fifth.

    Both with the caller's numbers of classes.
    """
    task = setting.task
    if task.validation is not None and len(task.validation):
        return task.support, task.validation
    support = setting.canonical.renamed()
    if not setting.folds.count:
        return support, None
    fold = assigned(support.labels, support.groups, HOLD_OUT_FOLDS)
    known = estimable(support.labels, fold, HOLD_OUT_FOLDS)
    out = (fold == 0) & known
    judged = setting.folds.original(out)
    return support.take(torch.nonzero(~out)[:, 0]), support.take(torch.nonzero(judged)[:, 0])


def _rows(setting: Setting, support: Support) -> gradient_descent.Split:
    x = support.features[spaces.primary(support.features)]
    return gradient_descent.Split(features=setting.transform("raw", x), labels=support.labels)


def _settings(task: Task) -> gradient_descent.DescentSettings:
    given: dict[str, Any] = {
        key: value
        for key, value in task.hyperparameters.items()
        if value != "auto" and key in gradient_descent.DescentSettings.__dataclass_fields__
    }
    usual = {"learning_rate": 1e-2 if given.get("optimizer") == "sgd" else 1e-4, "patience": 5}
    return gradient_descent.DescentSettings(**(usual | given))


def _temperature(
    setting: Setting, descended: gradient_descent.LinearFit, held_out: Support | None
) -> float:
    """From the held-out logits; without any, one."""
    logits, labels = torch.zeros(0, setting.folds.classes), torch.zeros(0, dtype=torch.long)
    if held_out is not None:
        rows = _rows(setting, held_out)
        logits, labels = descended.logits(rows.features).detach(), rows.labels
    per_class = setting.folds.per_class
    return calibration.temperature(logits, labels, per_class=per_class, prior=PRIOR_TEMPERATURE)
