"""Small JSON lists of pictures: FiftyOne's `labels.json` and CreateML's annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from app.core.errors import HeadstartError
from app.core.json_objects import DoubledNameError, once
from app.uploads.intake.archive import too_many
from app.uploads.intake.lists.annotated import AnnotatedPicture
from app.uploads.intake.tables import json_stream
from app.uploads.intake.tables.source import TableFile

MOST_BYTES = 32 * 1024 * 1024
_ODD = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)
"""What comes of a list in which something is not as it should be."""


def fiftyone(file: BinaryIO, table: TableFile) -> Iterator[AnnotatedPicture]:
    """`{"classes": […], "labels": {name: index}}`; `FiftyOneImageClassificationDataset`.

    Raises schema_mismatch.
    """
    try:
        data = file.read(MOST_BYTES + 1)
        many = data.count(b"[") + data.count(b"{") > 3 * table.limits.entries
        if many or len(data) > MOST_BYTES:
            raise too_many(table.limits)
        told = json.loads(data, object_pairs_hook=once)
        classes, labels = told.get("classes"), told["labels"]
        for number, (name, said) in enumerate(labels.items(), 1):
            listed = said if isinstance(said, list) else [] if said is None else [said]
            yield AnnotatedPicture(name, number, [_named(one, classes) for one in listed])
    except (*_ODD, RecursionError) as error:
        why = "its `labels` are no names or numbers of `classes`"
        doubled = isinstance(error, DoubledNameError)
        raise _wrong(table, str(error) if doubled else why) from error


def _named(said: Any, classes: Any) -> str:
    if isinstance(said, dict):
        said = said["label"]
    if isinstance(said, bool) or not isinstance(said, int | str):
        raise TypeError
    if isinstance(said, str) or not isinstance(classes, list):
        return str(said)
    if said < 0:  # which Python would count from the end
        raise IndexError
    return str(classes[said])


def create_ml(file: BinaryIO, table: TableFile) -> Iterator[AnnotatedPicture]:
    """`[{"image", "annotations": [{"label", "coordinates": {x, y, width, height}}]}]`, of which x
    and y are the centre. Raises schema_mismatch."""
    for _, number, value in json_stream.elements(file, table.name, table.limits):
        try:
            one = AnnotatedPicture(_path(value), number)
            for told in value["annotations"]:
                _add(one, told)
        except _ODD as error:
            raise _wrong(table, f"its element {number} is no picture with labels") from error
        yield one


def _path(value: Mapping[str, Any]) -> str:
    found = [value[name] for name in ("image", "imagefilename", "filename") if name in value]
    if not found:
        raise KeyError("image")
    return str(found[0])


def _add(one: AnnotatedPicture, told: Mapping[str, Any]) -> None:
    place = told.get("coordinates")
    if place is None:
        one.tags.append(str(told["label"]))
        return
    x, y, width, height = (float(place[name]) for name in ("x", "y", "width", "height"))
    one.add(str(told["label"]), (x - width / 2, y - height / 2, width, height))


def _wrong(table: TableFile, why: str) -> HeadstartError:
    return HeadstartError("schema_mismatch", f"{table.name}: {why}", param=table.name)
