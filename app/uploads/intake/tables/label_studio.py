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
    open_ones, settled, empty, unread = 0, 0, 0, Counter[str]()
    for row, task in tasks:
        if not is_task(task):
            raise row.error("schema_mismatch", "it has no `annotations` beside its `data`")
        if table.crops and table.paths:
            yield from _boxes(row, task, table)
            continue
        label, disputed = _label(row, task, table)
        others = _others(task) if label is None else set()
        unread.update(others)
        settled += disputed
        open_ones += label is None and not others
        empty += label == ()
        values = _content(row, task["data"], table)
        if label is not None or not table.labelled:
            told = list(label) if isinstance(label, tuple) else label
            yield Row(row.table, row.number, {**values, "label": told})
    _tell(table, open_ones=open_ones if table.labelled else 0, settled=settled)
    for kind, count in unread.items() if table.labelled else ():
        said = (
            f"{count} task(s) have answers of the kind {kind!r}, which is not read, and no choice"
        )
        problem = Problem(code="unlabelled", message=said, path=table.name, excluded=True)
        table.tell(problem)
    if empty and table.labelled:
        said = f"{empty} task(s) were submitted without a choice, and are taken to belong to none"
        table.warn("unlabelled", said)


def _tell(table: TableFile, *, open_ones: int, settled: int) -> None:
    if open_ones:
        table.tell(
            Problem(
                code="unlabelled",
                message=f"{open_ones} task(s) have no annotation that counts, and are left out",
                path=table.name,
                excluded=True,
            )
        )
    if settled:
        said = f"{settled} task(s) have annotations that disagree: the latest of each is taken"
        table.warn("label_conflict", said)


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


def _label(row: Row, task: Mapping[str, Any], table: TableFile) -> tuple[Chosen, bool]:
    """The label of the annotation that counts, and whether another one says otherwise.

    What is marked as ground truth counts before all others, then the latest.
    """
    said = [(_when(one), _choice(row, one, table)) for one in _counting(task)]
    labels = [(when, label) for when, label in said if label is not None]
    if not labels:
        return None, False
    latest = max(labels, key=lambda told: told[0])[1]
    return latest, any(label != latest for _, label in labels)


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


def _boxes(row: Row, task: Mapping[str, Any], table: TableFile) -> Iterator[Row]:
    """A row a box of the latest annotation that counts; turned ones are left out and told."""
    latest = max(_counting(task), key=_when, default={})
    values, turned = _content(row, task["data"], table), 0
    for number, part in enumerate(_parts(latest.get("result")), 1):
        value = _value(part)
        labels = value.get("rectanglelabels")
        if not isinstance(labels, list) or not labels:
            continue
        if value.get("rotation"):
            turned += 1
            continue
        box = Box(str(number), _place(row, value), _size(part), fractions=True)
        yield Row(row.table, row.number, {**values, "label": str(labels[0]), "box": box})
    if turned:
        told = f"{turned} box(es) that are turned"
        table.warn_left_out(row.where, told)


def _place(row: Row, value: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """As fractions; Label Studio has percents. Raises invalid_value."""
    try:
        left, top, width, height = (
            float(value[one]) / 100 for one in ("x", "y", "width", "height")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise row.error("invalid_value", "a box has no place") from error
    return left, top, width, height


def _size(part: Mapping[str, Any]) -> tuple[int, int] | None:
    sides = part.get("original_width"), part.get("original_height")
    wide, high = (side if isinstance(side, int) and side > 0 else None for side in sides)
    return (wide, high) if wide and high else None


OF_PICTURES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")


def _when(annotation: Mapping[str, Any]) -> tuple[str, str]:
    times = (annotation.get("updated_at"), annotation.get("created_at"))
    updated, created = (time if isinstance(time, str) else "" for time in times)
    return updated or created, created


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
