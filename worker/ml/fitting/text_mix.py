"""One logistic regression on (1 - w)·embedding + w·character n-grams, and which w."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ml.assess import calibration
from worker.ml.fitting.text_kernel import Kernel
from worker.ml.folds import assigned, estimable, first_of_each, fold_count
from worker.ml.solvers import logistic
from worker.ml.solvers.problem import Affine, SolverProblem

L2 = 1 / 30
"""λ on rows of unit length."""

PRIOR_TEMPERATURE = {1: 0.5, 2: 0.42, 5: 0.42, 20: 0.45}
"""Examples per class → temperature expected before out-of-fold logits are seen (measured)."""

GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
"""The mixing weights that cross-validation chooses from."""

GATE_SPREAD = 0.25
"""How far (standard deviation of w) cross-validation may easily go from the label-free gate."""

MOST_CHOOSING = 600
"""Examples that w is chosen on, and the learning curve's smaller sizes are measured on."""

EXACT, ROUGH = 1e-3, 1e-2
"""The share of the first gradient at which a fit ends: of what is kept or judged; of what is only
compared with fits like itself."""

MOST_NUMBERS = 4_000_000
"""Parameters of all fits in one batch."""


@dataclass(frozen=True, kw_only=True)
class Final:
    """The fit on everything: weights [r, C] on the kernel's coordinates at `w`, bias [C]."""

    w: float
    weight: Tensor
    bias: Tensor


def gate(rows: Tensor) -> float:
    """w without labels, from the mean cosine of different unit rows [n, D].

    An encoder that does not know the language maps all its texts close together: a mean cosine of
    0.2 is usual in English on one narrow subject, 0.55 in Hausa, 0.8 where all words are unknown.
    """
    n = len(rows)
    if n < 2:
        return 0.5
    mean = float(rows.sum(0).square().sum() - rows.square().sum()) / (n * (n - 1))
    return min(max(0.05 + 1.8 * (mean - 0.2), 0.05), 0.95)


def choose(kernel: Kernel, groups: Tensor) -> float:
    """The w of greatest posterior: the gate as prior, out-of-fold likelihood where there is one.

    `groups` [n] are the examples'. The likelihood has one peak in w, so the search goes uphill
    from the gate.
    """
    prior = gate(kernel.rows[: kernel.count])
    labels = kernel.labels[: kernel.count]
    chosen = few(labels, kernel.classes)
    labels, groups, thin = labels[chosen], groups[chosen], kernel.take(chosen)
    count = fold_count(labels, groups)
    if count == 0:
        return prior
    fold = assigned(labels, groups, count)
    known = estimable(labels, fold, count)

    def score(w: float, oof: Tensor) -> float:
        return _likelihood(oof[known], labels[known]) - ((w - prior) / GATE_SPREAD) ** 2 / 2

    tried: dict[int, float] = {}
    best = min(range(len(GRID)), key=lambda place: abs(GRID[place] - prior))
    while new := [p for p in (best - 1, best, best + 1) if 0 <= p < len(GRID) and p not in tried]:
        logits = out_of_fold(thin, [GRID[place] for place in new], fold, tolerance=ROUGH)
        tried |= {p: score(GRID[p], oof) for p, oof in zip(new, logits, strict=True)}
        best = max(tried, key=lambda place: tried[place])
    return GRID[best]


def few(labels: Tensor, classes: int) -> Tensor:
    """Rows [m] of at most MOST_CHOOSING examples [n], as many of each class; at least two."""
    return first_of_each(labels, max(2, MOST_CHOOSING // classes))


def out_of_fold(
    kernel: Kernel,
    weights: Sequence[float],
    fold: Tensor,
    *,
    trained: Tensor | None = None,
    tolerance: float = EXACT,
) -> Tensor:
    """Logits [S, n, C] at S mixing weights, each example's by the fit that did not see its fold.

    `trained` [folds, n] is which examples each fold's fit has, if not all outside the fold.
    """
    count = int(fold.max()) + 1
    if trained is None:
        trained = (fold[None] != torch.arange(count)[:, None]).float()
    masks = torch.cat([trained, trained.new_ones(count, kernel.anchors)], 1)
    size = max(1, MOST_NUMBERS // (count * len(kernel.labels) * kernel.classes))
    parts = [weights[start : start + size] for start in range(0, len(weights), size)]
    return torch.cat([_judged(_solve(kernel, part, masks, tolerance), fold) for part in parts])


def final(kernel: Kernel, w: float) -> Final:
    """The fit on every row."""
    _, affine = _solve(kernel, [w], torch.ones(1, len(kernel.labels)), EXACT)
    return Final(w=w, weight=affine.weight[0, 0], bias=affine.bias[0, 0])


def _judged(solution: tuple[Tensor, Affine], fold: Tensor) -> Tensor:
    """Of the logits of every fold's fit, those [S, n, C] of the fold it did not see."""
    coordinates, affine = solution
    logits = affine.logits(coordinates[:, : len(fold)])
    return logits[:, fold, torch.arange(len(fold))]


def _solve(
    kernel: Kernel, weights: Sequence[float], masks: Tensor, tolerance: float
) -> tuple[Tensor, Affine]:
    """The coordinates [S, N, r] at each weight, and the fits under each mask [P, N]."""
    coordinates = torch.stack([kernel.coordinates(w) for w in weights])
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


def _likelihood(oof: Tensor, labels: Tensor) -> float:
    """-n·NLL at the best temperature."""
    scaled = oof / temperature(oof, labels)
    return -float(torch.nn.functional.cross_entropy(scaled, labels, reduction="sum"))
