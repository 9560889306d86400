"""What a gate has seen, as a promotion shows it and as its rule reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.promotion import bootstrap, paired_tests
from app.core.promotion.bootstrap import DRAWS, Difference
from app.core.promotion.pairs import Discordance, Pair, loss, right
from app.core.promotion.several import PairedFigures


@dataclass(frozen=True, slots=True)
class Seen:
    """`told` is what is shown; `alone` examples have a share that varies as a mean over the classes
    does: none where no class can be judged.
    """

    told: dict[str, Any]
    differences: Mapping[str, Difference]
    alone: float


def of(
    pairs: Sequence[Pair],
    found: Discordance,
    floors: Mapping[str, float],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Seen:
    """The figures of both models, and how far they are apart."""
    figures = PairedFigures.of(pairs) if pairs[0].several else None
    if figures is not None:
        differences = figures.differences(seed=seed, draws=draws)
        alone = figures.alone()
    else:
        differences = {
            "balanced_accuracy": bootstrap.balanced_accuracy(pairs, seed=seed, draws=draws),
            "log_loss": bootstrap.log_loss(pairs, seed=seed, draws=draws),
        }
        alone = _alone(pairs, found)
    every = {"accuracy": accuracy(found), **differences}
    told: dict[str, Any] = {
        "examples": found.examples,
        "groups": found.groups if found.grouped else None,
        "design_effect": found.effect,
        "candidate": model(pairs, figures, incumbent=False),
        "incumbent": model(pairs, figures, incumbent=True),
        "discordant": {"candidate_right": found.won, "incumbent_right": found.lost},
        "difference": {name: one.told() for name, one in every.items()},
        "errors": {name: one.error for name, one in differences.items()},
        "floors": recalls_at_least(pairs, floors),
        "classes": _classes(pairs, figures),
        "more_labels": None,
    }
    return Seen(told, every, alone)


def first(pairs: Sequence[Pair], floors: Mapping[str, float]) -> dict[str, Any]:
    """What there is to see of a candidate without an incumbent."""
    figures = PairedFigures.of(pairs) if pairs[0].several else None
    return {
        "examples": len(pairs),
        "candidate": model(pairs, figures, incumbent=False),
        "incumbent": None,
        "floors": recalls_at_least(pairs, floors),
    }


def recalls_at_least(pairs: Sequence[Pair], floors: Mapping[str, float]) -> list[dict[str, Any]]:
    """Whether the candidate's recalls meet their floors; None of a class without an example."""
    counts = bootstrap.recalls(pairs)
    told = []
    for label, floor in sorted(floors.items()):
        support, hits, _ = counts.get(label, (0, 0, 0))
        recall = hits / support if support else None
        met = None if recall is None else recall >= floor
        told.append(
            {"label": label, "floor": floor, "recall": recall, "support": support, "met": met}
        )
    return told


def accuracy(found: Discordance) -> Difference:
    """The difference of the accuracies, its interval by the design effect."""
    variance = (found.won + found.lost) / found.examples - found.share**2
    error = (max(variance, 0.0) * found.effect / found.examples) ** 0.5
    reach = error * paired_tests.student(0.025, found.groups - 1)
    return Difference(found.share, found.share - reach, found.share + reach, error)


def model(
    pairs: Sequence[Pair], figures: PairedFigures | None, *, incumbent: bool
) -> dict[str, float]:
    """One model's figures."""
    answers = [(pair, pair.incumbent if incumbent else pair.candidate) for pair in pairs]
    hits = [right(answer, pair.label) for pair, answer in answers]
    share = {"accuracy": sum(hits) / len(hits)}
    if figures is not None:
        return share | figures.told(incumbent=incumbent)
    at = 2 if incumbent else 1
    counts = bootstrap.recalls(pairs).values()
    return share | {
        "balanced_accuracy": sum(row[at] / row[0] for row in counts) / len(counts),
        "log_loss": sum(loss(answer) for _, answer in answers if answer) / len(answers),
    }


def _classes(pairs: Sequence[Pair], figures: PairedFigures | None) -> list[dict[str, Any]]:
    ranked = figures.per_class() if figures is not None else {}
    return [
        {"label": label, "support": n, "candidate_recall": a / n, "incumbent_recall": b / n}
        | dict(ranked.get(label, {}))
        for label, (n, a, b) in bootstrap.recalls(pairs).items()
    ]


def _alone(pairs: Sequence[Pair], found: Discordance) -> float:
    supports = [row[0] for row in bootstrap.recalls(pairs).values()]
    whole = len(supports) ** 2 / sum(1 / support for support in supports)
    return whole * found.groups / found.examples
