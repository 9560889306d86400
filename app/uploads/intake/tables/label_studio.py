"""Label Studio's tasks: what was chosen for each, by whom it counts, and what was left open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.core.manifest import Problem
from app.uploads.intake import images
from app.uploads.intake.names import plain, shown
from app.uploads.intake.rows import Box, Row
from app.uploads.intake.tables import columns
from app.uploads.intake.tables.consensus import Consensus, Vote
from app.uploads.intake.tables.source import TableFile

ANNOTATIONS = ("annotations", "completions")
"""The second is what they were called until 2021."""
EXTRA = ("group", "split")


def is_task(value: Mapping[str, Any]) -> bool:
    """Whether the object is a task with its annotations, as Label Studio exports it."""
    listed = any(isinstance(value.get(name), list) for name in ANNOTATIONS)
    return listed and isinstance(value.get("data"), dict)


def rows(tasks: Iterable[tuple[Row, dict[str, Any]]], table: TableFile) -> Iterator[Row]:
    """One row a task that somebody has labelled.

    Raises schema_mismatch for a task that is none, that has several choices or several texts.
    """
    open_ones, empty, unread = 0, 0, Counter[str]()
    left, consensus = Counter[str](), Consensus(table.tell)
    for row, task in tasks:
        if not is_task(task):
            raise row.error("schema_mismatch", "it has no `annotations` beside its `data`")
        if table.crops and table.paths:
            open_ones += not _counting(task)
            yield from _boxes(row, task, table, left)
            continue
        answers = _answers(row, task, table)
        at = consensus.taken(answers, row.where) if answers else None
        if answers and at is None:
            continue
        label = None if at is None else answers[at][0]
        others = _others(task) if label is None else set()
        unread.update(others)
        open_ones += label is None and not others
        empty += label == ()
        values = _content(row, task["data"], table)
        if label is not None or not table.labelled:
            told = list(label) if isinstance(label, tuple) else label
            yield Row(row.table, row.number, {**values, "label": told})
    if table.labelled:
        consensus.settle()
        _tell_open(table, open_ones)
    for kind, count in left.items():
        said = f"{count} region(s) have no upright box with a label ({kind}), and are left out"
        table.tell(Problem(code="unlabelled", message=said, path=table.name, excluded=True))
    for kind, count in unread.items() if table.labelled else ():
        said = (
            f"{count} task(s) have answers of the kind {kind!r}, which is not read, and no choice"
        )
        problem = Problem(code="unlabelled", message=said, path=table.name, excluded=True)
        table.tell(problem)
    if empty and table.labelled:
        said = f"{empty} task(s) were submitted without a choice, and are taken to belong to none"
        table.warn("unlabelled", said)


def _tell_open(table: TableFile, count: int) -> None:
    if count:
        said = f"{count} task(s) have no annotation that counts, and are left out"
        table.tell(Problem(code="unlabelled", message=said, path=table.name, excluded=True))


def _content(row: Row, data: Mapping[str, Any], table: TableFile) -> dict[str, Any]:
    """The text, or the picture's path, and what else of the data has a role."""
    told = {name: data[name] for name in EXTRA if data.get(name) is not None}
    pictures = [value for value in data.values() if _is_picture(value)]
    if table.paths and pictures:
        return {**told, "path": pictures[0]}
    texts = {name: value for name, value in data.items() if isinstance(value, str)}
    texts = {name: value for name, value in texts.items() if name not in EXTRA}
    texts = {name: value for name, value in texts.items() if not _is_picture(value)} or texts
    chosen = table.columns.get("text")
    usual = [name for name in texts if columns.folded(name) in columns.USUAL["text"]]
    found = [chosen] if chosen else (usual if len(usual) == 1 else list(texts))
    if pictures and not chosen and not usual:
        why = "its `data` is a picture: send a zip of this file and the pictures"
        raise row.error("schema_mismatch", why)
    if len(found) != 1 or found[0] not in texts:
        some = ", ".join(f"`{name}`" for name in sorted(data)[:10])
        raise row.error(
            "schema_mismatch", f"which of its `data` is the text? {some}; say so with text_column"
        )
    return {**told, "text": texts[found[0]]}


def _is_picture(value: object) -> bool:
    """Whether it is a path or an address of one, by its ending."""
    if not isinstance(value, str) or "\n" in value:
        return False
    return images.extension(plain(value).partition("&")[0]) in images.EXTENSIONS


Chosen = str | tuple[str, ...] | None
"""A choice, or all of them where there may be several; None where nobody has chosen."""


def _answers(
    row: Row, task: Mapping[str, Any], table: TableFile
) -> list[tuple[str | tuple[str, ...], Vote]]:
    """The choices of the annotations that count, and whose they are."""
    told = [(_choice(row, one, table), vote_of(one)) for one in _counting(task)]
    return [(label, vote) for label, vote in told if label is not None]


def vote_of(annotation: Mapping[str, Any]) -> Vote:
    """Whose annotation it is: a user, by number or in whole."""
    who: Any = annotation.get("completed_by")
    who = who.get("id") if isinstance(who, dict) else who
    voter = str(who) if isinstance(who, int | str) else None
    return Vote(voter, _when(annotation), bool(annotation.get("ground_truth")))


def _counting(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The annotations that count: what is marked as ground truth, else all that was submitted."""
    listed = next(task[name] for name in ANNOTATIONS if isinstance(task.get(name), list))
    valid: list[Mapping[str, Any]] = [
        one for one in listed if isinstance(one, dict) and not one.get("was_cancelled")
    ]
    return [one for one in valid if one.get("ground_truth")] or valid


def _others(task: Mapping[str, Any]) -> set[str]:
    """The kinds of answers that a task has: taxonomy, rating, labels of passages."""
    parts = [part for one in _counting(task) for part in _parts(one.get("result"))]
    return {shown(str(part.get("type")), 30) for part in parts} - {"choices"}


def _boxes(
    row: Row, task: Mapping[str, Any], table: TableFile, left: Counter[str]
) -> Iterator[Row]:
    """A row a region of the latest annotation that counts; what has no upright box is counted.

    Raises invalid_value, several_labels.
    """
    latest = max(_counting(task), key=_when, default={})
    values = _content(row, task["data"], table)
    parts = _parts(latest.get("result"))
    labelled = {str(part["id"]) for part in parts if "id" in part and _labels(part)}
    for number, part in enumerate(parts, 1):
        labels = _labels(part)
        if not labels and str(part.get("id")) in labelled:
            continue  # the shape of a region whose label is another part
        place = _place(row, _value(part))
        if place is None or not labels:
            left[_without_box(part, labels)] += 1
            continue
        box = Box(str(number), place, _size(part), fractions=True)
        yield Row(row.table, row.number, {**values, "label": _told(row, labels, table), "box": box})


def _labels(part: Mapping[str, Any]) -> Sequence[Any]:
    """The labels of a region."""
    value = _value(part)
    return next((value[name] for name in OF_REGIONS if isinstance(value.get(name), list)), [])


def _told(row: Row, labels: Sequence[Any], table: TableFile) -> str | list[str]:
    """A region's label, or all of them where there may be several. Raises several_labels."""
    if table.rules.several:
        return sorted({str(one) for one in labels})
    if len(labels) > 1:
        raise row.error("several_labels", f"a region has {len(labels)} labels; one is read")
    return str(labels[0])


def _without_box(part: Mapping[str, Any], labels: Sequence[Any]) -> str:
    """What a region is called that is left out."""
    kind = shown(str(part.get("type")), 30)
    if _value(part).get("rotation"):
        return f"{kind} that are turned"
    return kind if labels or kind == "choices" else f"{kind} without a label"


def _place(row: Row, value: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Left, top, width and height of a rectangle, or around a polygon or an ellipse, as fractions;
    Label Studio has percents. None of what is turned, and of what has none. Raises invalid_value.
    """
    if value.get("rotation"):
        return None
    try:
        if isinstance(value.get("points"), list):
            place = _around([(float(x), float(y)) for x, y in value["points"]])
        elif "radiusX" in value:
            x, y, wide, high = (float(value[one]) for one in ("x", "y", "radiusX", "radiusY"))
            place = x - wide, y - high, 2 * wide, 2 * high
        elif "rectanglelabels" in value or "height" in value:
            left, top, width, height = (float(value[one]) for one in ("x", "y", "width", "height"))
            place = left, top, width, height
        else:
            return None
        if not (place[2] > 0 and place[3] > 0 and all(abs(one) < MOST_PERCENT for one in place)):
            raise ValueError("it has no area")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise row.error("invalid_value", "a region has no place") from error
    return place[0] / 100, place[1] / 100, place[2] / 100, place[3] / 100


def _around(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """The box around a polygon. Raises ValueError for what is none."""
    if len(points) < LEAST_POINTS:
        raise ValueError("a polygon has three corners")
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _size(part: Mapping[str, Any]) -> tuple[int, int] | None:
    sides = part.get("original_width"), part.get("original_height")
    wide, high = (side if isinstance(side, int) and side > 0 else None for side in sides)
    return (wide, high) if wide and high else None


OF_PICTURES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")
OF_REGIONS = (*OF_PICTURES, "labels")
"""The last of a region whose shape and label are tags of their own."""
LEAST_POINTS = 3
MOST_PERCENT = 1e6


def _when(annotation: Mapping[str, Any]) -> tuple[str, str, str]:
    """The times, and the id, which grows: of what tells no time the later one has the greater."""
    times = (annotation.get("updated_at"), annotation.get("created_at"))
    updated, created = (time if isinstance(time, str) else "" for time in times)
    return updated or created, created, str(annotation.get("id", "")).zfill(20)


def _choice(row: Row, annotation: Mapping[str, Any], table: TableFile) -> Chosen:
    """What one annotation chose, None where it chose nothing. Raises schema_mismatch."""
    chosen: dict[str, Sequence[Any]] = {}
    for part in _parts(annotation.get("result")):
        choices = _value(part).get("choices")
        if isinstance(choices, list) and choices:
            chosen[str(part.get("from_name"))] = choices
    if table.paths and not chosen:
        chosen = _of_shapes(annotation)
    wanted = table.columns.get("label")
    if wanted is not None:
        chosen = {name: value for name, value in chosen.items() if name == wanted}
    if len(chosen) > 1:
        some = ", ".join(f"`{name}`" for name in sorted(chosen)[:10])
        why = f"several questions were answered: {some}; say which with label_column"
        raise row.error("schema_mismatch", why)
    choices = next(iter(chosen.values()), [])
    if table.rules.several:
        return tuple(sorted({str(one) for one in choices}))
    if len(choices) > 1:
        raise row.error("several_labels", f"it has {len(choices)} choices; one is read")
    return str(choices[0]) if choices else None


def _of_shapes(annotation: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """The labels of what is drawn on a picture, by what it is drawn with."""
    found: dict[str, list[Any]] = {}
    for part in _parts(annotation.get("result")):
        value = _value(part)
        for name in OF_PICTURES:
            labels = value.get(name)
            if isinstance(labels, list):
                found.setdefault(str(part.get("from_name")), []).extend(labels)
    return {name: sorted({str(one) for one in labels}) for name, labels in found.items()}


def _value(part: Mapping[str, Any]) -> Mapping[str, Any]:
    value = part.get("value")
    return value if isinstance(value, dict) else {}


def _parts(result: object) -> list[Mapping[str, Any]]:
    return [part for part in result if isinstance(part, dict)] if isinstance(result, list) else []
