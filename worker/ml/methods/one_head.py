"""The methods with one head in one space: logistic, ridge, lda and prototypical."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from app.core.backbones import taken_apart
from worker.ml.features import spaces
from worker.ml.fitting import cross_fit
from worker.ml.fitting.cross_fit import HeadFit
from worker.ml.fitting.design import Design
from worker.ml.fitting.designs import Recipe
from worker.ml.folds import Folds
from worker.ml.methods import auto
from worker.ml.methods.setting import Fitted, Method, Setting

Fitter = Callable[[Design, Folds, Tensor], list[HeadFit]]


@dataclass(frozen=True)
class OneHead:
    """How a head is fitted at every setting of its one hyperparameter at once."""

    fit: Fitter
    name: str | None
    grid: tuple[float, ...]
    usual: float
    """Where nothing can choose."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A design and the fit on it at `value` of the head's hyperparameter."""

    design: Design
    fit: HeadFit
    value: float


def fit(setting: Setting, head: OneHead) -> Fitted:
    """The head in the best space and at the best hyperparameter, by out-of-fold loss."""
    choices = [
        choice
        for recipe in recipes(setting)
        for choice in _choices(setting, head, setting.designs.make(recipe))
    ]
    best = min(choices, key=lambda c: cross_fit.out_of_fold_loss(c.fit.out_of_fold, setting.folds))
    weight, bias = best.design.folded(best.fit.alpha, best.fit.bias)
    used = {"space": best.design.channel.space, "views": list(best.design.learned)}
    return Fitted(
        channels=(best.design.channel,),
        tensors={"weight": weight, "bias": bias},
        out_of_fold=best.fit.out_of_fold,
        used=used | ({head.name: best.value} if head.name else {}),
        curve=setting.ridge_curve(best.design.own),
    )


def recipes(setting: Setting) -> list[Recipe]:
    """The spaces to choose from: one that is asked for, all three where folds can choose."""
    chosen = setting.asked("space")
    if chosen is not None:
        names: Sequence[str] = [chosen]
    elif all(len(own) == 1 for own in taken_apart(setting.task.layout)):
        names = ["late" if setting.statistics else "last"]  # one block, of texts: centred or not
    else:
        names = ["late", "last", "all"] if setting.folds.count else ["late"]
    average = setting.asked("prediction_views") == "all"
    return [recipe(name, setting.support.features, average=average) for name in names]


def recipe(space: str, features: Mapping[str, Tensor], *, average: bool) -> Recipe:
    """A space with the cached ones of its usual views."""
    usual = auto.RECIPES["C" if space == "all" else "A"].views
    views = tuple(view for view in usual if view in features) or (spaces.primary(features),)
    return Recipe(space=space, views=views, average=average)


def _choices(setting: Setting, head: OneHead, design: Design) -> list[Choice]:
    """Fits at the values to choose from; where nothing can choose, only the usual one."""
    given = setting.asked(head.name) if head.name else None
    grid = head.grid if setting.folds.count else (head.usual,)
    values = grid if given is None else (float(given),)
    fits = head.fit(design, setting.folds, torch.tensor(values, dtype=torch.double))
    return [
        Choice(design=design, fit=fit.standard(), value=value)
        for fit, value in zip(fits, values, strict=True)
    ]


logistic: Method = partial(
    fit, head=OneHead(cross_fit.by_logistic, "l2", (1e-3, 1e-2, 1e-1, 1.0), auto.LOGISTIC_L2)
)
ridge: Method = partial(
    fit,
    head=OneHead(cross_fit.by_ridge, "l2", (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), auto.USUAL_RIDGE_L2),
)
lda: Method = partial(fit, head=OneHead(cross_fit.by_lda, "shrinkage", (0.03, 0.1, 0.3, 0.6), 0.3))
prototypical: Method = partial(fit, head=OneHead(cross_fit.by_prototypes, None, (0.0,), 0.0))
