"""`auto`: three spaces, three heads in each, weighed by what they say of examples unseen.

A sees things as they are, B also turned by quarters (surfaces, cells), C all levels unwhitened
(textures). Chosen on seven image sets of other domains; see the README for the measured table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.ml import blend
from worker.ml.blend import HeadFit
from worker.ml.design import Design, Judge, Maker, Recipe
from worker.ml.outcome import Fitted
from worker.ml.spaces import Channel

RECIPES: Mapping[str, Recipe] = {
    "A": Recipe(space="late", views=("squish", "mirror", "large", "pad")),
    "B": Recipe(space="late", views=("squish", "mirror", "rot90", "rot180", "rot270", "large")),
    "C": Recipe(space="all", views=("squish", "mirror")),
}

HANDICAP = {"A": 0.0, "B": 2.0, "C": 2.0}
"""Nats that a space must be better by before it counts as much as A."""

FIXED = {"A": 0.79, "B": 0.11, "C": 0.11}
"""Their weights where there is one example a class, and so nothing to choose by."""

RIDGE_L2 = 0.1
LOGISTIC_L2 = 1e-3
LDA_SHRINKAGE = 0.3

FEW = 300
"""Up to so many examples every head is refitted for every fold in every space."""

NEGLIGIBLE = 0.02
"""Spaces with less weight than this are left out."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A space of the mixture, what was fitted in it, and its weight."""

    design: Design
    fit: HeadFit
    share: float


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """logits = Σ share · member's logits; `seen` [n, k] are those to judge by."""

    members: Mapping[str, Member]

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


def fit(maker: Maker, judge: Judge, chosen: Mapping[str, Recipe]) -> Mixture:
    """The weighted mean of standardised heads over spaces."""
    designs = {name: maker.make(recipe) for name, recipe in chosen.items()}
    few = len(judge.labels) <= FEW
    fits = {
        name: _heads(design, judge) if few else _ridge(design, judge)
        for name, design in designs.items()
    }
    shares = blend.mixing_weights(
        {name: found.seen for name, found in fits.items()}, judge, handicap=HANDICAP, fixed=FIXED
    )
    shares = _without_negligible(shares)
    if not few:
        fits = {name: _closed(designs[name], judge, fits[name]) for name in shares}
    return Mixture(
        members={
            name: Member(design=designs[name], fit=fits[name], share=share)
            for name, share in shares.items()
        }
    )


def fitted(mixture: Mixture, judge: Judge) -> tuple[Fitted, Tensor]:
    """The mixture as one affine map of its channels, and the Gram matrix [n, n] of its first."""
    weights: dict[Channel, Tensor] = {}
    bias = torch.zeros(judge.classes)
    for member in mixture.members.values():
        fit = member.fit.scaled(member.share)
        weight, offset = member.design.folded(fit.alpha, fit.bias)
        channel = member.design.channel
        weights[channel] = weights[channel] + weight if channel in weights else weight
        bias = bias + offset
    first = next(iter(mixture.members.values())).design
    found = Fitted(
        channels=tuple(weights),
        tensors={"weight": torch.cat(list(weights.values())).half(), "bias": bias},
        seen=mixture.seen,
        used={"spaces": [_said(name, member) for name, member in mixture.members.items()]},
    )
    return found, first.cross[:, : len(judge.labels)]


def _said(name: str, member: Member) -> dict[str, Any]:
    return {
        "name": name,
        "space": member.design.channel.space,
        "views": list(member.design.learned),
        "weight": member.share,
    }


def _ridge(design: Design, judge: Judge) -> HeadFit:
    return blend.by_ridge(design, judge, torch.tensor([RIDGE_L2], dtype=torch.double))[0].standard()


def _heads(design: Design, judge: Judge) -> HeadFit:
    """Ridge, logistic regression and (from two a class) LDA, each standardised, averaged."""
    fits = [
        _ridge(design, judge),
        blend.by_logistic(design, judge, torch.tensor([LOGISTIC_L2]))[0].standard(),
    ]
    if judge.count:
        fits.append(_lda(design, judge))
    return blend.average(fits)


def _closed(design: Design, judge: Judge, found: HeadFit) -> HeadFit:
    """With many examples: the two heads in closed form."""
    return blend.average([found, _lda(design, judge)])


def _lda(design: Design, judge: Judge) -> HeadFit:
    return blend.by_lda(design, judge, torch.tensor([LDA_SHRINKAGE]))[0].standard()


def _without_negligible(shares: Mapping[str, float]) -> dict[str, float]:
    kept = {name: share for name, share in shares.items() if share >= NEGLIGIBLE}
    total = sum(kept.values())
    return {name: share / total for name, share in kept.items()}
