"""Designs of one support set by recipe, a space of a view made once.

Of many examples a design's rows are the landmarks', and every example is coordinates among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worker.ml import threads
from worker.ml.features import spaces
from worker.ml.features.spaces import Channel, Transform
from worker.ml.fitting.design import Design, design
from worker.ml.folds import Folds, landmarks
from worker.ml.tasks import Chosen, Support

MOST_ROWS = 400
"""Views are rows of their own up to so many rows."""

TOGETHER = 400
"""Rows worth a call: several views of few examples are made in one."""

CHUNK = 2000
"""Rows whose space is made at a time where there are many."""


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

    def __init__(self, transform: Transform, support: Support, folds: Folds) -> None:
        self._transform, self._support, self._folds = transform, support, folds
        self._made: dict[tuple[str, str], Tensor] = {}

    def make(self, recipe: Recipe) -> Design:
        """The design of a recipe with the views that are cached."""
        if self._folds.many:
            return self._of_many(recipe)
        return self.whole(recipe)

    def ready(self, recipe: Recipe) -> Design:
        """The same, with all that heads share computed: they may then be fitted side by side."""
        made = self.make(recipe)
        made.coordinates, made.asked_coordinates  # noqa: B018 - made at their first use
        return made

    def prepare(self, recipes: Iterable[Recipe]) -> None:
        """Make what they need of every view side by side, unless there is too much to keep."""
        if self._folds.many:
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
        return design(parts, self._folds, asked=asked, channel=channel, learned=views)

    def few(self) -> Designs:
        """Of the landmarks alone."""
        chosen = landmarks(self._folds)
        return Designs(self._transform, self._support.take(chosen), self._folds.take(chosen))

    def asked(self, made: Design) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example's number [c] and row [c, F] as a prediction would see it, in the space of
        a design that `few` made; a chunk at a time where there are many.
        """
        if not self._folds.many:
            n = len(self._support)
            yield torch.arange(n), made.x[:n] if made.asked is None else made.asked
            return
        for rows in torch.arange(len(self._support)).split(CHUNK):
            yield rows, self._averaged(made.channel.space, made.channel.views, rows) - made.centre

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
            folds=self._folds,
            owner=torch.arange(len(self._support)),
            weights=self._folds.balance,
            many=(rows, asked),
        )

    def _coordinates(
        self, space: str, views: Sequence[str], centre: Tensor, lift: Tensor
    ) -> Tensor:
        """(mean of views - centre) @ lift, [n, m], a chunk of rows at a time."""
        gram = torch.empty(len(self._support), lift.shape[1])
        for rows in torch.arange(len(gram)).split(CHUNK):
            gram[rows] = (self._averaged(space, views, rows) - centre) @ lift
        return gram

    def _averaged(self, space: str, views: Sequence[str], rows: Tensor) -> Tensor:
        """The mean over views of some examples [c, F]."""
        features = Chosen(self._support.features, rows)
        return spaces.mean([self._transform(space, features[view]) for view in views])

    def rows(self, space: str, view: str) -> Tensor:
        """One space of one view [n, F]."""
        key = (space, view)
        if key not in self._made:
            self._made[key] = self._transform(space, self._support.features[view])
        return self._made[key]
