"""95% intervals: how far a measured figure may be from the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from app.core.manifest import Modality

Z = 1.959964
"""The standard normal's 97.5% point."""

OVERDISPERSION = 0.0125
"""Variance of what sampling does not explain in a figure of several labels, over p(1-p) (ADR 16).

Williams 1982, "Extra-binomial variation in logistic linear models": other draws, other test inputs.
Like sampling's own, it is smallest for shares near 0 and 1.
"""

RELATIVE_EXTRA = 0.18
"""The same for a log loss, as a share of it."""

LEARNING = 0.35
"""Errors fall with the examples to the power of minus this; with few of a class, faster."""


@dataclass(frozen=True)
class Growth:
    """How fast the odds of an error fall: to the power of minus `exponent` with the examples, and
    the faster the fewer a class has, by `few` over their number. What sampling does not explain of
    a share is by `luck` (`overdispersion`).
    """

    exponent: float = LEARNING
    few: float = 1.0
    luck: float = 0.8

    def left(self, before: float, part: float) -> float:
        """The share of the odds that is left from `before` examples a class, which are this `part`,
        to the whole.
        """
        return math.exp(-self.exponent * self.steps(before, part))

    def steps(self, before: float, part: float) -> float:
        """How much more `before` examples a class, which are this `part`, learn from the whole.

        The logarithm of the ratio, and of pictures (1 + 1/before) times it: from one example to two
        errors fall twice as fast as from many to twice as many (measured, ADR 46).
        """
        return -(1 + self.few / max(1.0, before)) * math.log(part)


GROWTH: Mapping[Modality, Growth] = {
    "image": Growth(),
    "text": Growth(exponent=0.2, few=0.0, luck=1.4),
}
"""Texts' classes are known by their names as well, and much of their rest is noise (ADR 60, 69)."""


def standard_error(gains: Tensor, groups: Tensor) -> float:
    """Of the mean of gains [n], of which those of a group say one thing (Liang & Zeger 1986)."""
    _, of = groups.unique(return_inverse=True)
    count = int(of.max()) + 1
    if count < 2:
        return float("inf")
    sums = gains.new_zeros(count).index_add_(0, of, gains - gains.mean())
    return float((sums.square().sum() * count / (count - 1)).sqrt() / len(gains))


def overdispersion(n: float, growth: Growth = GROWTH["image"]) -> float:
    """The same as OVERDISPERSION of a share of `n` examples, which fades with them (ADR 46)."""
    return growth.luck / (n + 40) + 0.001


def out_of_fold(
    share: float,
    n: float,
    *,
    trained: float,
    per_class: float = math.inf,
    extra: float | None = None,
    growth: Growth = GROWTH["image"],
) -> tuple[float, float]:
    """An interval for the final fit's share, from folds that trained on `trained` (≤ 1) of it all.

    p̃ = (n·share + 2)/(n + 4); the odds of its errors shrunk as `grown` does; then ± 1.96 times
    √(p̃(1-p̃)·(1/(n+4) + extra)), kept within [0, 1] and around the share itself (ADR 41, 46).
    """
    middle = (n * share + 2) / (n + 4)
    half = Z * math.sqrt(variance(middle, n, growth, extra))
    centre = grown(middle, trained, per_class, growth)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def variance(
    middle: float, n: float, growth: Growth = GROWTH["image"], extra: float | None = None
) -> float:
    """Of a share out of fold of `n` examples whose p̃ is `middle`, sampling and all."""
    beyond = overdispersion(n, growth) if extra is None else extra
    return middle * (1 - middle) * (1 / (n + 4) + beyond)


def seen(share: float, n: float) -> float:
    """A share of `n` judgements; where none was wrong off 1 by half a one (Jeffreys 1946): an error
    that few judgements have not shown is not impossible.
    """
    return min(share, (n + 0.5) / (n + 1))


def grown(
    share: float,
    trained: float,
    per_class: float = math.inf,
    growth: Growth = GROWTH["image"],
) -> float:
    """What a share of a part's fit becomes in the whole one, of `per_class` examples a class.

    The odds of an error shrink by trained^exponent, as errors are where few are left, and not at
    all where nothing was learned; by more where a part's class has few examples.
    """
    left = (1 - share) * growth.left(per_class * trained, trained)
    return share / (share + left) if share > 0 else 0.0


def loss_out_of_fold(
    value: float, low: float, high: float, *, trained: float
) -> tuple[float, float]:
    """A log loss's interval by sampling alone, moved and widened for what folds miss."""
    extra = Z * RELATIVE_EXTRA * value
    shift = value * (1 - trained**LEARNING)
    return value - shift - math.hypot(value - low, extra), value - shift + math.hypot(
        high - value, extra
    )


def mean_interval(values: Tensor) -> tuple[float, float]:
    """For the mean of skewed values [n ≥ 2]: Johnson's t (1978), which heeds the third moment."""
    n = len(values)
    x = values.double()
    deviation = float(x.std())
    if deviation == 0:
        return float(x.mean()), float(x.mean())
    skew = float(((x - x.mean()) / deviation).pow(3).mean())
    t = student_t(n - 1)
    step, shift = deviation / math.sqrt(n), skew * deviation / (6 * n) * (1 + 2 * t * t)
    low, high = float(x.mean()) - t * step + shift, float(x.mean()) + t * step + shift
    return low, high


def student_t(freedom: int) -> float:
    """The 97.5% point of Student's t by Cornish-Fisher, within 1% from 3 degrees of freedom."""
    z, f = Z, float(freedom)
    first = (z**3 + z) / (4 * f)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * f**3)
    return z + first + second + third


def gap_interval(gaps: Tensor, weights: Tensor, deviations: Tensor) -> tuple[float, float]:
    """For Σ w·|gap| over bins [b] of gaps measured with normal errors `deviations` [b].

    Absolute values of noisy gaps are too large: a perfect calibration measures above zero too. So
    the interval has each multiple s of the measured gaps under which the measured sum would not
    be among the rarest 2.5% at either end (test inversion, by 1,000 draws). Its upper end is at
    least what the errors alone may hide: measured gaps of zero have no multiples.
    """
    noise = torch.randn(1000, len(gaps), generator=torch.Generator().manual_seed(0))
    error = noise.double() * deviations
    value = float((weights * gaps.abs()).sum())

    def quantile(scale: float, rank: int) -> float:
        sums = (scale * gaps + error).abs() @ weights
        return float(sums.kthvalue(rank).values) - value

    low = _crossing(lambda scale: quantile(scale, 975))
    high = _crossing(lambda scale: quantile(scale, 26))
    hidden = Z * float((weights * deviations).square().sum().sqrt())
    return low * value, min(1.0, max(value, high * value, hidden))


def _crossing(rising: Callable[[float], float], most: float = 8.0) -> float:
    """Where in [0, most] a rising function passes zero, by bisection; else the nearer end."""
    low, high = 0.0, most
    if rising(low) >= 0:
        return low
    for _ in range(13):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) >= 0 else (middle, high)
    return high
