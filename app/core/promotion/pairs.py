"""What is compared: the answers of two models to the same held-out examples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_LEAST = 1e-4
"""A probability counts as this at least: one confident error must not decide a mean."""


Said = str | frozenset[str]
"""One label; or, of models of several, all that are said or true, perhaps none."""


def labels_of(said: Said) -> frozenset[str]:
    """All labels of an answer or an example."""
    return frozenset((said,)) if isinstance(said, str) else said


@dataclass(frozen=True, slots=True)
class Verdicted:
    """One model's answer to an example; `probability` is what it gave the true label, or, of
    several labels, `probabilities` what it gave each.
    """

    label: Said
    probability: float
    probabilities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """One held-out example, and what both models say of it; no incumbent: there is none yet.

    Examples of one `group` are answered alike, and count together.
    """

    label: Said
    group: str
    candidate: Verdicted
    incumbent: Verdicted | None = None

    @property
    def several(self) -> bool:
        """Whether an example may have several labels, or none."""
        return not isinstance(self.label, str)

    @property
    def gain(self) -> int:
        """1 where only the candidate is right, -1 where only the incumbent is, else 0."""
        return int(right(self.candidate, self.label)) - int(right(self.incumbent, self.label))


def right(answer: Verdicted | None, label: Said) -> bool:
    """Whether the answer is the true label; of several, all of them and no other."""
    return answer is not None and answer.label == label


def loss(answer: Verdicted) -> float:
    """Minus the log of the true label's probability, in nats."""
    return -math.log(max(answer.probability, _LEAST))


@dataclass(frozen=True, slots=True)
class Discordance:
    """How the answers differ: `won` only the candidate is right, `lost` only the incumbent is.

    `effect` is the design effect: how many times more the gains vary than those of as many
    unrelated examples would (Kish 1965); 1 where no two examples share a group.
    """

    examples: int
    won: int
    lost: int
    groups: int
    effect: float

    @property
    def grouped(self) -> bool:
        """Whether some examples belong together."""
        return self.groups < self.examples

    @property
    def share(self) -> float:
        """The difference of the accuracies, candidate minus incumbent."""
        return (self.won - self.lost) / self.examples


def discordance(pairs: Sequence[Pair]) -> Discordance:
    """Count the discordant pairs, and how far groups make them fewer than they look."""
    gains: dict[str, list[int]] = defaultdict(list)
    for pair in pairs:
        gains[pair.group].append(pair.gain)
    won = sum(pair.gain > 0 for pair in pairs)
    lost = sum(pair.gain < 0 for pair in pairs)
    effect = _effect(list(gains.values()), len(pairs))
    return Discordance(len(pairs), won, lost, len(gains), effect)


def _effect(gains: Sequence[Sequence[int]], count: int) -> float:
    """The ratio of the clustered variance of the sum to the independent one, at least 1.

    Where nothing varies, a group counts as one example.
    """
    if len(gains) == count or count < 2:
        return 1.0
    mean = sum(map(sum, gains)) / count
    alone = sum((gain - mean) ** 2 for group in gains for gain in group)
    if not alone:
        return sum(len(group) ** 2 for group in gains) / count
    together = sum((sum(group) - len(group) * mean) ** 2 for group in gains)
    return max(1.0, together / alone * len(gains) / max(1, len(gains) - 1))
