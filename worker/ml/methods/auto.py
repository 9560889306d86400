"""`auto`: heads in several feature spaces, weighed by what they say of examples unseen.

A sees things as they are, B also turned by quarters (surfaces, cells), C all levels unwhitened
(textures), D the last layer, which counts only where one example a class leaves nothing to choose
by. Chosen on seven image sets of other domains; the README has the measured table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from worker.ml import threads
from worker.ml.features.spaces import Channel, Transform
from worker.ml.fitting import cross_fit
from worker.ml.fitting.cross_fit import HeadFit
from worker.ml.fitting.design import Design, Designs, Recipe
from worker.ml.folds import Folds
from worker.ml.methods.finish import Fitted

RECIPES: Mapping[str, Recipe] = {
    "A": Recipe(space="late", views=("squish", "mirror", "large", "pad")),
    "B": Recipe(space="late", views=("squish", "mirror", "rot90", "rot180", "rot270", "large")),
    "C": Recipe(space="all", views=("squish", "mirror")),
    "D": Recipe(space="look", views=("squish", "mirror")),
}

HANDICAP = {"A": 0.0, "B": 2.0, "C": 2.0}
"""Nats that a space must be better by before it counts as much as A."""

FIXED = {"A": 0.68, "B": 0.03, "C": 0.03, "D": 0.26}
"""Their weights where there is one example a class, and so nothing to choose by."""

RIDGE_L2 = (0.03, 0.1, 0.3, 1.0)
LOGISTIC_L2 = 1e-3
LDA_SHRINKAGE = (0.1, 0.3, 0.6)

USUAL_RIDGE_L2 = 0.1
"""λ of ridge where nothing can choose."""

FEW = 300
"""Up to so many examples every head is refitted for every fold in every space."""

NEGLIGIBLE = 0.02
"""Spaces with less weight than this are left out."""


@dataclass(frozen=True, kw_only=True)
class MixtureMember:
    """A space of the mixture, what was fitted in it, and its weight."""

    design: Design
    fit: HeadFit
    share: float


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """logits = Σ share · member's logits; `seen` [n, k] are those to judge by."""

    members: Mapping[str, MixtureMember]

    @property
    def seen(self) -> Tensor:
        """[n, k]."""
        return sum(
            (member.share * member.fit.seen for member in self.members.values()), torch.zeros(())
        )


def recipes(views: Mapping[str, Tensor], *, average: bool) -> dict[str, Recipe]:
    """The recipes that the cached views can make; B without a turned view is A again."""
    found: dict[str, Recipe] = {}
    for name, recipe in RECIPES.items():
        present = recipe.present(views)
        if not any(r.space == recipe.space and r.views == present for r in found.values()):
            found[name] = Recipe(space=recipe.space, views=present, average=average)
    turned = {"rot90", "rot180", "rot270"} & set(views)
    return {name: recipe for name, recipe in found.items() if name != "B" or turned}


def fit(maker: Designs, judge: Folds, chosen: Mapping[str, Recipe]) -> Mixture:
    """The weighted mean of standardised heads over spaces; with one a class, a fixed mean."""
    chosen = _possible(chosen, judge)
    maker.prepare(chosen.values())
    if len(judge.labels) <= FEW:
        designs = dict(zip(chosen, threads.each(maker.ready, chosen.values()), strict=True))
        fits = dict(zip(chosen, _every_head(list(designs.values()), judge), strict=True))
        shares = _shares(fits, judge)
    else:
        designs = {name: maker.make(recipe) for name, recipe in chosen.items()}
        shares = _by_ridge(designs, judge)
        fits = {name: _closed(designs[name], judge) for name in shares}
    return Mixture(
        members={
            name: MixtureMember(design=designs[name], fit=fits[name], share=share)
            for name, share in shares.items()
        }
    )


def worthwhile(maker: Designs, judge: Folds, chosen: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """The spaces that would count, told by ridge alone."""
    chosen = _possible(chosen, judge)
    maker.prepare(chosen.values())
    designs = {name: maker.make(recipe) for name, recipe in chosen.items()}
    return {name: chosen[name] for name in _by_ridge(designs, judge)}


def _possible(chosen: Mapping[str, Recipe], judge: Folds) -> dict[str, Recipe]:
    known = HANDICAP if judge.count else FIXED
    return {name: recipe for name, recipe in chosen.items() if name in known}


def _by_ridge(designs: Mapping[str, Design], judge: Folds) -> dict[str, float]:
    """How much each space counts by ridge's word; one alone needs none."""
    if len(designs) == 1:
        return dict.fromkeys(designs, 1.0)
    return _shares({name: _usual_ridge(one, judge) for name, one in designs.items()}, judge)


def _shares(fits: Mapping[str, HeadFit], judge: Folds) -> dict[str, float]:
    """How much each space counts: ∝ exp(2·(-n·loss) - handicap); without folds as FIXED."""
    if judge.count:
        n = len(judge.labels)
        scores = [
            -2 * n * cross_fit.unseen_loss(fit.seen, judge) - HANDICAP[name]
            for name, fit in fits.items()
        ]
        found = torch.tensor(scores, dtype=torch.double).softmax(0).tolist()
    else:
        found = [FIXED[name] for name in fits]
    shares = {name: share for name, share in zip(fits, found, strict=True) if share >= NEGLIGIBLE}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def _usual_ridge(design: Design, judge: Folds) -> HeadFit:
    l2 = torch.tensor([USUAL_RIDGE_L2], dtype=torch.double)
    return cross_fit.by_ridge(design, judge, l2)[0].standard()


def _every_head(designs: Sequence[Design], judge: Folds) -> list[HeadFit]:
    """Of each design every head at every λ, weighed by likelihood; with one a class, ridge and
    logistic alike. The heads of all designs are made side by side, the slow ones first.
    """
    kinds = (_logistic, _closed_forms if judge.count else lambda *of: [_usual_ridge(*of)])
    made = threads.each(lambda one: one[0](one[1], judge), product(kinds, designs))
    heads = zip(made[: len(designs)], made[len(designs) :], strict=True)
    return threads.each(lambda two: _weighed([*two[1], *two[0]], judge), heads)


def _logistic(design: Design, judge: Folds) -> list[HeadFit]:
    l2 = torch.tensor([LOGISTIC_L2])
    return [fit.standard() for fit in cross_fit.by_logistic(design, judge, l2)]


def _closed(design: Design, judge: Folds) -> HeadFit:
    """With many examples: the heads in closed form."""
    return _weighed(_closed_forms(design, judge), judge)


def _closed_forms(design: Design, judge: Folds) -> list[HeadFit]:
    ridge = cross_fit.by_ridge(design, judge, torch.tensor(RIDGE_L2, dtype=torch.double))
    lda = cross_fit.by_lda(design, judge, torch.tensor(LDA_SHRINKAGE))
    return [fit.standard() for fit in (*ridge, *lda)]


def _weighed(fits: Sequence[HeadFit], judge: Folds) -> HeadFit:
    return cross_fit.weighed(fits, cross_fit.likelihoods(fits, judge))


def fitted(mixture: Mixture, judge: Folds, transform: Transform) -> tuple[Fitted, Tensor]:
    """The mixture as one affine map of its channels, and the Gram matrix [n, n] of its first."""
    weights: dict[Channel, Tensor] = {}
    bias = torch.zeros(judge.classes)
    for member in mixture.members.values():
        fit = member.fit.scaled(member.share)
        weight, offset = member.design.folded(fit.alpha, fit.bias)
        channel = member.design.channel
        if channel.space == "look":
            channel, weight = Channel("late", channel.views), transform.lift(weight)
        weights[channel] = weights[channel] + weight if channel in weights else weight
        bias = bias + offset
    first = next(iter(mixture.members.values())).design
    found = Fitted(
        channels=tuple(weights),
        tensors={"weight": torch.cat(list(weights.values())).half(), "bias": bias},
        seen=mixture.seen,
        used={"spaces": [_said(name, member) for name, member in mixture.members.items()]},
    )
    return found, first.own


def _said(name: str, member: MixtureMember) -> dict[str, Any]:
    return {
        "name": name,
        "space": member.design.channel.space,
        "views": list(member.design.learned),
        "weight": member.share,
    }
