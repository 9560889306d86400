"""How good heads against the rest are: rankings, decisions and probabilities, each with a 95%
interval, a class at a time and over all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from app.core import class_figures
from app.core.class_figures import Interval, Share, wilson
from worker.ml.assess import calibration, intervals
from worker.ml.assess.evaluation import NOT_ESTIMABLE, How
from worker.ml.multi_label.figures import Answers, figures

GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Thresholds that precision and recall are told of, whatever was chosen."""

BINS = 15

DECISION_SPREAD = 0.04
"""Variance of precision and recall beyond sampling, over p(1-p): a threshold that is chosen anew on
other examples trades one for the other (multi_label.json)."""


def evaluate(
    answers: Answers,
    classes: Sequence[str],
    thresholds: Tensor,
    *,
    how: How,
    folds: int | None = None,
) -> dict[str, Any]:
    """Every figure as JSON; `thresholds` [C] are the model's."""
    judged = answers.judged.any(1)
    result: dict[str, Any] = {
        "label_mode": "multi_label",
        "how": {
            "method": how,
            "num_examples": int(judged.sum()),
            "left_out": int((~judged).sum()),
            **({} if folds is None else {"folds": folds}),
        },
    }
    if not bool(answers.rankable.any()):
        return result | _nothing(answers, classes, thresholds)
    found = figures(answers)
    share = partial(_share, trained=answers.trained, effect=answers.design_effect)
    return result | {
        "estimable": True,
        "mean_average_precision": found.mean_average_precision,
        "micro_f1": found.micro_f1,
        "macro_f1": found.macro_f1,
        "exact_match": _exact(answers, share),
        "log_loss": _log_loss(answers),
        "calibration_error": _calibration_error(answers),
        "per_class": [
            _of_class(answers, c, label, float(thresholds[c]), share)
            | {"average_precision": found.average_precision[c]}
            for c, label in enumerate(classes)
        ],
        "curves": {"reliability": _reliability(answers)},
    }


def _nothing(answers: Answers, classes: Sequence[str], thresholds: Tensor) -> dict[str, Any]:
    """The answer where no class can be judged: it says so instead of a number."""
    names = ("mean_average_precision", "micro_f1", "macro_f1", "exact_match", "log_loss")
    row = dict.fromkeys(("precision", "recall", "f1", "average_precision"), NOT_ESTIMABLE)
    return {
        "estimable": False,
        "reason": "not estimable: no class has two examples, or groups of them, that can be judged",
        **dict.fromkeys((*names, "calibration_error"), NOT_ESTIMABLE),
        "per_class": [
            {"label": label, "support": 0, "threshold": float(thresholds[c]), **row}
            | _reason(answers, c)
            for c, label in enumerate(classes)
        ],
        "curves": {"reliability": []},
    }


def _reason(answers: Answers, c: int) -> dict[str, Any]:
    """Why a class is not estimable."""
    having = int(answers.marks[:, c].sum())
    if having == len(answers.marks):
        why = "every example has it: there is nothing to tell it from"
    elif having < 2:
        why = f"{having} example(s) have it; two or more tell how well it is recognised"
    else:
        why = "its examples belong to one group, or no fit without them has seen it"
    return {"estimable": False, "reason": f"not estimable: {why}"}


def _of_class(
    answers: Answers, c: int, label: str, threshold: float, share: Share
) -> dict[str, Any]:
    kept = answers.judged[:, c]
    marks, said = answers.marks[kept, c], answers.said[kept, c]
    told: dict[str, Any] = {"label": label, "support": int(marks.sum()), "threshold": threshold}
    if not bool(answers.rankable[c]):
        told |= dict.fromkeys(("precision", "recall", "f1"), NOT_ESTIMABLE)
        return told | _reason(answers, c)
    probabilities = answers.probabilities[kept, c]
    points = [{"threshold": at} | _decided(marks, probabilities >= at, share) for at in GRID]
    decided = _decided(marks, said, share)
    return told | decided | {"operating_points": [_without_f1(one) for one in points]}


def _without_f1(point: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in point.items() if name != "f1"}


def _decided(marks: Tensor, said: Tensor, share: Share) -> dict[str, Any]:
    """Precision, recall and F1 of decisions [n]."""
    return dict(
        class_figures.of_class(
            hits=float((marks & said).sum()),
            support=float(marks.sum()),
            predicted=float(said.sum()),
            share=share,
        )
    )


def _share(hits: float, n: float, *, trained: float | None, effect: float) -> Interval:
    """A share with its interval, of as many examples as say something of their own."""
    if n == 0:
        return NOT_ESTIMABLE
    alone = max(1.0, n / effect)
    if trained is None:
        low, high = wilson(hits / n * alone, alone)
    else:
        low, high = intervals.out_of_fold(hits / n, alone, trained=trained, extra=DECISION_SPREAD)
    return {"value": hits / n, "low": min(low, hits / n), "high": max(high, hits / n)}


def _exact(answers: Answers, share: Share) -> Interval:
    """The share of examples whose labels are all right."""
    whole = answers.judged.any(1)
    right = ((answers.said == answers.marks) | ~answers.judged).all(1)
    return share(float(right[whole].sum()), float(whole.sum()))


def _log_loss(answers: Answers) -> Interval:
    """Mean of -ln p over classes and examples, in nats; the interval is over examples."""
    p = answers.probabilities.clamp(1e-15, 1 - 1e-15)
    each = -torch.where(answers.marks, p, 1 - p).log() * answers.judged
    counted = answers.judged.sum(1)
    losses = each.sum(1)[counted > 0] / counted[counted > 0]
    value = float(losses.mean())
    if len(losses) < 2:
        return {"value": value, "low": None, "high": None}
    low, high = intervals.mean_interval(losses)
    if answers.trained is not None:
        low, high = intervals.loss_out_of_fold(value, low, high, trained=answers.trained)
    return {"value": value, "low": max(0.0, min(low, value)), "high": max(high, value)}


def _calibration_error(answers: Answers) -> Interval:
    """Expected calibration error of all probabilities that count, with 15 bins."""
    gaps, weights, counts = _gaps(answers)
    middle = (torch.arange(BINS, dtype=torch.double) + 0.5) / BINS
    share = (middle - gaps / 2).clamp(0.5 / BINS, 1 - 0.5 / BINS)
    alone = (counts / answers.design_effect).clamp(min=1)
    deviations = (share * (1 - share) / alone).sqrt()
    low, high = intervals.gap_interval(gaps, weights, deviations)
    return {"value": float((weights * gaps.abs()).sum()), "low": low, "high": high}


def _gaps(answers: Answers) -> tuple[Tensor, Tensor, Tensor]:
    """(mean probability - share that has the label, weight, count) of each bin."""
    p, y = answers.probabilities[answers.judged].double(), answers.marks[answers.judged].double()
    place = calibration.bin_of(p.clamp(min=1e-12), BINS)
    counts = torch.bincount(place, minlength=BINS).double()
    excess = torch.zeros(BINS, dtype=torch.double).index_add_(0, place, p - y)
    return excess / counts.clamp(min=1), counts / max(1, len(p)), counts


def _reliability(answers: Answers) -> list[dict[str, Any]]:
    """Of each bin that has probabilities: how many, their mean, how often the label was true."""
    gaps, _, counts = _gaps(answers)
    p = answers.probabilities[answers.judged].double()
    place = calibration.bin_of(p.clamp(min=1e-12), BINS)
    total = torch.zeros(BINS, dtype=torch.double).index_add_(0, place, p)
    points = []
    for bin_ in torch.nonzero(counts)[:, 0].tolist():
        n, confidence = float(counts[bin_]), float(total[bin_] / counts[bin_])
        value = min(1.0, max(0.0, confidence - float(gaps[bin_])))
        low, high = wilson(value * n, n)
        accuracy = {"value": value, "low": low, "high": high}
        points.append({"count": int(n), "confidence": confidence, "accuracy": accuracy})
    return points
