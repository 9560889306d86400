"""How predictions agree with labels: counts that add up over chunks, and figures made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.class_figures import Interval, balanced_accuracy, of_class, wilson

Tally = dict[str, Any]
"""`{split: {"counts": {label: {predicted: n}}, "left_out": n}}`, plain data for a JSON column;
left out are examples of a label that the model does not know."""

_ORDER = ("train", "val", "test")
_MOST_LABELS = 200
"""A larger matrix is not written out."""


def count(tally: Tally, *, split: str, label: str, predicted: str | None) -> None:
    """Add one example; `predicted` is None where the model does not know the label."""
    entry = tally.setdefault(split, {"counts": {}, "left_out": 0})
    if predicted is None:
        entry["left_out"] += 1
        return
    row = entry["counts"].setdefault(label, {})
    row[predicted] = row.get(predicted, 0) + 1


def merged(one: Tally, other: Tally) -> Tally:
    """Both together, as new data."""
    total: Tally = {}
    for tally in (one, other):
        for split, entry in tally.items():
            into = total.setdefault(split, {"counts": {}, "left_out": 0})
            into["left_out"] += entry["left_out"]
            for label, row in entry["counts"].items():
                _add(into["counts"].setdefault(label, {}), row)
    return total


def _add(into: dict[str, int], row: Mapping[str, int]) -> None:
    for predicted, number in row.items():
        into[predicted] = into.get(predicted, 0) + number


def evaluate(tally: Tally) -> list[dict[str, Any]]:
    """The figures of each split, in the order train, val, test."""
    return [_of_split(split, tally[split]) for split in _ORDER if split in tally]


def _of_split(split: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    counts: Mapping[str, Mapping[str, int]] = entry["counts"]
    predicted: dict[str, int] = {}
    for row in counts.values():
        _add(predicted, row)
    total = sum(predicted.values())
    right = sum(row.get(label, 0) for label, row in counts.items())
    labels = sorted({*counts, *predicted})
    return {
        "split": split,
        "num_examples": total,
        "left_out": entry["left_out"],
        "accuracy": _share(right, total),
        "balanced_accuracy": balanced_accuracy(
            ((row.get(label, 0), sum(row.values())) for label, row in counts.items()), _share
        ),
        "per_class": [
            _of_class(label, counts.get(label, {}), predicted.get(label, 0)) for label in labels
        ],
        "confusion_matrix": _matrix(labels, counts) if len(labels) <= _MOST_LABELS else None,
    }


def _of_class(label: str, row: Mapping[str, int], predicted: int) -> dict[str, Any]:
    """The class's figures, from its row of the matrix and the sum of its column."""
    hits, support = row.get(label, 0), sum(row.values())
    figures = of_class(hits=hits, support=support, predicted=predicted, share=_share)
    return {"label": label, "support": support, **figures}


def _share(right: float, total: float) -> Interval:
    if not total:
        return {"value": None, "low": None, "high": None}
    value, (low, high) = right / total, wilson(right, total)
    return {"value": value, "low": min(low, value), "high": max(high, value)}


def _matrix(labels: list[str], counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    rows = [[counts.get(label, {}).get(other, 0) for other in labels] for label in labels]
    return {"labels": labels, "counts": rows}
