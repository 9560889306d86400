"""How far an input may be trusted to be like the support: mean similarity, and what it costs.

Out-of-fold logits calibrate for inputs like the support. An input that is less like it than nearly
all of its members (other punctuation, other camera) is less often right than it is confident, so
its logits are divided by a factor that grows with the distance.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

EXPECTED_DEVIATION = 0.05
"""Of mean similarities in a support set, and this belief's weight in examples."""
BELIEF = 4.0

FREE = 1.25
"""Standard deviations below the mean that cost nothing (10% of inputs like the support)."""
GROWTH = 0.5
"""Growth of the factor's logarithm with each further standard deviation (measured), up to LIMIT."""
LIMIT = 1.5


@dataclass(frozen=True, kw_only=True)
class Familiarity:
    """Mean and standard deviation of a member's mean similarity to the other members."""

    mean: float
    deviation: float

    def factor(self, similarity: Tensor) -> Tensor:
        """What to divide the logits by, 1 to e^LIMIT [n], at mean similarities [n]."""
        below = (self.mean - similarity) / self.deviation
        return (GROWTH * (below - FREE)).clamp(0, LIMIT).exp()


def of_support(similarity: Tensor) -> Familiarity:
    """From each member's mean similarity [n] to the other members."""
    n = len(similarity)
    if n < 2:
        return Familiarity(mean=0.0, deviation=1.0)
    squares = float((similarity - similarity.mean()).square().sum())
    variance = (squares + BELIEF * EXPECTED_DEVIATION**2) / (n - 1 + BELIEF)
    return Familiarity(mean=float(similarity.mean()), deviation=variance**0.5)


def cooled(logits: Tensor, factor: Tensor) -> Tensor:
    """Logits [n, C] divided by factors [n]."""
    return logits / factor[:, None].to(logits.dtype)
