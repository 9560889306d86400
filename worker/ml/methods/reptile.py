"""The method `reptile`: a start learned on the organisation's other sets, then a few steps.

Of very many examples the steps are taken on the landmarks, as many of every class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.ml import folds
from worker.ml.features import spaces
from worker.ml.fitting.design import Design, Designs
from worker.ml.folds import Folds
from worker.ml.methods import one_head
from worker.ml.methods.finish import Fitted, Setting
from worker.ml.solvers import reptile
from worker.ml.solvers.reptile import Episodes, ReptileSettings, Start
from worker.ml.tasks import Support


def fit(setting: Setting, maker: Designs) -> tuple[Fitted, Tensor]:
    """The adapted learner, its out-of-fold logits, and the Gram matrix of the landmarks."""
    design = maker.few().whole(one_head.recipes(setting)[0])
    settings = _settings(setting)
    tasks = _tasks(setting, design)
    start = reptile.meta_learn(tasks, design.x, settings, seed=setting.task.seed)
    weight, bias, seen = _adapted(setting, maker, design, start, settings)
    seen = seen - seen.mean(1, keepdim=True)
    scale = 1 / max(float(seen.std()), 1e-9)
    fitted = Fitted(
        channels=(design.channel,),
        tensors={
            "weight": (scale * weight).half(),
            "bias": scale * (bias - design.centre @ weight),
        },
        seen=seen.double() * scale,
        used={
            "space": design.channel.space,
            "views": list(design.learned),
            "other_datasets": len(tasks),
            "meta_iterations": settings.meta_iterations if tasks else 0,
            "meta_step": settings.meta_step,
            "inner_steps": settings.inner_steps,
            "inner_learning_rate": settings.inner_learning_rate,
        },
    )
    return fitted, design.own


def _settings(setting: Setting) -> ReptileSettings:
    given = setting.task.hyperparameters
    names = ("meta_iterations", "meta_step", "inner_steps", "inner_learning_rate")
    chosen = {name: given[name] for name in names if given.get(name, "auto") != "auto"}
    return ReptileSettings(**chosen)


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
    setting: Setting, maker: Designs, design: Design, start: Start, settings: ReptileSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """(W, b) of the whole set and the logits [n, k] of each example by a fit without its fold."""
    judge = setting.judge
    whole = _run(design, setting.support.classes, start, settings, keep=None)
    without = [
        _run(design, setting.support.classes, start, settings, keep=keep)
        for keep in _masks(design.judge)
    ]
    seen = torch.empty(len(judge.labels), judge.classes)
    for rows, asked in maker.asked(design):
        seen[rows] = asked @ whole[0] + whole[1]
        for number, (weight, bias) in enumerate(without):
            mine = judge.fold[rows] == number
            seen[rows[mine]] = asked[mine] @ weight + bias
    return *whole, seen


def _masks(judge: Folds) -> Sequence[Tensor]:
    return list(folds.training_weights(judge.fold, judge.count)) if judge.count else []


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
    task = Episodes(x=design.x, labels=design.judge.labels[design.owner], classes=classes)
    adapted = reptile.affine(*reptile.adapt(start, task, weights, settings))
    return adapted.weight[0, 0], adapted.bias[0, 0]
