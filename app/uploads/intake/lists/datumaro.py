"""Datumaro's JSON, as Datumaro, CVAT and Geti export it.

https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/formats/datumaro.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake.archive import too_many
from app.uploads.intake.lists.annotated import AnnotatedPicture, rotation, sides, turned
from app.uploads.intake.tables import json_stream
from app.uploads.intake.tables.source import TableFile

MOST_ANNOTATIONS = 1_000_000


def annotated(file: BinaryIO, table: TableFile) -> Iterator[AnnotatedPicture]:
    """The items with their labels and boxes. Raises schema_mismatch or too_many_entries."""
    items: list[Mapping[str, Any]] = []
    names: list[str] = []
    boxes = 0
    for key, number, value in json_stream.elements(file, table.name, table.limits):
        if key == "items" and number and isinstance(value, dict):
            items.append(_tried(value, number, table))
            boxes += len(items[-1]["told"])
        elif key == "categories" and isinstance(value, dict):
            names = _names(value)
        if len(items) > table.limits.entries or boxes > MOST_ANNOTATIONS:
            raise too_many(table.limits)
    for number, item in enumerate(items, 1):
        yield _image(item, number, names, table)


def _tried(item: Mapping[str, Any], number: int, table: TableFile) -> Mapping[str, Any]:
    try:
        return _kept(item, crops=table.crops)
    except (TypeError, ValueError, OverflowError) as error:
        said = f"{table.name}: item {number} has a shape that cannot be read"
        raise HeadstartError("schema_mismatch", said, param=table.name) from error


def _kept(item: Mapping[str, Any], *, crops: bool) -> Mapping[str, Any]:
    """What is needed of an item: of `crops` each box, else each kind of annotation once."""
    told_media = (item.get(name) for name in ("image", "media"))
    media: Mapping[str, Any] = next((one for one in told_media if isinstance(one, dict)), {})
    listed = item.get("annotations")
    told = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not crops:
        told = list(
            {(str(one.get("type")), str(one.get("label_id"))): one for one in told}.values()
        )
    return {
        "path": media.get("path") or item.get("id"),
        "size": media.get("size"),
        "told": [_slim(one) for one in told],
    }


def _slim(told: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation without what is long: of a polygon the bounds."""
    kept = {name: told[name] for name in ("type", "label_id", "bbox") if name in told}
    kept["rotation"] = rotation(told.get("attributes"))
    points = told.get("points")
    if told.get("type") == "polygon" and isinstance(points, list) and len(points) >= 4:
        xs, ys = points[::2], points[1::2]
        kept["points"] = [min(xs), min(ys), max(xs), max(ys)]
    return kept


def _names(categories: Mapping[str, Any]) -> list[str]:
    label = categories.get("label")
    listed = label.get("labels") if isinstance(label, dict) else None
    rows = listed if isinstance(listed, list) else []
    return [str(one.get("name")) if isinstance(one, dict) else "" for one in rows]


def _image(
    item: Mapping[str, Any], number: int, names: list[str], table: TableFile
) -> AnnotatedPicture:
    one = AnnotatedPicture(str(item["path"] or ""), number)
    size = item["size"]
    if isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) for n in size):
        one.size = sides(size[1], size[0])
    for told in item["told"]:
        try:
            _add(one, told, names)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            why = f"item {number} has an annotation without a label or a place that can be read"
            said = f"{table.name}: {why}"
            raise HeadstartError("schema_mismatch", said, param=table.name) from error
    return one


def _add(one: AnnotatedPicture, told: Mapping[str, Any], names: list[str]) -> None:
    at = told.get("label_id")
    if at is None:
        one.others += 1
        return
    if not isinstance(at, int) or not 0 <= at < len(names):
        raise IndexError
    kind = told.get("type")
    if kind == "label":
        one.tags.append(names[at])
    elif kind == "bbox":
        left, top, width, height = map(float, told["bbox"])
        one.add(names[at], turned((left, top, width, height), told["rotation"]))
    elif kind == "polygon":
        flat = list(map(float, told["points"]))
        one.bound(names[at], list(zip(flat[::2], flat[1::2], strict=True)))
    else:
        one.others += 1
