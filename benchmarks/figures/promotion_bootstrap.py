"""The gate by figures that are no share of examples: how often it lets worse candidates pass, and
better ones.

`python -m benchmarks.figures.promotion_bootstrap`, some minutes of two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.core.promotion.gate import PromotionGate, decide
from app.core.promotion.pairs import Pair, Verdicted
from app.core.promotion.spending import Budget
from benchmarks.record import record

HELD_OUT, LOOKS, POPULATION = 500, 500, 200_000
DRAWS = 100
"""Of a look's bootstrap, as many as the service takes of a long list."""
SHARES: Mapping[str, Sequence[float]] = {
    "five classes of a fifth each": (0.2,) * 5,
    "five classes, of 2% to 40%": (0.02, 0.05, 0.1, 0.2, 0.4),
}
"""By kind the share of examples that have each class; one in three or so has none."""
APART = 2.0
"""Deviations by which the incumbent's scores of examples with and without a class differ."""
ALIKE = {"alike": 0.9, "unlike": 0.5}
"""The correlation of both models' noise."""
GAINS = {"worse by the margin": -0.02, "better by 3 points": 0.03}
Judged = Literal["mean_average_precision", "macro_f1"]
METRICS: Sequence[Judged] = ("mean_average_precision", "macro_f1")
Uneven = Sequence[tuple[int, float, float]]
"""By class how many examples are held out, and which shares only the candidate has right, and only
the incumbent."""
UNEVEN: Mapping[str, Uneven] = {
    "60 and 6, worse in the common": ((60, 0.0, 0.04), (6, 0.0, 0.0)),
    "60 and 6, worse in the common, better in the rare": ((60, 0.0, 0.14), (6, 0.3, 0.2)),
    "60 and 6, better in the common, worse in the rare": ((60, 0.05, 0.01), (6, 0.2, 0.28)),
    "60 and 20, worse in the common, better in the rare": ((60, 0.0, 0.14), (20, 0.3, 0.2)),
    "60 and 20, better in the common, worse in the rare": ((60, 0.05, 0.01), (20, 0.1, 0.18)),
    "300, 30 and 30, worse in each": ((300, 0.02, 0.04), (30, 0.1, 0.12), (30, 0.05, 0.07)),
    "60 and 6, better by 21 points": ((60, 0.0, 0.14), (6, 0.6, 0.03)),
    "60 and 20, better by 21 points": ((60, 0.0, 0.07), (20, 0.55, 0.05)),
}
"""Worse by the margin in the mean of the classes' recalls, but for the last two."""
BOTH_RIGHT = 0.6
"""Of the examples that both answer alike."""
Rows = NDArray[np.float64]


def main() -> None:
    """Simulate and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    wanted = [
        (metric, shares, alike, gain, group)
        for metric in METRICS
        for shares in SHARES
        for alike in ALIKE
        for gain in GAINS
        for group in (1, 5)
        if group == 1 or (alike == "alike" and gain == "worse by the margin")
    ]
    with ProcessPoolExecutor(2) as pool:
        uneven = {name: pool.submit(_promoted_by_recalls, of) for name, of in UNEVEN.items()}
        found = list(pool.map(_promoted, *zip(*wanted, strict=True)))
        by_recalls = {name: one.result() for name, one in uneven.items()}
    record(
        "promotion_bootstrap",
        figure="shares of candidates that the gate promotes at their first look by balanced "
        "accuracy, mean average precision and macro F1",
        method=f"{LOOKS} drawn comparisons of {HELD_OUT} held-out examples each; a class's score "
        f"is normal, {APART:g} deviations higher where the example has it, and the candidate's so "
        "much more or less that its figure over all examples differs by what is said; noise of "
        f"both models correlated by {ALIKE['alike']:g} (alike) or {ALIKE['unlike']:g} (unlike); in "
        "groups of five all have the same labels and the same noise; default gate (non-inferior, "
        "margin 0.02, alpha 0.05), each metric in turn deciding. Balanced accuracy: classes with "
        f"so many held-out examples each; {BOTH_RIGHT:.0%} of what both answer alike is right",
        results={"balanced_accuracy": by_recalls, **_tables(wanted, found)},
    )


def _tables(wanted: Sequence[tuple[Any, ...]], found: Sequence[float]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for (metric, shares, alike, gain, group), share in zip(wanted, found, strict=True):
        name = f"{gain}, {alike}" + (", in groups of five" if group > 1 else "")
        told.setdefault(metric, {}).setdefault(shares, {})[name] = share
    return told


def _promoted(metric: Judged, shares: str, alike: str, gain: str, group: int) -> float:
    """The share of candidates that are promoted."""
    having = np.array(SHARES[shares])
    apart = _apart(metric, having, GAINS[gain])
    random = np.random.default_rng(5)
    gate = PromotionGate(metric=metric)
    count = 0
    for look in range(LOOKS):
        pairs = _pairs(random, having, ALIKE[alike], apart, group)
        said = decide(pairs, gate, Budget(gate.alpha), seed=look, draws=DRAWS)
        count += said.verdict == "promoted"
    return count / LOOKS


def _promoted_by_recalls(classes: Uneven) -> float:
    """The share of candidates that are promoted by the mean of the classes' recalls."""
    random, gate = np.random.default_rng(6), PromotionGate(metric="balanced_accuracy")
    count = 0
    for look in range(LOOKS):
        pairs = [
            _pair(random, f"{place}", f"{place}.{number}", won, lost)
            for place, (size, won, lost) in enumerate(classes)
            for number in range(size)
        ]
        said = decide(pairs, gate, Budget(gate.alpha), seed=look, draws=2 * DRAWS)
        count += said.verdict == "promoted"
    return count / LOOKS


def _pair(random: np.random.Generator, label: str, group: str, won: float, lost: float) -> Pair:
    at, both = random.random(), bool(random.random() < BOTH_RIGHT)
    differ = at < won + lost
    kinds = (at < won, at >= won) if differ else (both, both)
    said = [(label, 0.9) if right else (f"not {label}", 0.1) for right in kinds]
    answers = [Verdicted(*one) for one in said]
    return Pair(label, group, answers[0], answers[1])


def _apart(metric: Judged, having: Rows, gain: float) -> float:
    """By how many deviations the candidate's scores differ, so that its figure over the population
    is by `gain` higher than the incumbent's; bisected on one draw of the noise.
    """
    random = np.random.default_rng(4)
    truth = random.random((POPULATION, len(having))) < having
    noise = random.standard_normal(truth.shape)

    def figure(apart: float) -> float:
        return _FIGURES[metric](truth, noise + apart * truth, apart / 2)

    wanted = figure(APART) + gain
    low, high = 0.5 * APART, 2 * APART
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if figure(middle) < wanted else (low, middle)
    return (low + high) / 2


def _mean_average_precision(truth: NDArray[np.bool_], scores: Rows, _: float) -> float:
    found = []
    for has, score in zip(truth.T, scores.T, strict=True):
        ranked = has[np.argsort(-score)]
        precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
        found.append(precision[ranked].mean())
    return float(np.mean(found))


def _macro_f1(truth: NDArray[np.bool_], scores: Rows, threshold: float) -> float:
    said = scores > threshold
    hits = (said & truth).sum(0)
    return float(np.mean(2 * hits / (said.sum(0) + truth.sum(0))))


_FIGURES: Mapping[Judged, Callable[[NDArray[np.bool_], Rows, float], float]] = {
    "mean_average_precision": _mean_average_precision,
    "macro_f1": _macro_f1,
}


def _pairs(
    random: np.random.Generator, having: Rows, alike: float, apart: float, group: int
) -> list[Pair]:
    """New examples, `group` in a row with the same labels and answers."""
    truth = random.random((HELD_OUT // group, len(having))) < having
    shared, mine, theirs = random.standard_normal((3, *truth.shape))
    common, own = np.sqrt(alike) * shared, np.sqrt(1 - alike)
    candidate = common + own * mine + apart * truth
    incumbent = common + own * theirs + APART * truth
    rows = [
        (_labels(has), _answer(one, apart / 2), _answer(other, APART / 2))
        for has, one, other in zip(truth, candidate, incumbent, strict=True)
    ]
    return [
        Pair(labels, str(place), one, other)
        for place, (labels, one, other) in enumerate(rows)
        for _ in range(group)
    ]


def _labels(chosen: NDArray[np.bool_]) -> frozenset[str]:
    return frozenset(str(place) for place in np.flatnonzero(chosen))


def _answer(scores: Rows, threshold: float) -> Verdicted:
    probabilities = 1 / (1 + np.exp(-(scores - threshold)))
    return Verdicted(
        _labels(scores > threshold),
        0.5,
        {str(place): float(one) for place, one in enumerate(probabilities)},
    )


if __name__ == "__main__":
    main()
