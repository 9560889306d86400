"""Files that each tell of one picture: Pascal VOC's XML, LabelMe's JSON."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.json_objects import check_names
from app.uploads.intake.lists.annotated import AnnotatedPicture, rotation, sides, turned
from app.uploads.intake.lists.tags import tags
from app.uploads.intake.names import shown
from app.uploads.intake.refusals import odd_part

MOST_POINTS = 200_000


def voc(data: bytes, one: AnnotatedPicture) -> None:
    """`annotation/object` with its `name` and `bndbox`, which CVAT's attribute `rotation` turns.
    Raises schema_mismatch."""
    told: dict[str, str] = {}
    attribute: dict[str, str] = {}
    size: dict[str, str] = {}
    above: list[str] = []
    for tag in tags(io.BytesIO(data), one.source):
        if tag.opens:
            told = {} if tag.name == "object" else told
            attribute = {} if tag.name == "attribute" else attribute
            above.append(tag.name)
            continue
        above.pop()
        if above[-1:] == ["size"]:
            size[tag.name] = tag.text
        elif above[-2:] == ["object", "bndbox"] or (
            above[-1:] == ["object"] and tag.name == "name"
        ):
            told[tag.name] = tag.text
        elif above[-3:] == ["object", "attributes", "attribute"]:
            attribute[tag.name] = tag.text
        elif above[-2:] == ["object", "attributes"] and attribute.get("name") == "rotation":
            told["rotation"] = attribute.get("value", "")
        elif tag.name == "size":
            one.size = sides(size.get("width"), size.get("height"))
        elif tag.name == "object":
            _add_object(one, told)


def _add_object(one: AnnotatedPicture, told: Mapping[str, str]) -> None:
    corners = [told.get(name) for name in ("xmin", "ymin", "xmax", "ymax")]
    if None in corners:
        one.others += 1
        one.tags.append(told.get("name", ""))
        return
    left, top, right, bottom = (float(str(one)) for one in corners)
    place = turned((left, top, right - left, bottom - top), rotation(told))
    one.add(told.get("name", ""), place)


def labelme(data: bytes, one: AnnotatedPicture) -> None:
    """`flags` of the whole, `shapes` in it. Raises KeyError, TypeError or ValueError."""
    if data.count(b"[") > MOST_POINTS:
        raise ValueError("too many points")
    told: dict[str, Any] = from_json(data)
    check_names(data)
    flags = told.get("flags") or {}
    one.tags += [str(name) for name, marked in flags.items() if marked is True]
    one.size = sides(told.get("imageWidth"), told.get("imageHeight"))
    for shape in told["shapes"]:
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if shape.get("shape_type") == "circle" and len(points) == 2:
            (x, y), (on_x, on_y) = points
            radius = ((x - on_x) ** 2 + (y - on_y) ** 2) ** 0.5
            points = [(x - radius, y - radius), (x + radius, y + radius)]
        if len(points) < 2 or shape.get("shape_type") in ("line", "linestrip", "point"):
            one.others += 1
        else:
            one.bound(str(shape["label"]), points)


Reader = Callable[[bytes, AnnotatedPicture], None]


def told(reader: Reader, data: bytes, one: AnnotatedPicture) -> AnnotatedPicture:
    """What `reader` finds in a file. Raises schema_mismatch."""
    try:
        reader(data, one)
    except HeadstartError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        why = f"{shown(one.source)} is not readable: {odd_part(error)}"
        raise HeadstartError("schema_mismatch", why, param=shown(one.source)) from error
    return one
