"""How predictions agree with labels: counts that add up over chunks, and figures made of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from app.core.class_figures import Interval, Share, balanced_accuracy, of_class, wilson

Tally = dict[str, Any]
"""`{split: {"counts": {label: {predicted: n}}, "left_out": n, "seen": n}}`, plain data for a JSON
column; left out are examples of a label that the model does not know, seen those that it was
trained on, None where that is not known. Of a model that says several labels there are also
`marks`, `{label: [right, said, true]}`, and `exact` of `total` whose labels are all right."""

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


def count_several(
    tally: Tally,
    *,
    split: str,
    labels: Collection[str],
    predicted: Collection[str],
    seen: bool | None,
) -> None:
    """Add one example of a model that says several labels; `labels` are those that it knows."""
    entry = tally.setdefault(split, _nothing())
    entry["seen"] = _plus(entry["seen"], seen)
    _count_marks(entry, labels=labels, said=predicted)


def note_smoothed(tally: Tally) -> None:
    """Say of all that was counted that its predictions were smoothed over one another."""
    for entry in tally.values():
        counted = sum(sum(row.values()) for row in entry["counts"].values())
        entry["smoothed"] = counted


def merged(one: Tally, other: Tally) -> Tally:
    """Both together, as new data."""
    total: Tally = {}
    for tally in (one, other):
        for split, entry in tally.items():
            into = total.setdefault(split, _nothing())
            into["left_out"] += entry["left_out"]
            into["seen"] = _plus(into["seen"], entry.get("seen"))
            _add_marks(into, entry)
            if "smoothed" in entry:
                into["smoothed"] = into.get("smoothed", 0) + entry["smoothed"]
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
    share = _flattered if entry.get("seen") else _share
    told = {
        "split": split,
        "left_out": entry["left_out"],
        "seen_in_training": entry.get("seen"),
        **({"smoothed": entry["smoothed"]} if "smoothed" in entry else {}),
    }
    if "marks" in entry:
        return told | _of_marks(entry, share)
    counts: Mapping[str, Mapping[str, int]] = entry["counts"]
    predicted: dict[str, int] = {}
    for row in counts.values():
        _add(predicted, row)
    total = sum(predicted.values())
    right = sum(row.get(label, 0) for label, row in counts.items())
    labels = sorted({*counts, *predicted})
    return told | {
        "num_examples": total,
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


def _count_marks(entry: dict[str, Any], *, labels: Collection[str], said: Collection[str]) -> None:
    """Add one example with its labels and those that were said of it."""
    marks = entry.setdefault("marks", {})
    for label in {*labels, *said}:
        row = marks.setdefault(label, [0, 0, 0])
        row[0] += label in labels and label in said
        row[1] += label in said
        row[2] += label in labels
    entry["total"] = entry.get("total", 0) + 1
    entry["exact"] = entry.get("exact", 0) + (set(labels) == set(said))


def _add_marks(into: dict[str, Any], entry: Mapping[str, Any]) -> None:
    """Add another entry's counts, if it has any."""
    if "marks" not in entry:
        return
    marks = into.setdefault("marks", {})
    for label, row in entry["marks"].items():
        marks[label] = [a + b for a, b in zip(marks.get(label, [0, 0, 0]), row, strict=True)]
    for name in ("total", "exact"):
        into[name] = into.get(name, 0) + entry[name]


def _of_marks(entry: Mapping[str, Any], share: Share) -> dict[str, Any]:
    """Of a split. `accuracy` is the share of examples whose labels are all right, as elsewhere;
    `balanced_accuracy` the mean recall of labels.
    """
    marks: Mapping[str, list[int]] = entry["marks"]
    rows = {label: marks[label] for label in sorted(marks)}
    per_class = [_of_label(label, row, share) for label, row in rows.items()]
    right, said, true = (sum(row[at] for row in rows.values()) for at in range(3))
    total = of_class(hits=right, support=true, predicted=said, share=share)
    return {
        "label_mode": "multi_label",
        "num_examples": entry["total"],
        "accuracy": share(entry["exact"], entry["total"]),
        "balanced_accuracy": balanced_accuracy(
            ((row[0], row[2]) for row in rows.values() if row[2]), share
        ),
        "micro_f1": total["f1"],
        "macro_f1": _mean_f1(per_class),
        "per_class": per_class,
        "confusion_matrix": None,
    }


def _of_label(label: str, row: list[int], share: Share) -> dict[str, Any]:
    right, said, true = row
    told = of_class(hits=right, support=true, predicted=said, share=share)
    return {"label": label, "support": true, **told}


def _mean_f1(per_class: list[dict[str, Any]]) -> Interval:
    """The mean F1 of labels that examples have; a label that none has cannot be recalled."""
    values = [one["f1"]["value"] or 0.0 for one in per_class if one["support"]]
    value = sum(values) / len(values) if values else None
    return {"value": value, "low": None, "high": None}
