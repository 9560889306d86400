"""Figures of answers with several labels, or none: mean average precision and macro F1, with the
differences' intervals of a paired bootstrap by group.

A class's average precision is Σ (recall gained · precision) over its distinct scores from the
highest down; a model that lacks a class gives it no score.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from app.core.promotion import bootstrap
from app.core.promotion.bootstrap import DRAWS, Difference
from app.core.promotion.pairs import Pair, Verdicted, labels_of

_LEAST_DRAWS = 100
_MOST_STEPS = 4_000_000
"""Draws times examples times classes: beyond, fewer draws are taken."""
Weights = Sequence[int]
Figure = float | None
"""None where no example has the class."""


@dataclass(frozen=True, slots=True)
class _Ranking:
    """One model's answers for one class: places from the highest score down, which of them end a
    run of equal scores, and places by decision and truth."""

    order: Sequence[int]
    ends: Sequence[bool]
    having: frozenset[int]
    said: frozenset[int]

    def average_precision(self, weights: Weights) -> Figure:
        seen = hits = new = 0
        total = 0.0
        for place, end in zip(self.order, self.ends, strict=True):
            weight = weights[place]
            if weight:
                seen += weight
                new += weight if place in self.having else 0
            if end and new:
                hits += new
                total += new * hits / seen
                new = 0
        return total / hits if hits else None

    def f1(self, weights: Weights) -> Figure:
        support = sum(weights[place] for place in self.having)
        if not support:
            return None
        hits = sum(weights[place] for place in self.having & self.said)
        return 2 * hits / (support + sum(weights[place] for place in self.said))


@dataclass(frozen=True, slots=True)
class PairedFigures:
    """What both models' answers come to, a class at a time and over all."""

    classes: Sequence[str]
    candidate: Sequence[_Ranking]
    incumbent: Sequence[_Ranking] | None
    units: Sequence[Sequence[int]]
    """The places of each group."""
    count: int

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> PairedFigures:
        """Of the classes that two examples or more have, and one has not."""
        counts = Counter(label for pair in pairs for label in labels_of(pair.label))
        classes = sorted(label for label, n in counts.items() if 2 <= n < len(pairs))
        both = pairs[0].incumbent is not None
        candidate = [pair.candidate for pair in pairs]
        incumbent = [pair.incumbent for pair in pairs if pair.incumbent is not None]
        units: dict[str, list[int]] = defaultdict(list)
        for place, pair in enumerate(pairs):
            units[pair.group].append(place)
        return cls(
            classes=classes,
            candidate=[_ranking(pairs, candidate, label) for label in classes],
            incumbent=[_ranking(pairs, incumbent, label) for label in classes] if both else None,
            units=list(units.values()),
            count=len(pairs),
        )

    def told(self, *, incumbent: bool) -> dict[str, float]:
        """One model's figures over all classes; none where no class can be judged."""
        weights = [1] * self.count
        rankings = (self.incumbent or ()) if incumbent else self.candidate
        found = {name: _mean(of(one, weights) for one in rankings) for name, of in _OF.items()}
        return {name: value for name, value in found.items() if value is not None}

    def per_class(self) -> dict[str, dict[str, Figure]]:
        """Average precision of each class by both models."""
        whole = [1] * self.count
        others: Sequence[_Ranking | None] = self.incumbent or [None] * len(self.classes)
        return {
            label: {
                "candidate_average_precision": one.average_precision(whole),
                "incumbent_average_precision": other.average_precision(whole) if other else None,
            }
            for label, one, other in zip(self.classes, self.candidate, others, strict=True)
        }

    def differences(self, *, seed: int, draws: int = DRAWS) -> dict[str, Difference]:
        """Candidate minus incumbent, of each figure over all classes."""
        drawn = [self._gained(weights) for weights in self._draws(seed, draws)]
        whole = self._gained([1] * self.count)
        return {name: bootstrap.interval(whole[name], [one[name] for one in drawn]) for name in _OF}

    def alone(self) -> float:
        """Examples whose share has the variance of a mean over classes, groups taken as one."""
        if not self.classes:
            return 0.0
        groups = len(self.units) / max(1, self.count)
        uneven = sum(1 / len(one.having) for one in self.candidate)
        return len(self.classes) ** 2 / uneven * groups

    def _gained(self, weights: Weights) -> dict[str, float]:
        assert self.incumbent is not None
        both = list(zip(self.candidate, self.incumbent, strict=True))
        return {name: _mean(_gains(both, of, weights)) or 0.0 for name, of in _OF.items()}

    def _draws(self, seed: int, draws: int) -> Iterable[Weights]:
        """How often each place is drawn, with its group."""
        random, places = Random(seed), range(len(self.units))
        steps = max(1, self.count * len(self.classes))
        for _ in range(min(draws, max(_LEAST_DRAWS, _MOST_STEPS // steps))):
            weights = [0] * self.count
            for unit in random.choices(places, k=len(self.units)):
                for place in self.units[unit]:
                    weights[place] += 1
            yield weights


_OF: Mapping[str, Callable[[_Ranking, Weights], Figure]] = {
    "mean_average_precision": _Ranking.average_precision,
    "macro_f1": _Ranking.f1,
}


def _ranking(pairs: Sequence[Pair], answers: Sequence[Verdicted], label: str) -> _Ranking:
    scores = [answer.probabilities.get(label, 0.0) for answer in answers]
    order = sorted(range(len(pairs)), key=lambda place: -scores[place])
    ends = [
        at + 1 == len(order) or scores[order[at + 1]] != scores[place]
        for at, place in enumerate(order)
    ]
    return _Ranking(
        order=order,
        ends=ends,
        having=_places(label in labels_of(pair.label) for pair in pairs),
        said=_places(label in labels_of(answer.label) for answer in answers),
    )


def _places(chosen: Iterable[bool]) -> frozenset[int]:
    return frozenset(place for place, one in enumerate(chosen) if one)


def _gains(
    both: Iterable[tuple[_Ranking, _Ranking]],
    of: Callable[[_Ranking, Weights], Figure],
    weights: Weights,
) -> Iterable[Figure]:
    for one, other in both:
        mine, theirs = of(one, weights), of(other, weights)
        yield None if mine is None or theirs is None else mine - theirs


def _mean(values: Iterable[Figure]) -> Figure:
    found = [value for value in values if value is not None]
    return fmean(found) if found else None
