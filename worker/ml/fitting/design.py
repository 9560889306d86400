"""The rows that heads are fitted on, in one space: views of examples, centred, with their weights.

A prediction reads one view, so the support's further views are rows of their own (a mirrored
example is one more example of a fraction of the weight) while they are few; where they would be
many, or where predictions average over the views too, an example is the mean of its views.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worker.ml import folds, threads
from worker.ml.features import spaces
from worker.ml.features.spaces import Channel, Transform
from worker.ml.folds import Folds, landmarks
from worker.ml.lazily import lazily
from worker.ml.solvers import moments
from worker.ml.solvers.moments import Moments
from worker.ml.solvers.problem import SolverProblem
from worker.ml.tasks import Chosen, Support

MOST_ROWS = 400
"""Views are rows of their own up to so many rows."""


BLOCK = 256
"""Rows of a Gram matrix that are computed together."""

TOGETHER = 400
"""Rows worth a call: several views of few examples are made in one."""

CHUNK = 2000
"""Rows whose space is made at a time where there are many."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Rows `x` [m, F], centred on `centre` [F], that weights are combinations of.

    Fits are on N rows, row i of example `owner[i]` with `weights[i]`: on x itself, or of many
    examples on `many`, their coordinates in the span of x, rows [N, m] and as a prediction would
    see them [n, m]. `asked` [n, F] are the examples as a prediction would see them, centred too;
    None where they are the first n rows.
    """

    channel: Channel
    learned: tuple[str, ...]
    judge: Folds
    x: Tensor
    asked: Tensor | None
    centre: Tensor
    owner: Tensor
    weights: Tensor
    many: tuple[Tensor, Tensor] | None = None

    @lazily
    def gram(self) -> Tensor:
        """Inner products [m, m], float64."""
        return _inner(self.x).double()

    @property
    def own(self) -> Tensor:
        """Inner products of one row an example, or of the landmarks."""
        n = int(self.owner.max()) + 1
        return self.gram[:n, :n]

    @lazily
    def factor(self) -> Tensor:
        """The coordinates [m, m] of x in its own span."""
        return spaces.span(self.gram, jitter=1e-5)

    @lazily
    def coordinates(self) -> Tensor:
        """Of the rows [N, m] that fits are on, float32."""
        return self.factor.float() if self.many is None else self.many[0]

    @lazily
    def cross(self) -> Tensor:
        """Inner products [n, m] of the examples as predictions see them with x."""
        if self.asked is None:
            return self.gram[: int(self.owner.max()) + 1]
        return (self.asked @ self.x.T).double()

    @lazily
    def asked_coordinates(self) -> Tensor:
        """Of the examples as predictions see them [n, m], float32."""
        if self.many is not None:
            return self.many[1]
        if self.asked is None:
            return self.factor[: len(self.cross)].float()
        solved: Tensor = torch.linalg.solve_triangular(self.factor, self.cross.T, upper=False)
        return solved.T.float()

    @lazily
    def moments(self) -> list[Moments]:
        """Of the coordinates: of all rows, then without each fold."""
        problem = SolverProblem(
            x=self.coordinates[None],
            labels=self.judge.labels[self.owner],
            classes=self.judge.classes,
            weights=self.weights[None],
        )
        fold = self.judge.fold[self.owner]
        return moments.with_folds(problem, fold=fold, count=self.judge.count)

    def combination(self, weight: Tensor) -> Tensor:
        """The alpha [m, k] of a weight [m, k] on the coordinates."""
        alpha: Tensor = torch.linalg.solve_triangular(self.factor.T, weight.double(), upper=True)
        return alpha

    def folded(self, alpha: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """(W [F, k], b [k]) on the space itself from a fit Σ alphaᵢ·rowᵢ, alpha [m, k]."""
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


class Designs:
    """Makes designs of one support set; a space of a view is computed once."""

    def __init__(self, transform: Transform, support: Support, judge: Folds) -> None:
        self._transform, self._support, self._judge = transform, support, judge
        self._made: dict[tuple[str, str], Tensor] = {}

    def make(self, recipe: Recipe) -> Design:
        """The design of a recipe with the views that are cached."""
        if len(self._support) > folds.MOST_DUAL:
            return self._of_many(recipe)
        return self.whole(recipe)

    def ready(self, recipe: Recipe) -> Design:
        """The same, with all that heads share computed: they may then be fitted side by side."""
        made = self.make(recipe)
        made.coordinates, made.asked_coordinates  # noqa: B018 - made at their first use
        return made

    def prepare(self, recipes: Iterable[Recipe]) -> None:
        """Make what they need of every view side by side, unless there is too much to keep."""
        if len(self._support) > folds.MOST_DUAL:
            return
        features = self._support.features
        spaces_of: dict[str, dict[str, None]] = {}
        for recipe in recipes:
            spaces_of.setdefault(recipe.space, {}).update(dict.fromkeys(recipe.present(features)))
        size = max(1, TOGETHER // len(self._support))
        calls = [
            (space, list(views)[start : start + size])
            for space, views in spaces_of.items()
            for start in range(0, len(views), size)
        ]
        threads.each(lambda call: self._together(*call), calls)

    def _together(self, space: str, views: Sequence[str]) -> None:
        """One space of several views, in one call."""
        read = [self._support.features[view] for view in views]
        made = self._transform(space, read[0] if len(read) == 1 else torch.cat(read))
        parts = made.split(len(self._support))
        self._made.update({(space, view): part for view, part in zip(views, parts, strict=True)})

    def whole(self, recipe: Recipe) -> Design:
        """The same with every example's row, however many."""
        views = recipe.present(self._support.features)
        predicted = views if recipe.average else (spaces.primary(self._support.features),)
        parts = threads.each(lambda view: self.rows(recipe.space, view), views)
        asked: Tensor | None = None
        if recipe.average or len(views) * len(self._support) > MOST_ROWS:
            asked = None if recipe.average or len(views) == 1 else parts[0]
            parts = [spaces.mean(parts)]
        channel = Channel(recipe.space, predicted)
        return design(parts, self._judge, asked=asked, channel=channel, learned=views)

    def few(self) -> Designs:
        """Of the landmarks alone."""
        chosen = landmarks(self._judge)
        return Designs(self._transform, self._support.take(chosen), self._judge.take(chosen))

    def asked(self, made: Design) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example's number [c] and row [c, F] as a prediction would see it, in the space of
        a design that `few` made; a chunk at a time where there are many.
        """
        if len(self._support) <= folds.MOST_DUAL:
            n = len(self._support)
            yield torch.arange(n), made.x[:n] if made.asked is None else made.asked
            return
        for rows in torch.arange(len(self._support)).split(CHUNK):
            yield rows, self._seen(made.channel.space, made.channel.views, rows) - made.centre

    def _of_many(self, recipe: Recipe) -> Design:
        """On the landmarks, whose views are averaged; the others are only coordinates."""
        base = self.few().whole(replace(recipe, average=True))
        views = base.learned
        predicted = views if recipe.average else (spaces.primary(self._support.features),)
        lift = base.x.T @ torch.linalg.inv(base.factor).T.float()
        rows = self._coordinates(recipe.space, views, base.centre, lift)
        asked = rows
        if predicted != views:
            asked = self._coordinates(recipe.space, predicted, base.centre, lift)
        return replace(
            base,
            channel=Channel(recipe.space, predicted),
            judge=self._judge,
            owner=torch.arange(len(self._support)),
            weights=self._judge.balance,
            many=(rows, asked),
        )

    def _coordinates(
        self, space: str, views: Sequence[str], centre: Tensor, lift: Tensor
    ) -> Tensor:
        """(mean of views - centre) @ lift, [n, m], a chunk of rows at a time."""
        found = torch.empty(len(self._support), lift.shape[1])
        for rows in torch.arange(len(found)).split(CHUNK):
            found[rows] = (self._seen(space, views, rows) - centre) @ lift
        return found

    def _seen(self, space: str, views: Sequence[str], rows: Tensor) -> Tensor:
        """The mean over views of some examples [c, F]."""
        features = Chosen(self._support.features, rows)
        return spaces.mean([self._transform(space, features[view]) for view in views])

    def rows(self, space: str, view: str) -> Tensor:
        """One space of one view [n, F]."""
        key = (space, view)
        if key not in self._made:
            self._made[key] = self._transform(space, self._support.features[view])
        return self._made[key]


def _inner(x: Tensor) -> Tensor:
    """x xᵀ, of large ones only the upper blocks computed."""
    if len(x) < 2 * BLOCK:
        return x @ x.T
    found = x.new_empty(len(x), len(x))
    for start in range(0, len(x), BLOCK):
        stop = start + BLOCK
        found[start:stop, start:] = x[start:stop] @ x[start:].T
        found[stop:, start:stop] = found[start:stop, stop:].T
    return found


def design(
    parts: Sequence[Tensor],
    judge: Folds,
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
        judge=judge,
        x=x - centre,
        asked=None if asked is None else asked - centre,
        centre=centre,
        owner=torch.arange(len(judge.labels)).repeat(len(parts)),
        weights=weights,
    )
