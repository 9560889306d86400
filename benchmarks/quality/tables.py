"""From every draw's result to tables, and to promises with whether they are met."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.quality.cells import ALL_VIEWS, REFERENCE, SINGLE, TEXTBOOK, VIEWS

Rows = Sequence[Mapping[str, Any]]
Table = dict[str, dict[str, float]]
WIDTHS = {"5": 0.33, "10": 0.26, "20": 0.21}
ERRORS = {"10": 0.06, "20": 0.05}
NEAR = {"5": 0.74, "20": 0.78}
STATED_FALSE_ALARM = 0.05


def tables(rows: Rows) -> dict[str, Any]:
    """Everything that is recorded."""
    compared = [row for row in rows if row["kind"] == "compare"]
    strange = [row for row in rows if row["kind"] == "unknown"]
    judged = [row for row in rows if row["kind"] in ("compare", "interval")]
    found: dict[str, Any] = {"balanced_accuracy": accuracy(compared)}
    for mode in VIEWS:
        found[mode] = {
            "gain": gains(found["balanced_accuracy"], mode),
            "calibration_error": calibration(compared, mode),
            "intervals": intervals(judged, mode),
            "unknown": unknown(strange, mode),
        }
    return {"promises": promises(found)} | found


def accuracy(rows: Rows) -> Table:
    """Mean over seeds in percent by set, number of examples and method."""
    cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cell = cells[f"{row['name']} {row['shots']}"]
        for name, value in _accuracies(row["result"]).items():
            cell[name].append(100 * value)
    return {
        cell: {name: round(mean(values), 2) for name, values in found.items()}
        for cell, found in cells.items()
    }


def _accuracies(result: Mapping[str, Any]) -> dict[str, float]:
    found = {name: result[name] for name in (REFERENCE, TEXTBOOK) if name in result}
    for mode in VIEWS:
        for name, value in result[mode].items():
            found[f"{mode}: {name}"] = value["accuracy"] if isinstance(value, dict) else value
    return found


def gains(table: Table, mode: str) -> dict[str, Any]:
    """Points over the reference, over the best single method by hindsight, over the textbook."""
    auto = f"{mode}: auto"
    hindsight = {
        c: max(row[f"{mode}: {m}"] for m in SINGLE) - row[auto] for c, row in table.items()
    }
    textbook = [row[auto] - row[TEXTBOOK] for row in table.values() if TEXTBOOK in row]
    found = {
        "over_reference": _over(table, auto),
        "behind_best_single_by_hindsight": _two(mean(hindsight.values())),
        "over_textbook_at_5": {"mean": _two(mean(textbook)), "least": _two(min(textbook))},
    }
    if mode == "full":
        found["over_reference_all_views"] = _over(table, f"full: {ALL_VIEWS}")
    return found


def _over(table: Table, name: str) -> dict[str, Any]:
    points = {cell: row[name] - row[REFERENCE] for cell, row in table.items()}
    by_set, by_shots = (
        {key: _two(mean(v)) for key, v in _grouped(points, place).items()} for place in (0, 1)
    )
    worst = min(points, key=lambda cell: points[cell])
    return {
        "mean": _two(mean(points.values())),
        "by_set": by_set,
        "by_examples": by_shots,
        "worst_cell": {worst: _two(points[worst])},
    }


def _grouped(points: Mapping[str, float], place: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for cell, value in points.items():
        found[cell.split()[place]].append(value)
    return found


def calibration(rows: Rows, mode: str) -> dict[str, Any]:
    """Expected calibration error, 15 bins, seeds pooled: mean over sets, and each set's."""
    errors: dict[str, dict[str, float]] = defaultdict(dict)
    for (name, shots), own in _by(rows, lambda row: (row["name"], row["shots"])).items():
        auto = [row["result"][mode]["auto"] for row in own]
        excess = [sum(column) for column in zip(*(one["excess"] for one in auto), strict=True)]
        total = sum(sum(one["counts"]) for one in auto)
        errors[str(shots)][name] = round(sum(map(abs, excess)) / total, 3)
    return {shots: {"mean": round(mean(own.values()), 3), **own} for shots, own in errors.items()}


def intervals(rows: Rows, mode: str) -> dict[str, Any]:
    """How often the stated interval holds the test accuracy, and how wide it is."""
    table: dict[str, Any] = {}
    for shots, own in _by(rows, lambda row: str(row["shots"])).items():
        if shots in WIDTHS:
            by_set = _by(own, lambda row: row["name"])
            table[shots] = _covered(own, mode) | {
                "by_set": {name: _covered(part, mode) for name, part in by_set.items()}
            }
    return table


def _covered(rows: Rows, mode: str) -> dict[str, Any]:
    auto = [row["result"][mode]["auto"] for row in rows]
    held = [one["interval"][0] <= one["accuracy"] <= one["interval"][1] for one in auto]
    widths = [one["interval"][1] - one["interval"][0] for one in auto]
    return {"draws": len(rows), "coverage": round(mean(held), 3), "width": round(mean(widths), 3)}


def unknown(rows: Rows, mode: str) -> dict[str, Any]:
    """AUROC with classes of the same set held out and for other sets; the false-alarm rate."""
    table: dict[str, Any] = {}
    for shots, own in _by(rows, lambda row: str(row["shots"])).items():
        found = [(row["name"], row["result"][mode]) for row in own]
        far = [value for _, one in found for value in one["far"]]
        table[shots] = {
            "auroc_held_out_classes": round(mean(one["near"] for _, one in found), 3),
            "auroc_held_out_classes_by_set": _means(found, "near"),
            "auroc_other_sets": round(mean(far), 4),
            "auroc_other_sets_least": round(min(far), 4),
            "false_alarm_rate_stated": STATED_FALSE_ALARM,
            "false_alarm_rate": round(mean(one["alarm"] for _, one in found), 3),
            "false_alarm_rate_by_set": _means(found, "alarm"),
        }
    return table


def _means(found: Sequence[tuple[str, Mapping[str, Any]]], what: str) -> dict[str, float]:
    by_set: dict[str, list[float]] = defaultdict(list)
    for name, one in found:
        by_set[name].append(one[what])
    return {name: round(mean(values), 3) for name, values in by_set.items()}


def promises(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What issue 3 asks of images, with every view cached and cold."""
    said = [line for mode in VIEWS for line in _promises(found[mode], mode)]
    everything = found["full"]["gain"]["over_reference_all_views"]
    said += _gain(everything, "full, all views at prediction", 4)
    return said


def _promises(own: Mapping[str, Any], mode: str) -> Iterable[dict[str, Any]]:
    gain, strange = own["gain"], own["unknown"]
    yield from _gain(gain["over_reference"], mode, 3)
    yield _most(
        f"{mode}: points behind the best single", gain["behind_best_single_by_hindsight"], 1
    )
    yield _least(
        f"{mode}: least gain over the textbook, K=5", gain["over_textbook_at_5"]["least"], 40
    )
    for shots, most in ERRORS.items():
        error = own["calibration_error"].get(shots, {}).get("mean", 1.0)
        yield _most(f"{mode}: calibration error, K={shots}", error, most)
    for shots, most in WIDTHS.items():
        held = own["intervals"][shots]
        yield _between(f"{mode}: interval coverage, K={shots}", held["coverage"], 0.90, 0.99)
        yield _most(f"{mode}: interval width, K={shots}", held["width"], most)
    for shots, least in NEAR.items():
        one = strange[shots]
        yield _least(f"{mode}: unknown classes, K={shots}", one["auroc_held_out_classes"], least)
        yield _least(f"{mode}: other sets, K={shots}", one["auroc_other_sets"], 0.99)
        alarm = one["false_alarm_rate"]
        yield _between(f"{mode}: false alarms at 0.05, K={shots}", alarm, 0.03, 0.07)


def _gain(over: Mapping[str, Any], mode: str, least: float) -> list[dict[str, Any]]:
    worst = min(over["by_set"].values())
    return [
        _least(f"{mode}: gain over the reference", over["mean"], least),
        _least(f"{mode}: gain of the worst set", worst, -1),
    ]


def _least(what: str, value: float, least: float) -> dict[str, Any]:
    return {"what": what, "at_least": least, "measured": value, "met": value >= least}


def _most(what: str, value: float, most: float) -> dict[str, Any]:
    return {"what": what, "at_most": most, "measured": value, "met": value <= most}


def _between(what: str, value: float, least: float, most: float) -> dict[str, Any]:
    return _least(what, value, least) | {"at_most": most, "met": least <= value <= most}


def _two(value: float) -> float:
    return round(value, 2)


def _by(rows: Rows, key: Callable[[Mapping[str, Any]], Any]) -> dict[Any, list[Mapping[str, Any]]]:
    found: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found
