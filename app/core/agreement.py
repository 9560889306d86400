"""How predictions agree with labels: counts that add up over chunks, and figures made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.class_figures import Interval, Share, balanced_accuracy, of_class, wilson

Tally = dict[str, Any]
"""`{split: {"counts": {label: {predicted: n}}, "left_out": n, "seen": n}}`, plain data for a JSON
column; left out are examples of a label that the model does not know, seen those that it was
trained on, None where that is not known."""

_ORDER = ("train", "val", "test")
_MOST_LABELS = 200
"""A larger matrix is not written out."""


def count(
    tally: Tally, *, split: str, label: str, predicted: str | None, seen: bool | None
) -> None:
    """Add one example; `predicted` is None where the model does not know the label, `seen` where
    nobody knows whether the model was trained on it.
    """
    entry = tally.setdefault(split, _nothing())
    if predicted is None:
        entry["left_out"] += 1
        return
    entry["seen"] = _plus(entry["seen"], seen)
    row = entry["counts"].setdefault(label, {})
    row[predicted] = row.get(predicted, 0) + 1


def merged(one: Tally, other: Tally) -> Tally:
    """Both together, as new data."""
    total: Tally = {}
    for tally in (one, other):
        for split, entry in tally.items():
            into = total.setdefault(split, _nothing())
            into["left_out"] += entry["left_out"]
            into["seen"] = _plus(into["seen"], entry.get("seen"))
            for label, row in entry["counts"].items():
                _add(into["counts"].setdefault(label, {}), row)
    return total


def _nothing() -> dict[str, Any]:
    return {"counts": {}, "left_out": 0, "seen": 0}


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


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
    share = _flattered if entry.get("seen") else _share
    return {
        "split": split,
        "num_examples": total,
        "left_out": entry["left_out"],
        "seen_in_training": entry.get("seen"),
        "accuracy": share(right, total),
        "balanced_accuracy": balanced_accuracy(
            ((row.get(label, 0), sum(row.values())) for label, row in counts.items()), share
        ),
        "per_class": [
            _of_class(label, counts.get(label, {}), predicted.get(label, 0), share)
            for label in labels
        ],
        "confusion_matrix": _matrix(labels, counts) if len(labels) <= _MOST_LABELS else None,
    }


def _of_class(label: str, row: Mapping[str, int], predicted: int, share: Share) -> dict[str, Any]:
    """The class's figures, from its row of the matrix and the sum of its column."""
    hits, support = row.get(label, 0), sum(row.values())
    figures = of_class(hits=hits, support=support, predicted=predicted, share=share)
    return {"label": label, "support": support, **figures}


def _share(right: float, total: float) -> Interval:
    if not total:
        return {"value": None, "low": None, "high": None}
    value, (low, high) = right / total, wilson(right, total)
    return {"value": value, "low": min(low, value), "high": max(high, value)}


def _flattered(right: float, total: float) -> Interval:
    """Of what was trained on: the share, and no interval, as of new examples it says nothing."""
    return {**_share(right, total), "low": None, "high": None}


def _matrix(labels: list[str], counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    rows = [[counts.get(label, {}).get(other, 0) for other in labels] for label in labels]
    return {"labels": labels, "counts": rows}
