"""Files that each tell of one picture: Pascal VOC's XML, LabelMe's JSON, YOLO's lines."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.uploads.intake.lists.annotated import AnnotatedPicture, sides
from app.uploads.intake.lists.tags import tags

MOST_POINTS = 200_000
_YOLO = re.compile(rb"\s*\d+(\s+-?[\d.]+(?:e-?\d+)?){4,}\s*")


def voc(data: bytes, one: AnnotatedPicture) -> None:
    """`annotation/object` with its `name` and `bndbox`. Raises schema_mismatch."""
    told: dict[str, str] = {}
    size: dict[str, str] = {}
    above: list[str] = []
    for tag in tags(io.BytesIO(data), one.path):
        if tag.opens:
            told = {} if tag.name == "object" else told
            above.append(tag.name)
            continue
        above.pop()
        if above[-1:] == ["size"]:
            size[tag.name] = tag.text
        elif above[-2:] == ["object", "bndbox"] or (
            above[-1:] == ["object"] and tag.name == "name"
        ):
            told[tag.name] = tag.text
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
    one.add(told.get("name", ""), (left, top, right - left, bottom - top))


def labelme(data: bytes, one: AnnotatedPicture) -> None:
    """`flags` of the whole, `shapes` in it. Raises KeyError, TypeError or ValueError."""
    if data.count(b"[") > MOST_POINTS:
        raise ValueError("too many points")
    told: dict[str, Any] = from_json(data)
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


def is_yolo(data: bytes) -> bool:
    """Whether there are lines, and all are a class's number and four or more numbers."""
    lines = [line for line in data.splitlines() if line.strip()]
    return bool(lines) and all(_YOLO.fullmatch(line) for line in lines)


def yolo(
    data: bytes, one: AnnotatedPicture, names: Sequence[str], *, keypoints: bool = False
) -> None:
    """A class's number, and a box (centre and sides) or a polygon, as fractions of the sides.

    https://docs.ultralytics.com/datasets/detect/ and /segment/. Raises ValueError.
    """
    for line in data.decode("ascii").splitlines():
        if not line.strip():
            continue
        number, *told = line.split()
        label = names[int(number)] if int(number) < len(names) else number
        values = list(map(float, told))
        if len(values) > 5 and len(values) % 2 == 0 and not keypoints:
            xs, ys = values[::2], values[1::2]
            place = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
        else:
            x, y, width, height = values[:4]
            place = x - width / 2, y - height / 2, width, height
        one.add(label, place, fractions=True)


def yolo_names(path: str, data: bytes) -> tuple[list[str], bool]:
    """The classes of a `data.yaml`, or of a list of names (`classes.txt`, `obj.names`), and
    whether keypoints follow the boxes; none where it is neither."""
    text = data.decode("utf-8", "replace")
    if not path.lower().endswith((".yaml", ".yml")):
        return [line.strip() for line in text.splitlines() if line.strip()], False
    return _of_yaml(text), re.search(r"^kpt_shape\s*:", text, re.M) is not None


_FLOW = re.compile(r"^names\s*:\s*[\[{]([^\[\]{}]*)[\]}]", re.M)
_BLOCK = re.compile(r"^names\s*:[^\S\n]*(?:#.*)?\n((?:[ \t]*(?:-|\d+\s*:|#).*\n?|[ \t]*\n)+)", re.M)
_IN_FLOW = re.compile(r"""(?:(\d+)\s*:\s*)?('[^']*'|"[^"]*"|[^,\[\]{}\n]+)""")
_IN_BLOCK = re.compile(r"^[ \t]*(?:-|(\d+)\s*:)[ \t]+(.+?)[ \t]*(?:[ \t]#.*)?$", re.M)


def _of_yaml(text: str) -> list[str]:
    """`names` in the few forms that YOLO's tools write: a list, or a mapping by number."""
    flow, block = _FLOW.search(text), _BLOCK.search(text)
    listed = _IN_FLOW.findall(flow[1]) if flow else _IN_BLOCK.findall(block[1]) if block else []
    found = [(number, _bare(name)) for number, name in listed if name.strip()]
    if found and all(number for number, _ in found):
        by_number = {int(number): name for number, name in found}
        return [by_number.get(at, str(at)) for at in range(min(10_000, max(by_number) + 1))]
    return [name for _, name in found]


def _bare(name: str) -> str:
    return name.strip().strip("'\"").strip()


def told(reader: Any, data: bytes, one: AnnotatedPicture, where: str) -> AnnotatedPicture:
    """What `reader` finds in a file. Raises schema_mismatch."""
    try:
        reader(data, one)
    except HeadstartError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        why = f"{where} is not readable: {str(error)[:80] or 'a part is missing'}"
        raise HeadstartError("schema_mismatch", why, param=where) from error
    return one
