"""Examples whose label is probably wrong, told by two witnesses that did not learn from it.

The fit that had not seen an example, and the examples nearest to it (Wilson 1972, "Asymptotic
properties of nearest neighbor rules using edited data"). The one denies a label by Bayes, the two
together where hardly anything is left for it. As in confident learning (Northcutt et al. 2021),
probabilities out of fold are believed, counted and ranked (docs/adr/0036).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MOST = 200
"""Examples that are named."""

WRONG = 0.175
"""Share of labels believed wrong before an example is looked at."""

NEAREST = 8
SHARPNESS = 4.0
"""The power of a cosine that a neighbour's label counts."""

LEAST_A_CLASS = 5
"""Examples a class from which neighbours say something of a label."""

MOST_COMPARED = 2000
"""Examples up to which each is compared with all."""

DENIED = 0.04
"""What both witnesses together leave for a label that they deny."""

DENIED_BY_BOTH = 0.6
"""Share of those that were truly flipped where Bayes alone does not name them: a half of them where
one label in twenty was flipped, seven tenths where one in seven was (measured)."""

AGREED = 0.9
"""The same, at the most, where Bayes names them, too (measured)."""

Z = 1.96


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """Rows [m] of examples, most doubtful first; of each the class suggested, how sure it is that
    its label is wrong (where some labels are), what the unseeing fit leaves for it, and how many of
    `compared` neighbours have it and the suggested one.
    """

    rows: list[int]
    suggested: list[int]
    doubt: list[float]
    left: list[float]
    compared: int
    sharing: list[int]
    suggesting: list[int]


def suspects(probabilities: Tensor, labels: Tensor, known: Tensor, rows: Tensor) -> Suspects:
    """Of out-of-fold `probabilities` [n, C], believed of `known` [n], and unit `rows` [n, d]."""
    probabilities = probabilities.double()
    near = _nearest(rows, labels, classes=probabilities.shape[1])
    doubt, said = _by_fit(probabilities, labels)
    left = probabilities.gather(1, labels[:, None])[:, 0]
    named, certain = doubt > 0.5, doubt * (1 - _error_at_most(probabilities, labels, known))
    if near is not None:
        both = (probabilities + _votes(near, labels, probabilities.shape[1])) / 2
        denied = (both.gather(1, labels[:, None])[:, 0] < DENIED) & (both.argmax(1) != labels)
        said = torch.where(denied, both.argmax(1), said)
        agreed = torch.where(named, doubt, 0.0).clamp(DENIED_BY_BOTH, AGREED)
        certain, named = torch.where(denied, agreed, certain), named | denied
    named &= known
    order = (certain - 1e-3 * left).masked_fill(~named, -torch.inf)
    chosen = order.argsort(descending=True, stable=True)
    chosen = chosen[: min(MOST, int(named.sum()))]
    return Suspects(
        rows=chosen.tolist(),
        suggested=said[chosen].tolist(),
        doubt=certain[chosen].tolist(),
        left=left[chosen].tolist(),
        compared=0 if near is None else near.places.shape[1],
        sharing=_counted(near, chosen, labels, labels[chosen]),
        suggesting=_counted(near, chosen, labels, said[chosen]),
    )


@dataclass(frozen=True)
class _Near:
    """Places [n, k] of the nearest others, and their cosines."""

    places: Tensor
    cosines: Tensor


def _by_fit(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(doubt [n], class suggested [n]) by Bayes: a share WRONG of labels is some other class's.

    It is so large that of what is named at odds of one at least seven in ten were truly
    flipped in most data, and is none where no other class has half of the probability.
    """
    own = probabilities.gather(1, labels[:, None])[:, 0]
    rival, said = probabilities.scatter(1, labels[:, None], 0.0).max(1)
    wrong = WRONG * rival / (probabilities.shape[1] - 1)
    doubt = wrong / (wrong + (1 - WRONG) * own).clamp(min=1e-12)
    return doubt * (rival > 0.5), said


def _error_at_most(probabilities: Tensor, labels: Tensor, known: Tensor) -> float:
    """The upper end of the 95% interval (Wilson) of how often the fit is wrong itself, by labels of
    which some may be: what it denies alone is as sure as it, and as many examples, make it.
    """
    n = int(known.sum())
    error = float((probabilities.argmax(1) != labels)[known].double().mean()) if n else 1.0
    half = Z * math.sqrt(error * (1 - error) / max(1, n) + Z**2 / (4 * max(1, n) ** 2))
    return min(1.0, (error + Z**2 / (2 * max(1, n)) + half) / (1 + Z**2 / max(1, n)))


def _nearest(rows: Tensor, labels: Tensor, *, classes: int) -> _Near | None:
    """By the cosine about the mean; None for few examples a class, or more than are compared."""
    n = len(labels)
    if n > MOST_COMPARED or n < LEAST_A_CLASS * classes or n <= NEAREST:
        return None
    centred = torch.nn.functional.normalize(rows.float() - rows.float().mean(0), dim=1)
    cosines = centred @ centred.T
    cosines.fill_diagonal_(-torch.inf)
    best = cosines.topk(NEAREST, 1)
    return _Near(best.indices, best.values)


def _votes(near: _Near, labels: Tensor, classes: int) -> Tensor:
    """Shares [n, C] of the neighbours' labels."""
    weight = near.cosines.double().clamp(min=0) ** SHARPNESS
    votes = torch.zeros(len(labels), classes, dtype=torch.double)
    votes.scatter_add_(1, labels[near.places], weight)
    return (votes + 1e-3) / (votes + 1e-3).sum(1, keepdim=True)


def _counted(near: _Near | None, chosen: Tensor, labels: Tensor, wanted: Tensor) -> list[int]:
    """How many of the chosen examples' neighbours have the wanted label [m]."""
    if near is None:
        return [0] * len(chosen)
    counts: list[int] = (labels[near.places[chosen]] == wanted[:, None]).sum(1).tolist()
    return counts
