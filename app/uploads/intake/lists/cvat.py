"""CVAT's own XML, "CVAT for images 1.1": tags of images, and shapes in them.

https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake.lists.annotated import (
    AnnotatedPicture,
    rotation,
    sides,
    turned,
    turned_ellipse,
)
from app.uploads.intake.lists.tags import Tag, tags
from app.uploads.intake.splits import SPLITS
from app.uploads.intake.tables.source import TableFile

OTHERS = frozenset({"polyline", "points", "cuboid", "mask", "skeleton"})


def annotated(file: BinaryIO, table: TableFile) -> Iterator[AnnotatedPicture]:
    """The images with their tags and boxes. Raises schema_mismatch for tracks of a film."""
    one: AnnotatedPicture | None = None
    number = 0
    for tag in tags(file, table.name):
        if tag.opens and tag.name == "track":
            why = "it has the tracks of a film: export “CVAT for images 1.1” or COCO, with images"
            raise HeadstartError("schema_mismatch", f"{table.name}: {why}", param=table.name)
        if tag.opens and tag.name == "image":
            number += 1
            one = _image(tag.attributes, number)
        elif tag.opens and one is not None:
            _add(one, tag, table)
        elif tag.name == "image" and one is not None:
            yield one
            one = None


def _image(told: Mapping[str, str], number: int) -> AnnotatedPicture:
    one = AnnotatedPicture(told.get("name", ""), number)
    one.size = sides(told.get("width"), told.get("height"))
    one.split = SPLITS.get(told.get("subset", "").strip().lower())
    return one


def _add(one: AnnotatedPicture, tag: Tag, table: TableFile) -> None:
    label = tag.attributes.get("label", "")
    try:
        if tag.name == "tag":
            one.tags.append(label)
        elif tag.name == "box":
            xtl, ytl, xbr, ybr = (float(tag.attributes[n]) for n in ("xtl", "ytl", "xbr", "ybr"))
            place = xtl, ytl, xbr - xtl, ybr - ytl
            one.add(label, turned(place, rotation(tag.attributes)))
        elif tag.name == "ellipse":
            cx, cy, rx, ry = (float(tag.attributes[name]) for name in ("cx", "cy", "rx", "ry"))
            one.add(label, turned_ellipse((cx, cy), (rx, ry), rotation(tag.attributes)))
        elif tag.name == "polygon":
            pairs = (pair.split(",") for pair in tag.attributes["points"].split(";"))
            one.bound(label, [(float(x), float(y)) for x, y in pairs])
        elif tag.name in OTHERS:
            one.others += 1
    except (KeyError, ValueError) as error:
        why = f"the {tag.name} of {one.path[:80]!r} has no place that can be read"
        raise HeadstartError("schema_mismatch", f"{table.name}: {why}", param=table.name) from error
