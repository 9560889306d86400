"""One kernel of two views of a text: (1 - w)·embedding + w·character n-grams, and which w."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ml import calibration
from worker.ml.heads import logistic
from worker.ml.heads.base import Affine, Problem

L2 = 1 / 30
"""λ on rows of unit length."""

GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
"""The mixing weights that cross-validation chooses from."""

ROUNDING = 1e-5
"""Added to the diagonal: more than single precision loses in the inner products."""

MOST_NUMBERS = 4_000_000
"""Parameters of all fits in one batch."""

GATE_SPREAD = 0.25
"""How far (standard deviation of w) cross-validation may easily go from the label-free gate."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """Inner products [n + a, n + a] of unit rows in both views; the last a rows are anchors.

    Anchors are in every fit and judged in none; `labels` [n + a], `importance` [n + a].
    """

    embedding: Tensor
    lexical: Tensor
    labels: Tensor
    importance: Tensor
    classes: int
    anchors: int

    @property
    def count(self) -> int:
        """n, the examples that are judged."""
        return len(self.labels) - self.anchors

    def judged(self, w: float) -> Tensor:
        """Inner products [n, n] of the examples alone at mixing weight `w`."""
        n = self.count
        return (1 - w) * self.embedding[:n, :n] + w * self.lexical[:n, :n]

    def mixed(self, w: float) -> Tensor:
        """The Gram matrix at mixing weight `w`, in double precision and safely definite."""
        gram = (1 - w) * self.embedding.double() + w * self.lexical.double()
        gram.diagonal().add_(ROUNDING)
        return gram


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The mixing weight and, where there were folds, the out-of-fold logits [n, C] it gave."""

    w: float
    oof: Tensor | None


def gate(embedding: Tensor) -> float:
    """w without labels, from the mean cosine of different examples (Gram matrix [n, n]).

    An encoder that does not know the language maps all its texts close together: a mean cosine of
    0.2 is usual in English on one narrow subject, 0.55 in Hausa, 0.8 where all words are unknown.
    """
    n = len(embedding)
    if n < 2:
        return 0.5
    mean = float(embedding.sum() - embedding.diagonal().sum()) / (n * (n - 1))
    return min(max(0.05 + 1.8 * (mean - 0.2), 0.05), 0.95)


def choose(views: Views, fold: Tensor | None, *, per_class: float) -> Choice:
    """The w of greatest posterior: the gate as prior, out-of-fold likelihood where there is one.

    `fold` [n] is the fold that judges each example. The likelihood has one peak in w, so the
    search goes uphill from the gate.
    """
    prior = gate(views.embedding[: views.count, : views.count])
    if fold is None:
        return Choice(w=prior, oof=None)
    labels = views.labels[: views.count]
    tried: dict[int, tuple[float, Tensor]] = {}
    best = min(range(len(GRID)), key=lambda place: abs(GRID[place] - prior))
    while new := [p for p in (best - 1, best, best + 1) if 0 <= p < len(GRID) and p not in tried]:
        for place, oof in zip(new, out_of_fold(views, [GRID[p] for p in new], fold), strict=True):
            distance = (GRID[place] - prior) / GATE_SPREAD
            tried[place] = (_likelihood(oof, labels, per_class) - distance**2 / 2, oof)
        best = max(tried, key=lambda place: tried[place][0])
    return Choice(w=GRID[best], oof=tried[best][1])


def out_of_fold(
    views: Views, weights: Sequence[float], fold: Tensor, *, trained: Tensor | None = None
) -> Tensor:
    """Logits [S, n, C] at S mixing weights, each example's by the fit that did not see its fold.

    `trained` [folds, n] is which examples each fold's fit has, if not all outside the fold.
    """
    count = int(fold.max()) + 1
    if trained is None:
        trained = (fold[None] != torch.arange(count)[:, None]).float()
    masks = torch.cat([trained, trained.new_ones(count, views.anchors)], 1)
    size = max(1, MOST_NUMBERS // (count * len(views.labels) * views.classes))
    parts = [weights[start : start + size] for start in range(0, len(weights), size)]
    return torch.cat([_judged(_solve(views, part, masks), fold) for part in parts])


def _judged(solution: tuple[Tensor, Affine], fold: Tensor) -> Tensor:
    """Of the logits of every fold's fit, those [S, n, C] of the fold it did not see."""
    factor, affine = solution
    logits = affine.logits(factor[:, : len(fold)])
    return logits[:, fold, torch.arange(len(fold))]


def dual(views: Views, w: float) -> tuple[Tensor, Tensor]:
    """Coefficients [n + a, C] and bias [C] of the fit on everything: logits = k(x, ·) A + b."""
    factor, affine = _solve(views, [w], torch.ones(1, len(views.labels)))
    weight = affine.weight[0, 0].double()
    exact = torch.linalg.solve_triangular(factor[0].double().T, weight, upper=True)
    return exact.float(), affine.bias[0, 0]


def _solve(views: Views, weights: Sequence[float], masks: Tensor) -> tuple[Tensor, Affine]:
    """The span's coordinates [S, n + a, n + a] at each weight, and the fits of each mask."""
    factors = torch.stack([torch.linalg.cholesky(views.mixed(w)).float() for w in weights])
    problem = Problem(
        x=factors,
        labels=views.labels,
        classes=views.classes,
        weights=masks * views.importance,
    )
    l2 = torch.full((len(masks),), L2)
    return factors, logistic.fit(problem, l2, iterations=60, tolerance=1e-3)


def _likelihood(oof: Tensor, labels: Tensor, per_class: float) -> float:
    """-n·NLL at the best temperature."""
    heat = calibration.temperature(oof, labels, per_class=per_class)
    return -float(torch.nn.functional.cross_entropy(oof / heat, labels, reduction="sum"))
