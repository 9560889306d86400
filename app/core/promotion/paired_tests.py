"""Tests on discordant pairs: McNemar, non-inferiority, and how many labels are missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

from app.core.promotion.pairs import Discordance

_NORMAL = NormalDist()
_POWER = 0.8
MOST_LABELS = 50_000
"""Beyond this many labels it is not said how many would decide."""


def mcnemar(won: int, lost: int) -> float:
    """The exact one-sided p of "the candidate wins no more often than it loses" (McNemar 1947)."""
    pairs = won + lost
    tail = sum(math.comb(pairs, wins) for wins in range(won, pairs + 1))
    return tail / 2**pairs if pairs < 1000 else _close(won, lost)


def _close(won: int, lost: int) -> float:
    """The same for so many pairs that the normal law is as good, with its continuity correction."""
    return 1 - _NORMAL.cdf((won - lost - 1) / math.sqrt(won + lost))


def non_inferiority(found: Discordance, margin: float, level: float) -> float:
    """The p of "the candidate is worse by `margin` or more": the score test of Tango 1998.

    Groups take the counts down by their design effect (Rao & Scott 1992), and few groups further,
    as Student's law does the normal one at `level`.
    """
    shrink = deflation(found, level)
    won, lost, count = found.won / shrink, found.lost / shrink, found.examples / shrink
    spread = count * (2 * _least_losses(won, lost, count, margin) - margin * (1 + margin))
    gained = won - lost + count * margin
    if spread <= 0:
        return 0.0 if gained > 0 else 1.0
    return 1 - _NORMAL.cdf(gained / math.sqrt(spread))


def _least_losses(won: float, lost: float, count: float, margin: float) -> float:
    """The share of losses that is likeliest where the candidate is worse by just `margin`."""
    b = -won - lost - (2 * count - won + lost) * margin
    c = lost * margin * (1 + margin)
    root = math.sqrt(max(0.0, b * b - 8 * count * c))
    return (root - b) / (4 * count)


def inferiority(found: Discordance, margin: float, level: float) -> float:
    """The p of "the candidate is worse by less than `margin`": small where it is worse by more."""
    other = mirrored(found)
    return non_inferiority(other, -margin, level) if margin else mcnemar(*_whole(other))


def mirrored(found: Discordance) -> Discordance:
    """The same as the incumbent sees it."""
    return replace(found, won=found.lost, lost=found.won)


def superiority(found: Discordance, level: float) -> float:
    """The exact p of "the candidate is no better", on counts that groups have taken down."""
    return mcnemar(*_whole(found, level))


def _whole(found: Discordance, level: float = 0.05) -> tuple[int, int]:
    """Whole counts, rounded against whoever won."""
    shrink = deflation(found, level)
    return math.floor(found.won / shrink + 1e-9), math.ceil(found.lost / shrink - 1e-9)


def deflation(found: Discordance, level: float) -> float:
    """By how much the counts are divided before they are tested; 1 where nothing is grouped."""
    if not found.grouped:
        return 1.0
    return found.effect * student(level, found.groups - 1) ** 2 / normal(level) ** 2


def normal(level: float) -> float:
    """The normal law's quantile for a one-sided level."""
    return _NORMAL.inv_cdf(1 - min(level, 0.4))


def student(level: float, freedom: int) -> float:
    """Student's quantile, by its expansion about the normal one (Abramowitz & Stegun 26.7.5)."""
    z, v = normal(level), max(1, freedom)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def tail(z: float) -> float:
    """The normal law's one-sided p of a standard score."""
    return 1 - _NORMAL.cdf(z)


def least_pairs(level: float) -> int:
    """With fewer discordant pairs than this, superiority cannot be shown at `level`."""
    return math.ceil(-math.log2(level))


def least_examples(margin: float, level: float) -> int:
    """With fewer examples than this, no candidate can be shown to lose less than `margin`: not even
    one that is right wherever the incumbent is (Tango's test without a discordant pair).
    """
    return math.ceil(normal(level) ** 2 * (1 - margin) / margin)


def least_margin(examples: int, level: float) -> float:
    """The least margin that so many examples can show, if no pair is discordant."""
    square = normal(level) ** 2
    return square / (examples + square)


def likely_shown(
    found: Discordance, margin: float, level: float, *, times: float, sure: float = _POWER
) -> bool:
    """Whether `times` as many such pairs show at `level` what these leave open, in a share `sure`
    of the draws: by Tango's score, and its tie with McNemar's test where there is no margin.
    """
    part = times / deflation(found, level)
    won, lost, count = found.won * part, found.lost * part, found.examples * part
    null = count * (2 * _least_losses(won, lost, count, margin) - margin * (1 + margin))
    differing = max(found.won + found.lost, 1) / found.examples
    varied = count * max(0.0, differing - found.share**2)
    gained = won - lost + count * margin - (0 if margin else 1)
    return gained - normal(1 - sure) * math.sqrt(varied) > normal(level) * math.sqrt(max(null, 0))


def mean_likely_shown(effect: float, error: float, level: float, *, times: float) -> bool:
    """The same of a mean that is `effect` beyond what is to be shown, with its standard error."""
    return effect * math.sqrt(times) > error * (normal(level) + normal(1 - _POWER))


def more_labels(count: int, decides: Callable[[float], bool]) -> int | None:
    """The fewest further examples of which `decides` says, of their share of `count`, that they
    would; it must not say no of more than of fewer. None where it takes more than MOST_LABELS.
    """
    if not decides(MOST_LABELS / count):
        return None
    few, enough = 0, MOST_LABELS
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if decides(middle / count) else (middle, enough)
    return enough
