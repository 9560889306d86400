"""How good a head is, every figure with a 95% interval and how it was obtained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from app.core import class_figures
from app.core.class_figures import Interval, Share, wilson
from worker.ml import threads
from worker.ml.assess import calibration, intervals, new_sources
from worker.ml.assess.intervals import GROWTH, Growth

How = Literal["hold-out", "k-fold", "leave-one-out", "none"]

MOST_MATRIX_CLASSES = 200
"""As of a batch's evaluation."""
NOT_ESTIMABLE: Interval = {"value": None, "low": None, "high": None}


def evaluate(
    probabilities: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    how: How,
    folds: int | None = None,
    known: Tensor | None = None,
    apart: float = 1.0,
    grouped: bool = False,
    growth: Growth = GROWTH["image"],
) -> dict[str, Any]:
    """Every metric of calibrated `probabilities` [n, C] against `labels` [n].

    Probabilities are of held-out examples or out-of-fold. Out of fold, only `known` [n] examples
    were judged by a fit that had seen their class, and the others are left out; by default a class
    with one example is not known. When that leaves half of the classes or fewer, as when few of
    them are among the held-out examples, nothing is estimable. `apart` is the share of the examples
    that are no copies of others: shares' intervals are as wide as so many tell. By `growth` the
    final fit is better than its parts out of fold.
    """
    if known is None:
        known = torch.ones(len(labels), dtype=torch.bool)
        if how != "hold-out":
            known = torch.bincount(labels.long(), minlength=len(classes))[labels.long()] > 1
    with threads.enough(probabilities.numel()):
        said = _evaluate(
            probabilities,
            labels,
            classes,
            how=how,
            folds=folds,
            kept=known,
            apart=apart,
            growth=growth,
        )
    said["how"] |= {"holds_for": new_sources.holds_for(said["how"], grouped=grouped)}
    return said


def _evaluate(
    probabilities: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    how: How,
    folds: int | None,
    kept: Tensor,
    apart: float,
    growth: Growth,
) -> dict[str, Any]:
    result = _obtained(how, folds, n=int(kept.sum()), left_out=int((~kept).sum()))
    probs, true = probabilities[kept].double(), labels[kept].long()
    if not _estimable(true, len(classes)):
        return result | _nothing(classes, how)
    trained, per_class = _trained(true, how, folds), apart * len(true) / len(classes)
    part = None if trained is None else _FoldFit(trained, per_class, growth)
    share = partial(_share, part=part, apart=apart)
    said = probs.argmax(1)
    tally = tallied(said, true, len(classes))
    hits, count = float(tally.hits.sum()), float(tally.support.sum())
    final = partial(_expected, part=part, n=count * apart)
    return result | {
        "estimable": True,
        "accuracy": final(share(hits, count)),
        "balanced_accuracy": final(class_figures.balanced_accuracy(_recalls(tally), share)),
        "new_sources": _elsewhere(hits / count, count * apart, final, growth),
        "log_loss": _log_loss(probs, true, trained),
        "calibration_error": _calibration_error(probs, true),
        "per_class": [_of_class(tally, c, label, share) for c, label in enumerate(classes)],
        "confusion_matrix": _matrix(said, true, classes),
        "curves": {"reliability": _reliability(probs, true)},
    }


@dataclass(frozen=True)
class ClassTally:
    """How often each class was predicted and true at once, was true, and was predicted: [C] each.

    What figures need of a confusion matrix, which has the square of as many cells.
    """

    hits: Tensor
    support: Tensor
    predicted: Tensor


def tallied(predicted: Tensor, true: Tensor, classes: int) -> ClassTally:
    """The counts of `classes` classes, of predicted and true ones [n]."""
    right = true[predicted == true]
    hits, support, said = (
        torch.bincount(some.long(), minlength=classes) for some in (right, true, predicted)
    )
    return ClassTally(hits, support, said)


def _matrix(predicted: Tensor, true: Tensor, classes: Sequence[str]) -> dict[str, Any] | None:
    """None for more than MOST_MATRIX_CLASSES: nobody reads it, and it grows with their square."""
    if len(classes) > MOST_MATRIX_CLASSES:
        return None
    counts = confusion_matrix(predicted, true, len(classes))
    return {"labels": list(classes), "counts": counts.tolist()}


def confusion_matrix(predicted: Tensor, true: Tensor, classes: int) -> Tensor:
    """Counts [C true, C predicted]."""
    cells = true.long() * classes + predicted.long()
    return torch.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _estimable(labels: Tensor, classes: int) -> bool:
    present = int((torch.bincount(labels, minlength=classes) > 0).sum())
    return 2 * present > classes


def _obtained(how: How, folds: int | None, *, n: int, left_out: int) -> dict[str, Any]:
    method: dict[str, Any] = {"method": how, "num_examples": n, "left_out": left_out}
    return {"how": method | ({"folds": folds} if folds is not None else {})}


def _nothing(classes: Sequence[str], how: How) -> dict[str, Any]:
    """The answer where no held-out example can be judged: it says so instead of a number."""
    figures = ("accuracy", "balanced_accuracy", "log_loss", "calibration_error")
    row = {"support": 0} | dict.fromkeys(("precision", "recall", "f1"), NOT_ESTIMABLE)
    return {
        "estimable": False,
        "reason": "not estimable: too few classes have "
        + ("held-out examples" if how == "hold-out" else "two or more examples, or groups of them"),
        **dict.fromkeys(figures, NOT_ESTIMABLE),
        "new_sources": None,
        "per_class": [{"label": label} | row for label in classes],
        "confusion_matrix": None,
        "curves": {"reliability": []},
    }


def none(classes: Sequence[str], why: str) -> dict[str, Any]:
    """The evaluation of a head that no example can judge."""
    told = _obtained("none", None, n=0, left_out=0) | _nothing(classes, "none")
    return told | {"reason": why}


def _recalls(tally: ClassTally) -> list[tuple[float, float]]:
    """(hits, support) of each class."""
    return list(zip(tally.hits.tolist(), tally.support.tolist(), strict=True))


def _of_class(tally: ClassTally, c: int, label: str, share: Share) -> dict[str, Any]:
    support = int(tally.support[c])
    figures = class_figures.of_class(
        hits=float(tally.hits[c]),
        support=float(support),
        predicted=float(tally.predicted[c]),
        share=share,
    )
    return {"label": label, "support": support, **figures}


def _trained(labels: Tensor, how: How, folds: int | None) -> float | None:
    """The share of the examples that a fold's fit had; None where the final fit was judged."""
    if how == "hold-out":
        return None
    if folds is None:
        folds = len(labels) // int((torch.bincount(labels) > 0).sum())
    return 1 - 1 / max(2, folds)


@dataclass(frozen=True)
class _FoldFit:
    """A fold's fit: of the share `trained` of the whole, which has `per_class` examples a class."""

    trained: float
    per_class: float
    growth: Growth

    def interval(self, share: float, n: float) -> tuple[float, float]:
        return intervals.out_of_fold(
            share, n, trained=self.trained, per_class=self.per_class, growth=self.growth
        )


def _expected(figure: Interval, *, part: _FoldFit | None, n: float) -> Interval:
    """The figure of `n` judgements with what the final fit is expected to have: out of fold more
    than its parts, and never surely all.
    """
    value = figure["value"]
    if value is None:
        return {**figure, "expected": None}
    value = intervals.seen(value, n)
    if part is not None:
        value = intervals.grown(value, part.trained, part.per_class, part.growth)
    return {**figure, "expected": value}


def _elsewhere(
    share: float, n: float, final: Callable[[Interval], Interval], growth: Growth
) -> dict[str, Any]:
    """What `n` examples of which this share is right tell of inputs from new sources."""
    middle = (n * share + 2) / (n + 4)
    expected = final({"value": middle, "low": None, "high": None})["expected"]
    assert expected is not None
    return new_sources.new_sources(expected, intervals.variance(middle, n, growth))


def _share(hits: float, n: float, *, part: _FoldFit | None, apart: float) -> Interval:
    """A share with Wilson's interval, or out of fold one that allows for what folds miss."""
    if n == 0:
        return NOT_ESTIMABLE
    low, high = part.interval(hits / n, n * apart) if part else wilson(hits * apart, n * apart)
    return {"value": hits / n, "low": low, "high": high}


def _log_loss(probs: Tensor, true: Tensor, trained: float | None) -> Interval:
    """Mean of -ln p(true class), in nats; p is kept above 1e-15.

    Where nothing was wrong the losses do not vary, yet a first error may be near: as Agresti and
    Coull (1998) do for shares, the upper end counts two guesses among the classes more.
    """
    losses = -probs.gather(1, true[:, None])[:, 0].clamp(min=1e-15).log()
    value = float(losses.mean())
    if len(losses) < 2:
        return {"value": value, "low": None, "high": None}
    low, high = intervals.mean_interval(losses)
    guesses = losses.new_full((2,), math.log(probs.shape[1]))
    high = max(high, intervals.mean_interval(torch.cat([losses, guesses]))[1])
    if trained is not None:
        low, high = intervals.loss_out_of_fold(value, low, high, trained=trained)
    return {"value": value, "low": max(0.0, low), "high": high}


def _calibration_error(probs: Tensor, true: Tensor) -> Interval:
    """Expected calibration error with 15 bins."""
    gaps, weights = calibration.calibration_gaps(probs, true)
    deviations = _gap_deviations(gaps, weights * len(true))
    low, high = intervals.gap_interval(gaps, weights, deviations)
    return {"value": float((weights * gaps.abs()).sum()), "low": low, "high": high}


def _gap_deviations(gaps: Tensor, counts: Tensor) -> Tensor:
    """Standard error [bins] of each bin's gap: the binomial's, at a share of hits between the
    bin's middle (if calibrated) and the measured one.
    """
    bins = len(counts)
    middle = (torch.arange(bins, dtype=torch.double) + 0.5) / bins
    hits = (middle - gaps / 2).clamp(0.5 / bins, 1 - 0.5 / bins)
    return (hits * (1 - hits) / counts.clamp(min=1)).sqrt()


def _reliability(probs: Tensor, true: Tensor, bins: int = 15) -> list[dict[str, Any]]:
    """Of each bin of confidence that has examples: how many, how confident, how often right."""
    confidence, predicted = probs.max(1)
    place = calibration.bin_of(confidence, bins)
    points = []
    for chosen in (place == number for number in torch.unique(place).tolist()):
        n, hits = int(chosen.sum()), int((predicted == true)[chosen].sum())
        low, high = wilson(hits, n)
        accuracy = {"value": hits / n, "low": low, "high": high}
        points.append(
            {"count": n, "confidence": float(confidence[chosen].mean()), "accuracy": accuracy}
        )
    return points
