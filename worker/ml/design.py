"""The rows that heads are fitted on, in one space: views of examples, centred, with their weights.

A prediction reads one view, so the support's further views are rows of their own (a mirrored
example is one more example of a fraction of the weight) while they are few; where they would be
many, or where predictions average over the views too, an example is the mean of its views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from worker.ml import selection, spaces
from worker.ml.heads.base import Support
from worker.ml.spaces import Channel, Transform

MOST_ROWS = 400
"""Views are rows of their own up to so many rows."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Who judges whom: `fold` [n] of `count` folds, none where count is 0; class weights [n]."""

    labels: Tensor
    classes: int
    fold: Tensor
    count: int
    balance: Tensor

    @property
    def targets(self) -> Tensor:
        """One-hot labels [n, k], float64."""
        return torch.nn.functional.one_hot(self.labels, self.classes).double()

    @property
    def per_class(self) -> float:
        """Examples a class has, on average."""
        return len(self.labels) / self.classes


def judge(support: Support) -> Judge:
    """Stratified, group-aware folds and balanced weights of a set in canonical order."""
    labels, classes = support.labels, len(support.classes)
    count = selection.fold_count(labels, support.groups)
    fold = selection.folds(labels, support.groups, count) if count else torch.zeros_like(labels)
    balance = selection.balanced(labels, classes)
    return Judge(labels=labels, classes=classes, fold=fold, count=count, balance=balance)


@dataclass(frozen=True, kw_only=True)
class Design:
    """Rows `x` [N, F] centred on `centre` [F]; row i is of example `owner[i]` with `weights[i]`.

    `asked` [n, F] are the examples as a prediction would see them, centred too; None where they
    are the first n rows.
    """

    channel: Channel
    learned: tuple[str, ...]
    x: Tensor
    asked: Tensor | None
    centre: Tensor
    owner: Tensor
    weights: Tensor

    @cached_property
    def gram(self) -> Tensor:
        """Inner products [N, N], float64."""
        return (self.x @ self.x.T).double()

    @property
    def own(self) -> Tensor:
        """Inner products [n, n] of one row an example."""
        n = int(self.owner.max()) + 1
        return self.gram[:n, :n]

    @cached_property
    def factor(self) -> Tensor:
        """The rows' coordinates [N, N] in their own span."""
        return spaces.span(self.gram, jitter=1e-5)

    @cached_property
    def cross(self) -> Tensor:
        """Inner products [n, N] of the examples as predictions see them with the rows."""
        if self.asked is None:
            return self.gram[: int(self.owner.max()) + 1]
        return (self.asked @ self.x.T).double()

    @cached_property
    def asked_factor(self) -> Tensor:
        """The examples as predictions see them [n, N] in the coordinates of `factor`."""
        if self.asked is None:
            return self.factor[: len(self.cross)]
        solved: Tensor = torch.linalg.solve_triangular(self.factor, self.cross.T, upper=False)
        return solved.T

    def folded(self, alpha: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """(W [F, k], b [k]) on the space itself from a fit Σ alphaᵢ·rowᵢ, alpha [N, k]."""
        weight = self.x.T @ alpha.float()
        return weight, bias.float() - self.centre @ weight


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A space, the views worth learning from in it, and whether predictions average them too."""

    space: str
    views: tuple[str, ...]
    average: bool = False

    def present(self, views: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Those of the views that are there."""
        return tuple(view for view in self.views if view in views)


class Maker:
    """Makes designs of one support set; a space of a view is computed once."""

    def __init__(self, transform: Transform, support: Support, judge: Judge) -> None:
        self._transform, self._support, self._judge = transform, support, judge
        self._made: dict[tuple[str, str], Tensor] = {}

    def make(self, recipe: Recipe) -> Design:
        """The design of a recipe with the views that are cached."""
        views = recipe.present(self._support.features)
        predicted = views if recipe.average else (spaces.PRIMARY,)
        parts = [self.rows(recipe.space, view) for view in views]
        asked: Tensor | None = None
        if recipe.average or len(views) * len(self._support) > MOST_ROWS:
            asked = None if recipe.average or len(views) == 1 else parts[0]
            parts = [spaces.mean(parts)]
        channel = Channel(recipe.space, predicted)
        return design(parts, self._judge, asked=asked, channel=channel, learned=views)

    def rows(self, space: str, view: str) -> Tensor:
        """One space of one view [n, F]."""
        key = (space, view)
        if key not in self._made:
            self._made[key] = self._transform(space, self._support.features[view])
        return self._made[key]


def design(
    parts: Sequence[Tensor],
    judge: Judge,
    *,
    asked: Tensor | None,
    channel: Channel,
    learned: tuple[str, ...],
) -> Design:
    """Rows of several views [n, F] each, an example's weight shared among them."""
    weights = judge.balance.repeat(len(parts)) / len(parts)
    x = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    centre = (weights.float() / float(weights.sum())) @ x
    return Design(
        channel=channel,
        learned=learned,
        x=x - centre,
        asked=None if asked is None else asked - centre,
        centre=centre,
        owner=torch.arange(len(judge.labels)).repeat(len(parts)),
        weights=weights,
    )
