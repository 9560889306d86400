"""Temperature scaling from out-of-fold logits (Guo et al. 2017), held back by a measured prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from worker.ml import threads

PRIOR: Mapping[int, float] = {1: 0.45, 2: 0.45, 5: 0.30, 10: 0.25, 20: 0.25}
"""Examples per class → the temperature expected before any logits are seen (images).

The geometric mean of what is best on held-out pictures. It belongs to heads weighed by likelihood;
equal weights would need about 0.9. Error with each image set judged by the others' means: 0.04 to
0.05 at 10 examples a class, 0.03 at 20. At 1, where nothing else speaks, it is what 31 sets of many
domains agree on best (error 0.14 on average, intervals_elsewhere.json): a single one's best is
between 0.14 and 3.4.
"""

SPREAD = 0.4
"""Standard deviation of ln T around that prior: sets differ by a factor of two."""

LOWEST, HIGHEST = 0.02, 50.0


def temperature(
    oof_logits: Tensor,
    labels: Tensor,
    *,
    per_class: float,
    prior: Mapping[int, float] | None = None,
    spread: float = SPREAD,
) -> float:
    """T that minimises n·NLL(logits [n, C] / T) + (ln T - ln T₀)²/(2·spread²).

    `per_class` is the mean number of examples a class has; with no logits T is the prior T₀.
    """
    centre = prior_log_temperature(per_class, prior or PRIOR)
    logits, true = oof_logits.float(), labels.long()

    def slope(u: float) -> float:
        return _slope(logits, true, u) + (u - centre) / spread**2

    with threads.enough(logits.numel()):
        return math.exp(_root(slope, low=math.log(LOWEST), high=math.log(HIGHEST)))


def prior_log_temperature(per_class: float, prior: Mapping[int, float]) -> float:
    """ln T₀ at `per_class`, linear in ln K between the measured K and constant beyond them."""
    known = sorted(prior)
    x = min(max(per_class, known[0]), known[-1])
    right = next(k for k in known if k >= x)
    left = max((k for k in known if k <= x), default=right)
    share = 0.0 if left == right else math.log(x / left) / math.log(right / left)
    return (1 - share) * math.log(prior[left]) + share * math.log(prior[right])


def calibration_error(probabilities: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Expected calibration error over equal-width bins of the top probability."""
    gaps, weights = calibration_gaps(probabilities, labels, bins=bins)
    return float((weights * gaps.abs()).sum())


def calibration_gaps(
    probabilities: Tensor, labels: Tensor, *, bins: int = 15
) -> tuple[Tensor, Tensor]:
    """(mean confidence - accuracy, share of the examples), each [bins]; empty bins have zero."""
    confidence, predicted = probabilities.double().max(1)
    excess = confidence - (predicted == labels).double()
    place = bin_of(confidence, bins)
    count = torch.zeros(bins, dtype=torch.double).index_add_(0, place, torch.ones_like(excess))
    total = torch.zeros(bins, dtype=torch.double).index_add_(0, place, excess)
    return total / count.clamp(min=1), count / max(1, len(labels))


def bin_of(confidence: Tensor, bins: int) -> Tensor:
    """The number of the equal-width bin, 0 … bins - 1, of each confidence in (0, 1]."""
    return (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)


def _slope(logits: Tensor, labels: Tensor, u: float) -> float:
    """d(n·NLL)/du at T = eᵘ: (Σ z_y - E_p z)/T."""
    scaled = logits * math.exp(-u)
    expected = (scaled.softmax(1) * scaled).sum(1, dtype=torch.double)
    return float((scaled.gather(1, labels[:, None])[:, 0].double() - expected).sum())


def _root(slope: Callable[[float], float], *, low: float, high: float) -> float:
    """Where a slope that rises through zero does so, by the Illinois rule; else the nearer end."""
    at_low, at_high = slope(low), slope(high)
    if at_low >= 0 or at_high <= 0:
        return low if at_low >= 0 else high
    last = 0
    for _ in range(60):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        value = slope(middle)
        if abs(value) < 1e-9 or high - low < 1e-7:
            break
        if value > 0:
            high, at_high, at_low = middle, value, at_low / (2 if last > 0 else 1)
        else:
            low, at_low, at_high = middle, value, at_high / (2 if last < 0 else 1)
        last = 1 if value > 0 else -1
    return middle
