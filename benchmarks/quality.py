"""How good a head a few examples buy on real images: accuracy, calibration, intervals, unknowns."""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from app.core import backbones
from benchmarks import image_sets
from benchmarks.image_sets import ImageSet, Part
from benchmarks.record import record
from worker.ml import calibration, fit, serving, spaces
from worker.ml.heads.base import Fit, Support, Task

SINGLE = ("logistic", "ridge", "lda", "prototypical", "matching")
REFERENCE = "logistic regression, C=10, last layer, squish"
LAYOUT = backbones.EFFICIENTNET.layout


def weights_sha256() -> str:
    """Of the installed weights, which the generic statistics belong to."""
    found = backbones.find(image_sets.BACKBONE, None)
    assert found is not None
    return backbones.sha256(found.path)


def fitted(support: Support, method: str = "auto", **given: Any) -> Fit:
    """A fit as a job makes it."""
    return fit.fit(
        Task(
            method=method,
            hyperparameters=given,
            support=support,
            layout=LAYOUT,
            backbone=image_sets.BACKBONE,
            weights_sha256=weights_sha256(),
        )
    )


def answers(found: Fit, part: Part) -> Tensor:
    """Probabilities [n, k] of every test picture."""
    return serving.probabilities(found.head, part.features, layout=LAYOUT)


def balanced_accuracy(scores: Tensor, labels: Tensor) -> float:
    """The mean over classes of the share that is right."""
    hits = (scores.argmax(1) == labels).double()
    return float(torch.stack([hits[labels == c].mean() for c in labels.unique()]).mean())


def reference(support: Support, test: Part) -> Tensor:
    """What everybody would do first."""
    head = LogisticRegression(C=10, max_iter=5000)
    head.fit(spaces.last(support.features["squish"], LAYOUT), support.labels)
    return torch.from_numpy(head.predict_proba(spaces.last(test.features["squish"], LAYOUT)))


@dataclass(frozen=True)
class Draw:
    """One few-shot task."""

    data: ImageSet
    shots: int
    seed: int

    def support(self, views: tuple[str, ...] = image_sets.VIEWS) -> Support:
        """Its examples."""
        return self.data.train.support(self.data.train.draw(self.shots, self.seed), views)


def draws(data: Sequence[ImageSet], seeds: int) -> Iterator[Draw]:
    """Every set at every number of examples that it has, `seeds` times."""
    for one in data:
        yield from (Draw(one, *pair) for pair in product(one.shots, range(seeds)))


def accuracies(draw: Draw) -> dict[str, float]:
    """Balanced test accuracy of everything there is to compare."""
    test, labels = draw.data.test, draw.data.test.labels
    full, bare = draw.support(), draw.support(("squish",))
    scores = {
        REFERENCE: reference(bare, test),
        "auto": answers(fitted(full), test),
        "auto, all views at prediction": answers(fitted(full, prediction_views="all"), test),
        "auto, cold (squish only)": answers(fitted(bare), test),
    }
    for method in SINGLE:
        scores[method] = answers(fitted(full, method), test)
    if draw.shots == 5:
        scores["textbook"] = answers(fitted(bare, "linear", patience=None), test)
    return {name: balanced_accuracy(found, labels) for name, found in scores.items()}


def accuracy_table(data: Sequence[ImageSet], seeds: int) -> dict[str, Any]:
    """Means over seeds, by set and number of examples, and what the promises are about."""
    cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for draw in draws(data, seeds):
        for name, value in accuracies(draw).items():
            cells[f"{draw.data.name} {draw.shots}"][name].append(100 * value)
    table = {
        cell: {name: round(statistics.mean(values), 1) for name, values in row.items()}
        for cell, row in cells.items()
    }
    return {"balanced_accuracy": table, "promises": promises(table)}


def promises(table: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Gains over the reference, in points, averaged over sets and numbers of examples."""

    def gains(name: str) -> list[float]:
        return [row[name] - row[REFERENCE] for row in table.values()]

    hindsight = [max(row[m] for m in SINGLE) - row["auto"] for row in table.values()]
    textbook = [row["auto"] - row["textbook"] for row in table.values() if "textbook" in row]
    return {
        "gain": round(statistics.mean(gains("auto")), 2),
        "gain_worst_cell": round(min(gains("auto")), 2),
        "gain_all_views": round(statistics.mean(gains("auto, all views at prediction")), 2),
        "gain_all_views_worst_cell": round(min(gains("auto, all views at prediction")), 2),
        "gain_cold": round(statistics.mean(gains("auto, cold (squish only)")), 2),
        "behind_best_single_by_hindsight": round(statistics.mean(hindsight), 2),
        "gain_over_textbook_at_5": {"mean": round(statistics.mean(textbook), 1)}
        | {"least": round(min(textbook), 1)},
    }


def calibration_table(data: Sequence[ImageSet], seeds: int) -> dict[str, float]:
    """Expected calibration error, 15 bins, seeds pooled: mean over sets by number of examples."""
    errors: dict[int, list[float]] = defaultdict(list)
    for one in data:
        for shots in one.shots:
            found = [answers(fitted(Draw(one, shots, s).support()), one.test) for s in range(seeds)]
            labels = one.test.labels.repeat(seeds)
            errors[shots].append(calibration.calibration_error(torch.cat(found), labels))
    return {str(shots): round(statistics.mean(values), 3) for shots, values in errors.items()}


def interval_table(data: Sequence[ImageSet], count: int) -> dict[str, Any]:
    """How often the stated interval holds the test accuracy, and how wide it is, `count` draws."""
    table: dict[str, Any] = {}
    for shots in (5, 10, 20):
        sets = [one for one in data if shots in one.shots]
        found = [
            _interval(Draw(one, shots, seed))
            for one in sets
            for seed in range(-(-count // len(sets)))
        ]
        table[str(shots)] = {
            "draws": len(found),
            "coverage": round(
                statistics.mean(low <= truth <= high for low, truth, high in found), 3
            ),
            "width": round(statistics.mean(high - low for low, _, high in found), 3),
        }
    return table


def _interval(draw: Draw) -> tuple[float, float, float]:
    found = fitted(draw.support())
    said = found.evaluation["accuracy"]
    truth = balanced_accuracy(answers(found, draw.data.test), draw.data.test.labels)
    return said["low"], truth, said["high"]


def unknown_table(data: Sequence[ImageSet], seeds: int) -> dict[str, Any]:
    """AUROC with classes of the same set held out and for another set; the false-alarm rate."""
    table: dict[str, Any] = {}
    for shots in (5, 20):
        near, far, alarms = [], [], []
        for one, seed in product([one for one in data if shots in one.shots], range(seeds)):
            other = data[(data.index(one) + 1) % len(data)]
            found = _unknown(one, other, shots, seed)
            near.append(found["near"])
            far.append(found["far"])
            alarms.append(found["alarm"])
        table[str(shots)] = {
            "auroc_held_out_classes": round(statistics.mean(near), 3),
            "auroc_other_set": round(statistics.mean(far), 4),
            "auroc_other_set_least": round(min(far), 4),
            "false_alarm_rate_stated": 0.05,
            "false_alarm_rate": round(statistics.mean(alarms), 3),
        }
    return table


def _unknown(one: ImageSet, other: ImageSet, shots: int, seed: int) -> dict[str, float]:
    """Half of the classes (one of three) are kept from training."""
    classes = len(one.train.classes)
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(seed))
    hidden = order[: 1 if classes == 3 else classes // 2]
    rows = one.train.draw(shots, seed)
    rows = rows[~torch.isin(one.train.labels[rows], hidden)]
    support = _without(one.train.support(rows), hidden)
    head = serving.load(fitted(support).head)
    strange = torch.isin(one.test.labels, hidden)
    own, foreign = _scores(head, one.test), _scores(head, other.test)
    known = own[~strange]
    return {
        "near": float(roc_auc_score((~strange).numpy(), own)),
        "far": float(
            roc_auc_score([1] * len(known) + [0] * len(foreign), torch.cat([known, foreign]))
        ),
        "alarm": float((known < head.detector.threshold()).double().mean()),
    }


def _without(support: Support, hidden: Tensor) -> Support:
    kept = [c for c in range(len(support.classes)) if c not in hidden.tolist()]
    number = torch.full((len(support.classes),), -1)
    number[kept] = torch.arange(len(kept))
    return Support(
        features=support.features,
        labels=number[support.labels],
        groups=support.groups,
        ids=support.ids,
        classes=[support.classes[c] for c in kept],
    )


def _scores(head: serving.LiveHead, part: Part) -> Tensor:
    found = serving.predict(part.features, [head] * len(part.labels), layout=LAYOUT)
    return torch.tensor([one.score for one in found])


def main() -> None:
    """Every table; about an hour on two cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--sets", nargs="*", default=list(image_sets.SETS))
    options = parser.parse_args()
    data = [image_sets.load(name) for name in options.sets]
    record(
        "quality",
        figure="balanced test accuracy, calibration, intervals and unknowns from few examples",
        method=f"{options.seeds} seeds, sets {', '.join(options.sets)}, {image_sets.BACKBONE}; "
        "generic statistics from pictures of none of the sets",
        results={
            **accuracy_table(data, options.seeds),
            "calibration_error": calibration_table(data, options.seeds),
            "intervals": interval_table(data, options.draws),
            "unknown": unknown_table(data, options.seeds),
        },
    )


if __name__ == "__main__":
    main()
