"""95% intervals: how far a measured figure may be from the truth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Z = 1.959964
"""The standard normal's 97.5% point."""

OUT_OF_FOLD_EXTRA = 0.05
"""Standard deviation of what sampling does not explain in an out-of-fold accuracy (measured)."""


def shrunk(share: float, n: float, *, extra: float = OUT_OF_FOLD_EXTRA) -> tuple[float, float]:
    """p̃ ± 1.96·√(p̃(1-p̃)/(n+4) + extra²) with p̃ = (n·share + 2)/(n + 4), kept within [0, 1].

    `extra` is what an out-of-fold share varies by beyond its sampling: other folds, fewer
    examples in each fit, test inputs that differ.
    """
    middle = (n * share + 2) / (n + 4)
    half = Z * math.sqrt(middle * (1 - middle) / (n + 4) + extra * extra)
    return max(0.0, middle - half), min(1.0, middle + half)


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
    """For Σ w·|gap| over bins [b]: a basic bootstrap, each bin's gap drawn with its own error.

    Absolute values of noisy gaps are too large on average; the basic bootstrap reflects that
    bias back instead of doubling it.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2000, len(gaps), generator=generator, dtype=torch.double)
    draws = (weights * (gaps + noise * deviations).abs()).sum(1)
    value = float((weights * gaps.abs()).sum())
    low, high = draws.quantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return max(0.0, 2 * value - high), min(1.0, max(2 * value - low, value))
