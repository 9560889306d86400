"""What a held-out set still has to say: each look at it spends some of the alias's alpha.

The k-th look is tested at `alpha * 6 / (pi * k)**2`. All looks together then never exceed alpha,
however they depend on one another (Bonferroni), which answers to the same examples do. A look at
examples of which each was asked k - 1 times before is the k-th; fresh ones were never asked, so
they take the number down, and the budget up again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Budget:
    """An alias's alpha for a set of held-out examples: `look` is this look's number, from 1.

    `fresh` is the share of examples that were never asked before.
    """

    alpha: float
    look: float = 1.0
    fresh: float = 1.0

    @property
    def level(self) -> float:
        """What this look is tested at."""
        return self.alpha * 6 / (math.pi * self.look) ** 2

    @property
    def spent(self) -> float:
        """What the looks before this one have spent."""
        whole = math.floor(self.look)
        before = math.fsum(1 / look**2 for look in range(1, whole))
        part = (self.look - whole) / whole**2
        return self.alpha * 6 / math.pi**2 * (before + part)

    def after(self, fresh: float) -> Budget:
        """The next look, at as many examples and `fresh` times as many that were never asked."""
        return Budget(self.alpha, 1 + self.look / (1 + fresh), fresh / (1 + fresh))

    def told(self) -> dict[str, float]:
        """As evidence shows it."""
        return {
            "total": self.alpha,
            "look": self.look,
            "level": self.level,
            "spent": self.spent + self.level,
            "left": max(0.0, self.alpha - self.spent - self.level),
            "fresh": self.fresh,
        }


def mark(alias: str, content: str) -> str:
    """The name under which an alias remembers that it has asked an example; not the content's."""
    return blake2b(content.encode(), key=alias.encode()[:64], digest_size=8).hexdigest()


def budget(units: Sequence[Sequence[str]], asked: Mapping[str, int], *, alpha: float) -> Budget:
    """What is left for units of examples that show the same thing, each by its marks.

    A unit was asked as often as the most asked of its marks: a copy of what was asked is not fresh.
    """
    if not units:
        return Budget(alpha)
    times = [max((asked.get(one, 0) for one in marks), default=0) for marks in units]
    looks = 1 + sum(times) / len(times)
    return Budget(alpha, looks, times.count(0) / len(times))


def ask(marks: Sequence[str], asked: Mapping[str, int]) -> dict[str, int]:
    """How often each was asked after one more look."""
    return {**asked, **{one: asked.get(one, 0) + 1 for one in set(marks)}}
