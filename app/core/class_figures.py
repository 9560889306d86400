"""Precision, recall, F1 and balanced accuracy from counts, and the interval of a share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

_Z95 = 1.959963984540054

Interval = dict[str, float | None]
"""`value`, `low` and `high`; None where there is nothing to tell."""

Share = Callable[[float, float], Interval]
"""Of hits and how many could have been; without any it tells nothing."""


def of_class(*, hits: float, support: float, predicted: float, share: Share) -> dict[str, Interval]:
    """Of a class's examples and those that were taken for one.

    F1 = 2J/(1+J) of the Jaccard share J = TP/(TP+FP+FN), so its interval is a share's too.
    """
    jaccard = share(hits, support + predicted - hits)
    return {
        "precision": share(hits, predicted),
        "recall": share(hits, support),
        "f1": {key: None if j is None else 2 * j / (1 + j) for key, j in jaccard.items()},
    }


def balanced_accuracy(classes: Iterable[tuple[float, float]], share: Share) -> Interval:
    """The mean recall of (hits, support) a class; its n is what gives the same variance."""
    present = [(hits, support) for hits, support in classes if support]
    if not present:
        return share(0, 0)
    recall = math.fsum(hits / support for hits, support in present) / len(present)
    effective = len(present) ** 2 / math.fsum(1 / support for _, support in present)
    return share(recall * effective, effective)


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """The 95% score interval of a proportion (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, _Z95**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    half = _Z95 * spread / (1 + square / trials)
    return max(0.0, centre - half), min(1.0, centre + half)
