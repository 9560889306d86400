"""Heads against the rest in several feature spaces, weighed by what they say of examples unseen.

As `auto` of one label an example: its spaces, ridge and logistic heads in each, standardised a
class at a time and averaged by likelihood. Every class shares the rows, their Gram matrix, the
folds and the weights of the average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from worker.ml import threads
from worker.ml.features.spaces import Channel
from worker.ml.fitting import cross_fit
from worker.ml.fitting.cross_fit import HeadFit
from worker.ml.fitting.design import Design
from worker.ml.fitting.designs import Designs, Recipe
from worker.ml.folds import Folds
from worker.ml.methods import auto, one_head
from worker.ml.methods.auto import Average, Member
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.multi_label import platt
from worker.ml.multi_label.folds import MarkedFolds
from worker.ml.solvers import logistic, moments, ridge
from worker.ml.solvers.problem import Affine, SolverProblem

RIDGE_L2 = (0.01, 0.03, 0.1, 0.3, 1.0)
LOGISTIC_L2 = (1e-3, 1e-2)
ONE_HEAD_L2: Mapping[str, tuple[float, ...]] = {
    "ridge": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "logistic": (1e-3, 1e-2, 1e-1, 1.0),
}

SHARPNESS = 2.0
"""Nats that a nat of likelihood, an example and averaged over classes, counts as between spaces."""


def fit_auto(setting: Setting, folds: MarkedFolds) -> Fitted:
    """Every head in every space, averaged by likelihood."""
    every_view = setting.asked("prediction_views") == "all"
    chosen = auto.whole(auto.recipes(setting.support.features, average=every_view))
    if len(setting.support) > auto.MOST_CHOOSING:
        chosen = _on_some(setting, folds, chosen)
    return _fitted(setting, _average(setting.designs, folds, chosen))


def fit_one(setting: Setting, folds: MarkedFolds) -> Fitted:
    """`ridge` or `logistic` in the best space and at the best λ, by out-of-fold loss."""
    method = setting.task.method
    given = setting.asked("l2")
    usual = (auto.USUAL_RIDGE_L2,) if method == "ridge" else (auto.LOGISTIC_L2,)
    grid = (ONE_HEAD_L2[method] if folds.count else usual) if given is None else (float(given),)
    best: tuple[float, Design, HeadFit, float] | None = None
    for recipe in one_head.recipes(setting):
        design = setting.designs.make(recipe)
        for l2, found in zip(grid, _FITTERS[method](design, folds, grid), strict=True):
            told = loss(found, folds)
            if best is None or told < best[0]:
                best = told, design, found, l2
    assert best is not None
    _, design, found, l2 = best
    weight, bias = design.folded(found.alpha, found.bias)
    return Fitted(
        channels=(design.channel,),
        tensors={"weight": weight, "bias": bias},
        out_of_fold=found.out_of_fold,
        used={"space": design.channel.space, "views": list(design.learned), "l2": l2},
    )


def loss(found: HeadFit, folds: MarkedFolds) -> float:
    """Nats an example, averaged over the classes that can be judged; 0 where none can."""
    classes = folds.judged.any(0)
    if not bool(classes.any()):
        return 0.0
    return float(platt.losses(found.out_of_fold, folds.marks, folds.judged)[classes].mean())


def of_marks(folds: Folds, original: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    """-log p [n] of the marks that can be judged, by scores of the examples and of their mirror
    images [n, C], averaged over classes.
    """
    assert isinstance(folds, MarkedFolds)
    judged, marks = folds.judged.double(), folds.marks.double()
    scaled = platt.fit(original, folds.marks, folds.judged)
    first, second = (
        torch.nn.functional.binary_cross_entropy_with_logits(
            scaled.logits(one), marks, reduction="none"
        )
        for one in (original, mirrored)
    )
    count = judged.sum(1).clamp(min=1)
    return (first * judged).sum(1) / count, (second * judged).sum(1) / count


def standard(found: HeadFit) -> HeadFit:
    """Scores of each class whose mean is zero and whose deviation is one."""
    mean, deviation = found.out_of_fold.mean(0), found.out_of_fold.std(0, unbiased=False)
    scale = 1 / deviation.clamp(min=1e-9)
    return HeadFit(
        found.alpha * scale,
        (found.bias - mean) * scale,
        (found.out_of_fold - mean) * scale,
    )


def by_ridge(design: Design, folds: MarkedFolds, l2: Sequence[float]) -> list[HeadFit]:
    """One fit a λ, in closed form."""
    values = torch.tensor(l2, dtype=torch.double)
    if design.many is None:
        found = cross_fit.by_ridge(design, folds, values)
    else:
        found = cross_fit.in_span(design, folds, lambda p: _by_moments(p, folds, values), len(l2))
    return [standard(one) for one in found]


def by_logistic(design: Design, folds: MarkedFolds, l2: Sequence[float]) -> list[HeadFit]:
    """One fit a λ, all of them with all folds and all classes at once."""
    marks = folds.marks[design.owner]
    grid = torch.tensor(l2).repeat_interleave(1 + folds.count)

    def solve(problem: SolverProblem) -> Affine:
        return logistic.one_against_rest(problem, marks, grid, iterations=60, tolerance=1e-3)

    return [standard(one) for one in cross_fit.in_span(design, folds, solve, len(l2))]


_FITTERS = {"ridge": by_ridge, "logistic": by_logistic}


def _by_moments(problem: SolverProblem, folds: MarkedFolds, l2: Tensor) -> Affine:
    """Of many examples, each one row; the weights of `problem` are those of the folds."""
    each = moments.of_marks(
        problem.x[0], folds.marks, folds.balance, fold=folds.fold, count=folds.count
    )
    found = ridge.from_moments(each, l2)
    return Affine(found.weight[..., :-1], found.bias[..., :-1])


def _on_some(
    setting: Setting, folds: MarkedFolds, chosen: Mapping[str, Recipe]
) -> dict[str, Recipe]:
    """Of many examples: the spaces that count on some of them."""
    most = max(2, auto.MOST_CHOOSING // (folds.classes + 1))
    some = folds.first(most)
    few = folds.take(some)
    designs = Designs(setting.transform, setting.support.take(some), few)
    return {name: chosen[name] for name in _average(designs, few, chosen).members}


def _average(maker: Designs, folds: MarkedFolds, chosen: Mapping[str, Recipe]) -> Average:
    """The weighted mean of heads over spaces; without folds, a fixed one."""
    possible = auto.HANDICAP if folds.count else auto.FIXED
    chosen = {name: recipe for name, recipe in chosen.items() if name in possible}
    maker.prepare(chosen.values())
    designs = dict(zip(chosen, threads.each(maker.ready, chosen.values()), strict=True))
    fits = dict(
        zip(designs, threads.each(lambda one: _heads(one, folds), designs.values()), strict=True)
    )
    return Average(
        members={
            name: Member(design=designs[name], fit=fits[name], share=share)
            for name, share in _shares(fits, folds).items()
        }
    )


def _heads(design: Design, folds: MarkedFolds) -> HeadFit:
    """Ridge at every λ, and logistic heads where examples are few, weighed by likelihood."""
    if not folds.count:
        return by_ridge(design, folds, (auto.USUAL_RIDGE_L2,))[0]
    fits = by_ridge(design, folds, RIDGE_L2)
    if len(folds.labels) <= auto.FEW:
        fits += by_logistic(design, folds, LOGISTIC_L2)
    scores = [-folds.examples * loss(one, folds) for one in fits]
    weights = torch.tensor(scores, dtype=torch.double).softmax(0).tolist()
    return standard(cross_fit.weighed(fits, weights))


def _shares(fits: Mapping[str, HeadFit], folds: MarkedFolds) -> dict[str, float]:
    """How much each space counts: ∝ exp(SHARPNESS·(-n·loss) - handicap); without folds FIXED."""
    if folds.count:
        n = folds.examples
        scores = [
            -SHARPNESS * n * loss(one, folds) - auto.HANDICAP[name] for name, one in fits.items()
        ]
        weights = torch.tensor(scores, dtype=torch.double).softmax(0).tolist()
    else:
        weights = [auto.FIXED[name] for name in fits]
    shares = {
        name: share
        for name, share in zip(fits, weights, strict=True)
        if share >= auto.NEGLIGIBLE or share == max(weights)
    }
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def _fitted(setting: Setting, found: Average) -> Fitted:
    """The average as one affine map of its channels."""
    weights: dict[Channel, Tensor] = {}
    bias = torch.zeros(setting.folds.classes)
    for member in found.members.values():
        channel, weight, offset = auto.affine(setting, member)
        weights[channel] = weights[channel] + weight if channel in weights else weight
        bias = bias + offset
    used: dict[str, Any] = {
        "spaces": [auto.said(name, member) for name, member in found.members.items()]
    }
    return Fitted(
        channels=tuple(weights),
        tensors={"weight": torch.cat(list(weights.values())), "bias": bias},
        out_of_fold=found.out_of_fold,
        used=used,
    )
