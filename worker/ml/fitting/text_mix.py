"""One logistic regression on (1 - w)·embedding + w·character n-grams, and which w.

Of several encoders the embedding is theirs side by side, and their shares are chosen with w.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from worker.ml.assess import calibration
from worker.ml.fitting.text_kernel import Kernel, Mix
from worker.ml.folds import Folds, assigned, estimable, first_of_each, fold_count
from worker.ml.solvers import logistic
from worker.ml.solvers.problem import Affine, SolverProblem

L2 = 1 / 30
"""λ on rows of unit length."""

PRIOR_TEMPERATURE = {1: 0.5, 2: 0.42, 5: 0.42, 20: 0.45}
"""Examples per class → temperature expected before out-of-fold logits are seen (measured)."""

GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
"""The mixing weights of n-grams that cross-validation weighs."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Likewise of the second of two encoders."""

SPREAD = 0.25
"""How far (standard deviation of each) cross-validation may easily go from the gate."""

EXPONENT = 0.5
"""Of the posterior by which what was tried is averaged: losses of few examples are mostly noise."""

MOST_CHOOSING = 600
"""Examples that w is chosen on, of very many classes two of each of the first; and those that the
learning curve's smaller sizes are measured on."""

EXACT, ROUGH = 1e-3, 1e-2
"""The share of the first gradient at which a fit ends: of what is kept or judged; of what is only
compared with fits like itself."""

MOST_NUMBERS = 4_000_000
"""Parameters of all fits in one batch."""


@dataclass(frozen=True, kw_only=True)
class ChosenMix:
    """The mix by all folds, and for each fold the one by the others, which judges it (ADR 69)."""

    mix: Mix
    nested: Sequence[Mix]


@dataclass(frozen=True, kw_only=True)
class Final:
    """The fit on everything: weights [r, C] on the kernel's coordinates at `mix`, bias [C]."""

    mix: Mix
    weight: Tensor
    bias: Tensor


def gate(kernel: Kernel) -> Mix:
    """The mix without labels, from the mean cosine of different texts under each encoder.

    An encoder that does not know the language maps all its texts close together: under the first a
    mean cosine of 0.2 is usual in English on one narrow subject, 0.55 in Hausa, 0.8 where all words
    are unknown. The less it knows, the more the second and the n-grams count (measured on English
    and two African languages: quality_text.json).
    """
    if kernel.count < 2:
        return Mix(lexical=0.5, shares=_equal(kernel))
    means = [_mean_cosine(rows[: kernel.count]) for rows in kernel.parts]
    shares = _equal(kernel)
    if len(means) == 2:
        second = min(max(0.3 + 2 * (means[0] - 0.2), 0.1), 0.85)
        shares = (1 - second, second)
    mean = sum(share * one for share, one in zip(shares, means, strict=True))
    return Mix(lexical=min(max(0.05 + 1.8 * (mean - 0.2), 0.05), 0.95), shares=shares)


def _equal(kernel: Kernel) -> tuple[float, ...]:
    return (1 / len(kernel.parts),) * len(kernel.parts)


def _mean_cosine(rows: Tensor) -> float:
    """Of different unit rows [n, D], n ≥ 2."""
    n = len(rows)
    return float(rows.sum(0).square().sum() - rows.square().sum()) / (n * (n - 1))


def choose(kernel: Kernel, folds: Folds, groups: Tensor) -> ChosenMix:
    """The mean of the posterior: the gate as prior, out-of-fold likelihood where there is one.

    `groups` [n] are the examples', augmented copies say nothing of it. The likelihood has one
    peak, so the search goes uphill from the gate, and what it met there is averaged.
    """
    prior, some = gate(kernel), _choosing(kernel, folds)
    labels, thin = folds.labels[some], kernel.take(some).first(_classes(kernel))
    count = fold_count(labels, groups[some])
    if count == 0:
        return ChosenMix(mix=prior, nested=[prior] * folds.count)
    fold = assigned(labels, groups[some], count)
    known = folds.take(some).original(estimable(labels, fold, count))
    told = _MixEvidence(folds.count, labels[known], folds.fold[some][known])

    def scores(mixes: Sequence[Mix]) -> Iterator[float]:
        logits = out_of_fold(thin, mixes, fold, tolerance=ROUGH)
        for mix, oof in zip(mixes, logits, strict=True):
            yield told.likelihood(mix, oof[known]) - distance(mix, prior) / 2

    tried = uphill(prior, scores)
    return ChosenMix(mix=averaged(tried), nested=told.nested(tried, prior))


def _classes(kernel: Kernel) -> int:
    """How many classes choose."""
    return min(kernel.classes, MOST_CHOOSING // 2)


def _choosing(kernel: Kernel, folds: Folds) -> Tensor:
    """The examples that choose."""
    rows = few(folds.labels, kernel.classes, folds.augmented)
    return rows[folds.labels[rows] < _classes(kernel)]


@dataclass(frozen=True)
class _MixEvidence:
    """What examples with these `labels` and of these folds [m] tell of each mix."""

    folds: int
    labels: Tensor
    fold: Tensor
    inside: dict[Mix, list[float]] = field(default_factory=dict)

    def likelihood(self, mix: Mix, oof: Tensor) -> float:
        """-n·NLL at the best temperature; what each fold loses is kept."""
        scaled = oof / temperature(oof, self.labels)
        losses = torch.nn.functional.cross_entropy(scaled, self.labels, reduction="none").double()
        own = losses.new_zeros(self.folds).index_add_(0, self.fold, losses)
        self.inside[mix] = own.tolist()
        return -float(torch.nn.functional.cross_entropy(scaled, self.labels, reduction="sum"))

    def nested(self, tried: Mapping[Mix, float], prior: Mix) -> list[Mix]:
        """For each fold the mean by the others. Of two folds the prior: a fit of either says of
        the other what one of the other says of it.
        """
        if self.folds < 3:
            return [prior] * self.folds
        return [
            averaged({mix: score + self.inside[mix][own] for mix, score in tried.items()})
            for own in range(self.folds)
        ]


def uphill(prior: Mix, scores: Callable[[Sequence[Mix]], Iterator[float]]) -> dict[Mix, float]:
    """The log-posterior of every mix met on the way from the prior to where no neighbour is more
    likely.
    """
    tried: dict[Mix, float] = {}
    best = min(_mixes(prior), key=lambda mix: distance(mix, prior))
    while new := [mix for mix in _neighbours(best, prior) if mix not in tried]:
        tried |= dict(zip(new, scores(new), strict=True))
        best = max(tried, key=lambda mix: tried[mix])
    return tried


def _mixes(prior: Mix) -> list[Mix]:
    """The grid: only of two encoders the shares are chosen, too."""
    shares = [(1 - share, share) for share in SHARES] if len(prior.shares) == 2 else [prior.shares]
    return [Mix(lexical=w, shares=some) for some in shares for w in GRID]


def _neighbours(mix: Mix, prior: Mix) -> list[Mix]:
    """The mix and those of the grid that are one step from it."""
    grid, wide = _mixes(prior), len(GRID)
    at = grid.index(mix)
    row, column = divmod(at, wide)
    steps = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
    near = [(row + down, column + right) for down, right in steps]
    rows = len(grid) // wide
    return [grid[r * wide + c] for r, c in near if 0 <= r < rows and 0 <= c < wide]


def distance(mix: Mix, prior: Mix) -> float:
    """Squared, in standard deviations of the prior."""
    off = [mix.lexical - prior.lexical]
    off += [mix.shares[-1] - prior.shares[-1]] if len(mix.shares) == 2 else []
    return sum((one / SPREAD) ** 2 for one in off)


def averaged(tried: Mapping[Mix, float]) -> Mix:
    """The mean of what was tried, by the posterior to the power EXPONENT."""
    scores = torch.tensor(list(tried.values()), dtype=torch.double)
    weights = (EXPONENT * scores).softmax(0)
    mixes = torch.tensor([(mix.lexical, *mix.shares) for mix in tried], dtype=torch.double)
    lexical, *shares = (weights @ mixes).tolist()
    return Mix(lexical=lexical, shares=tuple(shares))


def few(labels: Tensor, classes: int, augmented: Tensor | None = None) -> Tensor:
    """Rows [m] of at most MOST_CHOOSING examples [n], as many of each class; at least two, those
    `augmented` [n] behind others."""
    return first_of_each(labels, max(2, MOST_CHOOSING // classes), augmented)


def out_of_fold(
    kernel: Kernel,
    mixes: Sequence[Mix],
    fold: Tensor,
    *,
    trained: Tensor | None = None,
    tolerance: float = EXACT,
) -> Tensor:
    """Logits [S, n, C] at S mixes, each example's by the fit that did not see its fold.

    `trained` [folds, n] is which examples each fold's fit has, if not all outside the fold.
    """
    count = int(fold.max()) + 1
    if trained is None:
        trained = (fold[None] != torch.arange(count)[:, None]).float()
    masks = torch.cat([trained, trained.new_ones(count, kernel.anchors)], 1)
    size = max(1, MOST_NUMBERS // (count * len(kernel.labels) * kernel.classes))
    parts = [mixes[start : start + size] for start in range(0, len(mixes), size)]
    return torch.cat([_judged(_solve(kernel, part, masks, tolerance), fold) for part in parts])


def nested(kernels: Sequence[Kernel], mixes: Sequence[Mix], fold: Tensor) -> Tensor:
    """Logits [n, C], those of each fold at its own mix, by a fit that did not see it.

    Each of its own kernel, which may have other anchors.
    """
    logits = torch.zeros(len(fold), kernels[0].classes)
    for own, (kernel, mix) in enumerate(zip(kernels, mixes, strict=True)):
        inside = fold == own
        by, trained = torch.zeros_like(fold), (~inside).float()[None]
        logits[inside] = out_of_fold(kernel, [mix], by, trained=trained)[0, inside]
    return logits


def final(kernel: Kernel, mix: Mix) -> Final:
    """The fit on every row."""
    _, affine = _solve(kernel, [mix], torch.ones(1, len(kernel.labels)), EXACT)
    return Final(mix=mix, weight=affine.weight[0, 0], bias=affine.bias[0, 0])


def _judged(solution: tuple[Tensor, Affine], fold: Tensor) -> Tensor:
    """Of the logits of every fold's fit, those [S, n, C] of the fold it did not see."""
    coordinates, affine = solution
    logits = affine.logits(coordinates[:, : len(fold)])
    return logits[:, fold, torch.arange(len(fold))]


def _solve(
    kernel: Kernel, mixes: Sequence[Mix], masks: Tensor, tolerance: float
) -> tuple[Tensor, Affine]:
    """The coordinates [S, N, r] at each mix, and the fits under each mask [P, N]."""
    coordinates = torch.stack([kernel.coordinates(mix) for mix in mixes])
    problem = SolverProblem(
        x=coordinates,
        labels=kernel.labels,
        classes=kernel.classes,
        weights=masks * kernel.importance,
    )
    l2 = torch.full((len(masks),), L2)
    return coordinates, logistic.fit(problem, l2, iterations=60, tolerance=tolerance)


def temperature(oof: Tensor, labels: Tensor) -> float:
    """From out-of-fold logits [n, C]; the prior's where n is 0."""
    per_class = max(1.0, len(labels) / oof.shape[1])
    return calibration.temperature(oof, labels, per_class=per_class, prior=PRIOR_TEMPERATURE)
