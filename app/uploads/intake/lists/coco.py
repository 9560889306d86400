"""COCO's files: images, annotations and categories, in one JSON object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.lists.annotated import AnnotatedPicture, rotation, turned
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import json_stream
from app.uploads.intake.tables.source import TableFile

MOST_BOXES = 5_000_000
_TRUE = (1, "1")
_ONE = 1.001
"""The whole of a picture's side, as its parts may be rounded."""
_OTHER_KINDS = {
    "caption": "captions, which are sentences, no classes",
    "segments_info": "panoptic: export the instances, or labels of whole pictures",
}
"""What annotations without a category are, by the member that they have."""
LISTS = ("images", "annotations", "categories")
_OF_IMAGES = ("file_name", "group", "split", "width", "height")
_OF_BOXES = ("category_id", "bbox", "iscrowd")


@dataclass(slots=True)
class _Coco:
    """What is kept of a COCO file: names, and the categories that each picture has; of `crops`
    the boxes."""

    images: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    found: dict[str, set[Any]] = field(default_factory=dict)
    boxes: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    boxed: dict[str, float] = field(default_factory=dict)
    """Of images with boxes the least area of one."""
    ignored: dict[str, int] = field(default_factory=dict)
    """Annotations that are not to count, by image."""
    pixels: bool = False
    """Whether a box reaches beyond 1: else all are fractions of the pictures' sides, as Azure's."""
    scored: int = 0
    """Annotations with a score, as a detector's guesses have one."""


def annotated(file: BinaryIO, table: TableFile) -> Iterator[AnnotatedPicture]:
    """The pictures of a COCO file, with their categories, of `crops` with their boxes.

    Raises schema_mismatch, invalid_json or too_many_entries.
    """
    coco = _read(file, table)
    _tell_namesakes(coco, table)
    _tell_doubts(coco, table)
    for number, (key, image) in enumerate(coco.images.items(), 1):
        row = Row(table.name, number, {})
        names = {_category(row, coco, one) for one in coco.found.get(key, ())}
        one = AnnotatedPicture(str(image["file_name"]), number, sorted(names), size=_size(image))
        whole = one.size if coco.pixels else (1, 1)
        one.boxed, one.doubtful = _is_boxed(coco, key, whole), key in coco.ignored
        one.group, one.split = image.get("group"), image.get("split")
        if table.crops:
            one.tags = []
            for box in coco.boxes.get(key, ()):
                label = _category(row, coco, box["category_id"])
                _add(one, box, label, fractions=not coco.pixels)
        yield one
    lost = next((key for key in coco.found if key not in coco.images), None)
    if lost is not None:
        raise _not_coco(table, f"the image {str(lost)[:40]} of an annotation is not in `images`")


def _is_boxed(coco: _Coco, key: str, size: tuple[int, int] | None) -> bool:
    """Whether an image has a box around less than all of it."""
    area = coco.boxed.get(key)
    return area is not None and (size is None or area < size[0] * size[1])


def _tell_namesakes(coco: _Coco, table: TableFile) -> None:
    """Warn of categories with several ids and one name: they are one class."""
    counts = Counter(coco.categories.values())
    several = [name for name, count in counts.items() if count > 1]
    if several:
        some = ", ".join(f"{shown(one, 40)!r} ({counts[one]} ids)" for one in several[:10])
        table.warn(
            "label_collision",
            f"{table.name}: {len(several)} name(s) are said of several categories, which are one "
            f"class each: {some}; where they are to be told apart, name them so",
        )


def _tell_doubts(coco: _Coco, table: TableFile) -> None:
    """Tell of annotations that are not to count, and of guesses."""
    if coco.ignored:
        alone = sum(key not in coco.found for key in coco.ignored)
        said = f"{sum(coco.ignored.values())} annotation(s) are marked `ignore`, and are left out"
        said += f", and so are {alone} picture(s) of no other" if alone else ""
        table.tell(Problem(code="unlabelled", message=said, path=table.name, excluded=True))
    if coco.scored:
        said = f"{table.name}: {coco.scored} annotation(s) have a `score`, as what a detector has"
        said += " found: they are read as labels; leave them out if nobody has looked at them"
        table.warn("labels_doubtful", said)


def _add(one: AnnotatedPicture, box: Mapping[str, Any], label: str, *, fractions: bool) -> None:
    """The box, but for a crowd's, which is of several things at once."""
    place = _place(box.get("bbox"))
    if place is None or box.get("iscrowd"):
        one.others += 1
    else:
        one.add(label, turned(place, box["rotation"]), key=box["key"], fractions=fractions)


def _key(told: object, number: int, seen: set[str]) -> str:
    """The annotation's id; its row where it has none, or one that merged files have twice."""
    key = str(told) if isinstance(told, int | str) and str(told) not in seen else f"row{number}"
    seen.add(key)
    return key


def _place(told: object) -> tuple[float, float, float, float] | None:
    """Left, top, width and height; None where there is no box."""
    if not isinstance(told, list) or len(told) != 4:
        return None
    if not all(isinstance(one, int | float | str) for one in told):
        return None
    try:
        left, top, width, height = map(float, told)
    except (ValueError, OverflowError):
        return None
    if not all(abs(one) < 1e9 for one in (left, top, width, height)):
        return None
    return (left, top, width, height) if width > 0 and height > 0 else None


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None


def _category(row: Row, coco: _Coco, key: object) -> str:
    """The name of a category, by a number that some write as a text. Raises schema_mismatch."""
    name = coco.categories.get(str(key))
    if name is None:
        why = f"an annotation of its image {row.number} has the category {str(key)[:40]}, which is "
        said = f"{row.table}: {why}not in `categories`"
        raise HeadstartError("schema_mismatch", said, param=row.table)
    return name


def _read(file: BinaryIO, table: TableFile) -> _Coco:
    """The three lists, element by element. Raises schema_mismatch or too_many_entries."""
    coco, seen, boxes = _Coco(), set(), 0
    for key, number, value in json_stream.elements(file, table.name, table.limits):
        if key not in LISTS:
            continue
        seen.add(key)
        if number == 0 or not isinstance(value, dict):
            raise _not_coco(table, f"`{key}` is not a list of objects")
        boxes += key == "annotations"
        many = max(len(coco.images), len(coco.keys)) > table.limits.entries
        if boxes > MOST_BOXES or many:
            raise HeadstartError("too_many_entries", f"{table.name} lists too much")
        _keep(coco, str(key), value, table)
    seen |= {"categories"} - seen if not coco.found else set()
    if not seen.issuperset(LISTS):
        raise _not_coco(table, f"it has no {' and no '.join(sorted(set(LISTS) - seen))}")
    return coco


def _keep(coco: _Coco, key: str, value: Mapping[str, Any], table: TableFile) -> None:
    try:
        if key == "images":
            _keep_image(coco, value, table)
        elif key == "categories":
            _keep_category(coco, value, table)
        else:
            _keep_annotation(coco, value, table)
    except (KeyError, TypeError) as error:
        raise _not_coco(table, f"one of `{key}` lacks {error or 'its name'}") from error


def _keep_image(coco: _Coco, value: Mapping[str, Any], table: TableFile) -> None:
    """An image by its id. Raises schema_mismatch where the id is another image's already."""
    told = {name: value[name] for name in _OF_IMAGES if name in value}
    if not isinstance(value["file_name"], str):
        raise TypeError
    before = coco.images.setdefault(_id(value["id"]), told)["file_name"]
    if before != value["file_name"]:
        raise _said_twice(table, "image", value["id"], before, value["file_name"])


def _keep_category(coco: _Coco, value: Mapping[str, Any], table: TableFile) -> None:
    """A category by its id. Raises schema_mismatch where the id is another category's already."""
    told = value["name"]
    if not isinstance(told, str | int) or isinstance(told, bool) or not str(told).strip():
        raise TypeError("a name")
    name = str(told)
    before = coco.categories.setdefault(_id(value["id"]), name)
    if before != name:
        raise _said_twice(table, "category", value["id"], before, name)


def _keep_annotation(coco: _Coco, value: Mapping[str, Any], table: TableFile) -> None:
    for member, what in _OTHER_KINDS.items():
        if member in value and "category_id" not in value:
            raise _not_coco(table, f"its annotations are {what}")
    image = _id(value["image_id"])
    if value.get("ignore") in _TRUE:
        coco.ignored[image] = coco.ignored.get(image, 0) + 1
        return
    score = value.get("score")
    coco.scored += isinstance(score, int | float) and score != 1
    if (place := _place(value.get("bbox"))) is not None:
        area = place[2] * place[3]
        coco.pixels |= max(place[0] + place[2], place[1] + place[3]) > _ONE
        coco.boxed[image] = min(area, coco.boxed.get(image, area))
    category = _id(value["category_id"])
    coco.found.setdefault(image, set()).add(category)
    if table.crops:
        box = {name: value[name] for name in _OF_BOXES if name in value}
        box["category_id"] = category
        box["rotation"] = 0.0 if _is_drawn(value) else rotation(value.get("attributes"))
        box["key"] = _key(value.get("id"), len(coco.keys) + 1, coco.keys)
        coco.boxes.setdefault(image, []).append(box)


def _is_drawn(value: Mapping[str, Any]) -> bool:
    """Whether there is a polygon or a mask, around which the box is upright already. The corners of
    the box itself are none."""
    drawn = value.get("segmentation")
    if not (drawn and isinstance(drawn, list)):
        return bool(drawn)
    place = _place(value.get("bbox"))
    flat = drawn[0] if len(drawn) == 1 and isinstance(drawn[0], list) else []
    if place is None or len(flat) != 8 or not all(isinstance(one, int | float) for one in flat):
        return True
    left, top, width, height = place
    corners = {(x, y) for x in (left, left + width) for y in (top, top + height)}
    return {(round(x, 2), round(y, 2)) for x, y in zip(flat[::2], flat[1::2], strict=True)} != {
        (round(x, 2), round(y, 2)) for x, y in corners
    }


def _id(value: object) -> str:
    """An id, which some tools write as a number here and as a text there."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as pandas writes a column with a gap
    if isinstance(value, int | str) and not isinstance(value, bool):
        return str(value)
    raise TypeError("a usable id")


def _said_twice(
    table: TableFile, what: str, key: object, before: object, now: object
) -> HeadstartError:
    """One id of two things, as files have that were merged without numbering them anew: whatever
    refers to it may mean either."""
    both = f"{shown(str(before), 60)} and {shown(str(now), 60)}"
    why = f"the {what} id {shown(str(key), 40)} is said of two: {both}"
    said = f"{table.name}: {why}; number them anew, or keep the lists that were merged apart"
    return HeadstartError("schema_mismatch", said, param=table.name)


def _not_coco(table: TableFile, why: str) -> HeadstartError:
    said = f"{table.name}: {why}; read are COCO's images, annotations and categories"
    return HeadstartError("schema_mismatch", said, param=table.name)
