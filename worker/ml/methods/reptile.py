"""The method `reptile`: a start learned on the organisation's other sets, then a few steps.

Of very many examples the steps are taken on the landmarks, as many of every class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml.features import spaces
from worker.ml.fitting.design import Design
from worker.ml.folds import Folds, training_weights
from worker.ml.methods import one_head
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.solvers import reptile
from worker.ml.solvers.gradient_descent import refuse_steps
from worker.ml.solvers.reptile import Episodes, ReptileSettings, Start
from worker.ml.tasks import Support

LEAST_RATE = 1e-6
"""Where nothing slower is tried any more: whatever diverges then is no fit at all."""
LONG_SECONDS = 5.0
"""From here on a job says beforehand how long it will take."""


def fit(setting: Setting) -> Fitted:
    """The adapted learner and its out-of-fold logits."""
    design = setting.designs.few().whole(one_head.recipes(setting)[0])
    settings = _settings(setting)
    tasks = _tasks(setting, design)
    episodes = (settings.meta_iterations if tasks else 0) + 1 + setting.folds.count
    refuse_steps(episodes * settings.inner_steps, "meta_iterations")
    _warn(setting, design, tasks, settings)
    settings, (weight, bias, logits) = _learned(setting, design, tasks, settings)
    logits = logits - logits.mean(1, keepdim=True)
    scale = 1 / max(float(logits.std()), 1e-9)
    return Fitted(
        channels=(design.channel,),
        tensors={
            "weight": scale * weight,
            "bias": scale * (bias - design.centre @ weight),
        },
        out_of_fold=logits.double() * scale,
        used={
            "space": design.channel.space,
            "views": list(design.learned),
            "other_datasets": len(tasks),
            "meta_iterations": settings.meta_iterations if tasks else 0,
            "meta_step": settings.meta_step,
            "inner_steps": settings.inner_steps,
            "inner_learning_rate": settings.inner_learning_rate,
        },
        curve=setting.ridge_curve(design.own),
    )


def _learned(
    setting: Setting, design: Design, tasks: Sequence[Episodes], settings: ReptileSettings
) -> tuple[ReptileSettings, tuple[Tensor, Tensor, Tensor]]:
    """What was learned, and with which settings: where nobody has given a rate, the largest of the
    usual one and its quarters that does not diverge. Raises HeadstartError `diverged`."""
    try:
        start = reptile.meta_learn(tasks, design.x, settings, seed=setting.task.seed)
        return settings, _adapted(setting, design, start, settings)
    except HeadstartError as error:
        slower = replace(settings, inner_learning_rate=settings.inner_learning_rate / 4)
        given = setting.asked("inner_learning_rate") is not None
        if given or error.code != "diverged" or slower.inner_learning_rate < LEAST_RATE:
            raise
    return _learned(setting, design, tasks, slower)


def _warn(
    setting: Setting, design: Design, tasks: Sequence[Episodes], settings: ReptileSettings
) -> None:
    """Say so before it starts where it will take more than a moment on this machine."""
    labels = design.folds.labels[design.owner]
    whole = Episodes(x=design.x, labels=labels, classes=setting.support.classes)
    expected = reptile.seconds_expected(tasks, whole, settings, runs=1 + setting.folds.count)
    if expected > LONG_SECONDS:
        said = f"reptile takes about {round(expected):,} s here: {settings.meta_iterations:,} tasks"
        told = f"{said} of {settings.inner_steps:,} steps; fewer meta_iterations take less"
        setting.task.report({"type": "message", "level": "warn", "message": told})


def _settings(setting: Setting) -> ReptileSettings:
    names = ("meta_iterations", "meta_step", "inner_steps", "inner_learning_rate")
    asked = {name: setting.asked(name) for name in names}
    return ReptileSettings(**{name: value for name, value in asked.items() if value is not None})


def _tasks(setting: Setting, design: Design) -> list[Episodes]:
    """The other sets in the design's space, each centred on its own mean."""
    return [
        _episodes(setting, design, other)
        for other in setting.task.others
        if len(set(other.labels.tolist())) > 1
    ]


def _episodes(setting: Setting, design: Design, other: Support) -> Episodes:
    view = spaces.primary(other.features)
    x = setting.transform(design.channel.space, other.features[view])
    present = sorted(set(other.labels.tolist()))
    number = torch.zeros(len(other.classes), dtype=torch.long)
    number[present] = torch.arange(len(present))
    return Episodes(
        x=x - x.mean(0),
        labels=number[other.labels],
        classes=[other.classes[c] for c in present],
    )


def _adapted(
    setting: Setting, design: Design, start: Start, settings: ReptileSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """(W, b) of the whole set and the logits [n, k] of each example by a fit without its fold."""
    folds = setting.folds
    whole = _run(design, setting.support.classes, start, settings, keep=None)
    without = [
        _run(design, setting.support.classes, start, settings, keep=keep)
        for keep in _masks(design.folds)
    ]
    logits = torch.empty(len(folds.labels), folds.classes)
    for rows, asked in setting.designs.asked(design):
        logits[rows] = asked @ whole[0] + whole[1]
        for number, (weight, bias) in enumerate(without):
            mine = folds.fold[rows] == number
            logits[rows[mine]] = asked[mine] @ weight + bias
    return *whole, logits


def _masks(folds: Folds) -> Sequence[Tensor]:
    return list(training_weights(folds.fold, folds.count)) if folds.count else []


def _run(
    design: Design,
    classes: Sequence[str],
    start: Start,
    settings: ReptileSettings,
    *,
    keep: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """(W [F, k], b [k]) adapted to the rows whose example is kept."""
    weights = design.weights.float()
    if keep is not None:
        weights = weights * keep[design.owner].float()
    task = Episodes(x=design.x, labels=design.folds.labels[design.owner], classes=classes)
    adapted = reptile.affine(*reptile.adapt(start, task, weights, settings))
    return adapted.weight[0, 0], adapted.bias[0, 0]
