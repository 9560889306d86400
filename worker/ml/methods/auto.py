"""`auto`: heads in several feature spaces, weighed by what they say of examples unseen.

A sees things as they are, M and T by its middle and by its last levels alone (of few examples: with
many A learns which), B also turned by quarters (surfaces, cells), C all levels unwhitened
(textures), D the last layer, which counts only where one example a class leaves nothing to choose
by. Chosen on image sets of other domains; the README has the measured table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from worker.ml import threads
from worker.ml.features import label_names
from worker.ml.features.spaces import Channel
from worker.ml.fitting import cross_fit
from worker.ml.fitting.cross_fit import HeadFit
from worker.ml.fitting.design import Design
from worker.ml.fitting.designs import Designs, Recipe
from worker.ml.fitting.named import blend, centred
from worker.ml.folds import Folds
from worker.ml.methods.named_classes import NamedClasses
from worker.ml.methods.setting import Fitted, Setting

RECIPES: Mapping[str, Recipe] = {
    "A": Recipe(space="late", views=("squish", "mirror", "large", "pad")),
    "M": Recipe(space="mid", views=("squish", "mirror", "large", "pad")),
    "T": Recipe(space="top", views=("squish", "mirror", "large", "pad")),
    "B": Recipe(space="late", views=("squish", "mirror", "rot90", "rot180", "rot270", "large")),
    "C": Recipe(space="all", views=("squish", "mirror")),
    "D": Recipe(space="look", views=("squish", "mirror")),
}

HANDICAP = {"A": 0.0, "M": 0.0, "T": 0.0, "B": 2.0, "C": 2.0}
"""What a space must be better by, in nats of the posterior, before it counts as much as A."""

OF_FEW = frozenset({"M", "T"})
"""The spaces that are parts of another."""

FEW_A_CLASS = 4
"""Below so many examples a class the handicaps grow as they fall: two folds say little."""

EXPONENT = 0.5
"""Of the likelihood by which spaces are weighed: losses of few examples are mostly noise."""

FIXED = {"A": 0.68, "B": 0.03, "C": 0.03, "D": 0.26}
"""Their weights where there is one example a class, and so nothing to choose by."""

RIDGE_L2 = (0.03, 0.1, 0.3, 1.0)
LOGISTIC_L2 = 1e-3
LDA_SHRINKAGE = (0.1, 0.3, 0.6)

USUAL_RIDGE_L2 = 0.1
"""λ of ridge where nothing can choose."""

FEW = 300
"""Up to so many examples every head is refitted for every fold in every space."""

MOST_CHOOSING = 300
"""Of many examples, those that spaces are chosen on, of very many classes some of the classes: more
would choose the same."""

NEGLIGIBLE = 0.02
"""Spaces with less weight than this are left out."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A space of the average, what was fitted in it, and its weight."""

    design: Design
    fit: HeadFit
    share: float


@dataclass(frozen=True, kw_only=True)
class Average:
    """logits = Σ share · member's logits, and so `out_of_fold` [n, k]."""

    members: Mapping[str, Member]

    @property
    def out_of_fold(self) -> Tensor:
        """[n, k]."""
        return sum(
            (member.share * member.fit.out_of_fold for member in self.members.values()),
            torch.zeros(()),
        )


def recipes(views: Mapping[str, Tensor], *, average: bool) -> dict[str, Recipe]:
    """The recipes that the cached views can make; B without a turned view is A again."""
    possible: dict[str, Recipe] = {}
    for name, recipe in RECIPES.items():
        present = recipe.present(views)
        if not any(r.space == recipe.space and r.views == present for r in possible.values()):
            possible[name] = Recipe(space=recipe.space, views=present, average=average)
    turned = {"rot90", "rot180", "rot270"} & set(views)
    return {name: recipe for name, recipe in possible.items() if name != "B" or turned}


def fit(setting: Setting) -> Fitted:
    """Standardised heads averaged over heads and spaces, by likelihood; with one a class, fixed."""
    every_view = setting.asked("prediction_views") == "all"
    chosen = recipes(setting.support.features, average=every_view)
    if not setting.transform.divides:
        chosen = whole(chosen)
    if len(setting.support) > MOST_CHOOSING:
        chosen = _on_some(setting, whole(chosen))
    fitted = _fitted(setting, average(setting.designs, setting.folds, chosen))
    named = _named(setting)
    return fitted if named is None else _with_names(setting, fitted, named)


def whole(chosen: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Without the spaces that are parts of another."""
    return {name: recipe for name, recipe in chosen.items() if name not in OF_FEW}


def _on_some(setting: Setting, chosen: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Of many examples: the spaces that count on some of them."""
    some, few = setting.folds.some(MOST_CHOOSING)
    designs = Designs(setting.transform, setting.support.take(some), few)
    return worthwhile(designs, few, chosen)


def average(maker: Designs, folds: Folds, chosen: Mapping[str, Recipe]) -> Average:
    """The weighted mean of standardised heads over spaces; with one a class, a fixed mean."""
    chosen = _possible(chosen, folds)
    maker.prepare(chosen.values())
    if len(folds.labels) <= FEW:
        designs = dict(zip(chosen, threads.each(maker.ready, chosen.values()), strict=True))
        fits = dict(zip(chosen, _every_head(list(designs.values()), folds), strict=True))
        shares = _shares(fits, folds)
    else:
        designs = {name: maker.make(recipe) for name, recipe in chosen.items()}
        shares = _by_ridge(designs, folds)
        fits = {name: _closed(designs[name], folds) for name in shares}
    return Average(
        members={
            name: Member(design=designs[name], fit=fits[name], share=share)
            for name, share in shares.items()
        }
    )


def worthwhile(maker: Designs, folds: Folds, chosen: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """The spaces that would count, told by ridge alone."""
    chosen = _possible(chosen, folds)
    maker.prepare(chosen.values())
    designs = {name: maker.make(recipe) for name, recipe in chosen.items()}
    return {name: chosen[name] for name in _by_ridge(designs, folds)}


def _possible(chosen: Mapping[str, Recipe], folds: Folds) -> dict[str, Recipe]:
    known = HANDICAP if folds.count else FIXED
    return {name: recipe for name, recipe in chosen.items() if name in known}


def _by_ridge(designs: Mapping[str, Design], folds: Folds) -> dict[str, float]:
    """How much each space counts by ridge's word; one alone needs none."""
    if len(designs) == 1:
        return dict.fromkeys(designs, 1.0)
    return _shares({name: _usual_ridge(one, folds) for name, one in designs.items()}, folds)


def _shares(fits: Mapping[str, HeadFit], folds: Folds) -> dict[str, float]:
    """How much each space counts: ∝ exp(-n·loss/2 - handicap); without folds as FIXED."""
    if folds.count:
        n, timid = folds.examples, max(1.0, FEW_A_CLASS / folds.per_class)
        scores = [
            -EXPONENT * n * cross_fit.out_of_fold_loss(fit.out_of_fold, folds)
            - timid * HANDICAP[name]
            for name, fit in fits.items()
        ]
        weights = torch.tensor(scores, dtype=torch.double).softmax(0).tolist()
    else:
        weights = [FIXED[name] for name in fits]
    shares = {name: share for name, share in zip(fits, weights, strict=True) if share >= NEGLIGIBLE}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def _usual_ridge(design: Design, folds: Folds) -> HeadFit:
    l2 = torch.tensor([USUAL_RIDGE_L2], dtype=torch.double)
    return cross_fit.by_ridge(design, folds, l2)[0].standard()


def _every_head(designs: Sequence[Design], folds: Folds) -> list[HeadFit]:
    """Of each design every head at every λ, weighed by likelihood; with one a class, ridge and
    logistic alike. The heads of all designs are made side by side, the slow ones first.
    """
    kinds = (_logistic, _closed_forms if folds.count else lambda *of: [_usual_ridge(*of)])
    made = threads.each(lambda one: one[0](one[1], folds), product(kinds, designs))
    heads = zip(made[: len(designs)], made[len(designs) :], strict=True)
    return threads.each(lambda two: _weighed([*two[1], *two[0]], folds), heads)


def _logistic(design: Design, folds: Folds) -> list[HeadFit]:
    l2 = torch.tensor([LOGISTIC_L2])
    return [fit.standard() for fit in cross_fit.by_logistic(design, folds, l2)]


def _closed(design: Design, folds: Folds) -> HeadFit:
    """With many examples: the heads in closed form."""
    return _weighed(_closed_forms(design, folds), folds)


def _closed_forms(design: Design, folds: Folds) -> list[HeadFit]:
    ridge = cross_fit.by_ridge(design, folds, torch.tensor(RIDGE_L2, dtype=torch.double))
    lda = cross_fit.by_lda(design, folds, torch.tensor(LDA_SHRINKAGE))
    return [fit.standard() for fit in (*ridge, *lda)]


def _weighed(fits: Sequence[HeadFit], folds: Folds) -> HeadFit:
    return cross_fit.weighed(fits, cross_fit.likelihoods(fits, folds))


def _fitted(setting: Setting, average: Average) -> Fitted:
    """The average as one affine map of its channels; its main space has the learning curve."""
    weights: dict[Channel, Tensor] = {}
    bias = torch.zeros(setting.folds.classes)
    for member in average.members.values():
        channel, weight, offset = affine(setting, member)
        weights[channel] = weights[channel] + weight if channel in weights else weight
        bias = bias + offset
    main = max(average.members.values(), key=lambda member: member.share).design
    return Fitted(
        channels=tuple(weights),
        tensors={"weight": torch.cat(list(weights.values())), "bias": bias},
        out_of_fold=average.out_of_fold,
        used={"spaces": [said(name, member) for name, member in average.members.items()]},
        curve=setting.ridge_curve(main.own),
    )


def _named(setting: Setting) -> NamedClasses | None:
    """The classes by their names, where they may count."""
    return None if setting.asked("label_names") is False else NamedClasses.of(setting.task)


def _with_names(setting: Setting, fitted: Fitted, named: NamedClasses) -> Fitted:
    """The fit and the names, weighed; no learning curve knows of names, so none is told."""
    said = centred(setting.canonical.rows(named.logits(setting.support).T).T.double())
    mix = blend(fitted.out_of_fold, said, setting.folds, temperature=named.temperature)
    learned = {name: mix.learned * value for name, value in fitted.tensors.items()}
    own = mix.named * centred(setting.canonical.rows(named.weight.T).T)
    return replace(
        fitted,
        channels=(*fitted.channels, named.channel),
        tensors={**learned, "weight": torch.cat([learned["weight"], own])},
        out_of_fold=mix.learned * fitted.out_of_fold + mix.named * said,
        temperature=mix.temperature,
        used={**fitted.used, "label_names": True, "names_weight": mix.share, **_prompts(setting)},
        curve=(),
    )


def _prompts(setting: Setting) -> dict[str, Any]:
    said = label_names.prompts(setting.task.hyperparameters, setting.modality)
    return {"prompts": list(said)}


def affine(setting: Setting, member: Member) -> tuple[Channel, Tensor, Tensor]:
    """A member's share of the logits, on a channel that predictions read."""
    fit = member.fit.scaled(member.share)
    weight, bias = member.design.folded(fit.alpha, fit.bias)
    channel = member.design.channel
    if channel.space in ("look", "mid", "top"):
        lifted = setting.transform.lift(channel.space, weight)
        channel, weight = Channel("late", channel.views), lifted
    return channel, weight, bias


def said(name: str, member: Member) -> dict[str, Any]:
    """What is told of a member."""
    return {
        "name": name,
        "space": member.design.channel.space,
        "views": list(member.design.learned),
        "weight": member.share,
    }
