"""The method `linear`: the textbook recipe on the last layer, judged by a hold-out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from worker.ml import folds
from worker.ml.artifact import Fit
from worker.ml.assess import calibration
from worker.ml.features import spaces
from worker.ml.features.spaces import Channel
from worker.ml.methods.finish import Fitted, Setting, finish
from worker.ml.solvers import gradient_descent
from worker.ml.tasks import Support, Task

HOLD_OUT_FOLDS = 5
"""Without a validation set, one fold of so many is held out."""

PRIOR_TEMPERATURE = {1: 1.0}


def fit(setting: Setting) -> Fit:
    """Train, keep the best epoch, and say how good it is on what was not trained on."""
    task = setting.task
    train, held_out = _split(setting)
    settings = _settings(task)
    found = gradient_descent.fit(
        _rows(setting, train),
        classes=len(task.support.classes),
        validation=_rows(setting, held_out) if held_out is not None else None,
        settings=settings,
        seed=task.seed,
        report=task.report,
    )
    fitted = Fitted(
        channels=(Channel("raw", (setting.primary,)),),
        tensors={"weight": found.weight.T.half().contiguous(), "bias": found.bias},
        seen=torch.zeros(0, len(task.support.classes)),
        used={
            key: value
            for key, value in gradient_descent.resolved(settings).items()
            if value is not None
        }
        | {"best_epoch": found.best_epoch, "stopped_early": found.stopped_early},
        by_class=frozenset(),
        balanced=False,
        temperature=_temperature(setting, found, held_out),
    )
    judged = replace(setting, task=replace(task, validation=held_out))
    return replace(finish(judged, fitted, gram=None), checkpoints=found.checkpoints)


def _split(setting: Setting) -> tuple[Support, Support | None]:
    """What to train on and what to hold out: the validation set, or a stratified fifth."""
    task = setting.task
    if task.validation is not None and len(task.validation):
        return task.support, task.validation
    support = _in_callers_order(setting)
    if not setting.judge.count:
        return support, None
    fold = folds.folds(support.labels, support.groups, HOLD_OUT_FOLDS)
    known = folds.known(support.labels, fold, HOLD_OUT_FOLDS)
    out = (fold == 0) & known
    return support.take(torch.nonzero(~out)[:, 0]), support.take(torch.nonzero(out)[:, 0])


def _in_callers_order(setting: Setting) -> Support:
    """The canonical rows with the caller's numbers of classes."""
    caller = list(setting.task.support.classes)
    number = torch.tensor([caller.index(label) for label in setting.support.classes])
    return replace(setting.support, labels=number[setting.support.labels], classes=caller)


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
    setting: Setting, found: gradient_descent.LinearFit, held_out: Support | None
) -> float:
    """From the held-out logits; without any, one."""
    logits, labels = torch.zeros(0, setting.judge.classes), torch.zeros(0, dtype=torch.long)
    if held_out is not None:
        rows = _rows(setting, held_out)
        logits, labels = found.logits(rows.features).detach(), rows.labels
    per_class = setting.judge.per_class
    return calibration.temperature(logits, labels, per_class=per_class, prior=PRIOR_TEMPERATURE)
