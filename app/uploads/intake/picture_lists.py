"""Lists of an archive's pictures that labelling tools write: COCO, one column a class, tasks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import unquote

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake.layout import FileInTree
from app.uploads.intake.names import folded, shown
from app.uploads.intake.rows import Box, Row
from app.uploads.intake.splits import read_name
from app.uploads.intake.tables import columns, delimited, encodings, json_stream, marks, objects
from app.uploads.intake.tables.source import TableFile

MOST_NAMED = 100
"""Rows that a refusal names."""
MOST_BOXES = 5_000_000
_LABEL_STUDIO = re.compile(r"project-\d+-at-\d{4}-")
"""How Label Studio calls its exports."""
LISTS = ("images", "annotations", "categories")


def is_list(path: str) -> bool:
    """Whether a file of this name, in the top folder or a split's, lists what pictures are of."""
    name = path.rpartition("/")[2].lower()
    if name == "_classes.csv":
        return True
    told = any(word in name for word in ("coco", "annotation", "instances", "label-studio"))
    own = name in ("result.json", "labels.json") or _LABEL_STUDIO.match(name) is not None
    return name.endswith(".json") and (told or own)


def lists(found: Sequence[FileInTree]) -> list[FileInTree]:
    """The members that are lists, near the top."""
    return [one for one in found if len(one.parts) <= 2 and is_list(one.path)]


class Nearest:
    """Finds the pictures that lists name by paths of their own making."""

    def __init__(self, found: Sequence[FileInTree]) -> None:
        self._paths = {folded(one.path) for one in found}
        self._named: dict[str, list[str]] = defaultdict(list)
        for one in found:
            self._named[folded(one.parts[-1])].append(one.path)

    def located(self, table: FileInTree, row: Row) -> tuple[FileInTree, Row]:
        """The row with a path that leads to its picture, and the table that it is relative to.

        Both are left as they are where the path is good already or where several may be meant.
        """
        said = row.values.get("path")
        folder = table.path.rpartition("/")[0]
        if not isinstance(said, str) or folded(f"{folder}/{said}".strip("/")) in self._paths:
            return table, row
        name = unquote(said.rpartition("?d=")[2]).replace("\\", "/").rpartition("/")[2]
        named = self._named.get(folded(name), [])
        if len(named) > 1:
            named = [path for path in named if folder and path.startswith(folder + "/")]
        if len(named) != 1:
            return table, row
        values = {"split": _split(table), **row.values, "path": named[0]}
        top = FileInTree(table.index, table.parts[-1], table.role)
        return top, Row(row.table, row.number, values)


def _split(table: FileInTree) -> Split | None:
    """What the folder of a list says, or else its name (`instances_train2017.json`)."""
    told = (read_name(part) for part in (*table.parts[:-1], table.parts[-1]))
    return next((said.split for said in told if said is not None), None)


def rows(table: TableFile) -> Iterator[Row]:
    """One row (path, label, group, split) a picture, whichever of the tools wrote the list.

    Raises schema_mismatch, several_labels or invalid_json.
    """
    with encodings.opened(table) as file:
        yield from _rows(file, table)


def _rows(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    file.seek(0)
    if table.kind == "csv":
        yield from _one_hot(file, table)
    elif start == b"{":
        yield from _coco(file, table)
    else:
        yield from objects.document(file, table)


@dataclass(slots=True)
class _Coco:
    """What is kept of a COCO file: names, and the categories that each picture has; of `crops`
    the boxes."""

    images: dict[Any, Mapping[str, Any]] = field(default_factory=dict)
    categories: dict[Any, str] = field(default_factory=dict)
    found: dict[Any, set[Any]] = field(default_factory=dict)
    boxes: list[Mapping[str, Any]] = field(default_factory=list)


def _coco(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    coco = _read_coco(file, table)
    if table.crops:
        yield from _crops(coco, table)
        return
    several, without = [], 0
    for number, (key, image) in enumerate(coco.images.items(), 1):
        row = Row(table.name, number, {})
        names = sorted({_category(row, coco, one) for one in coco.found.get(key, ())})
        if table.rules.several:
            yield Row(table.name, number, _values(image, names))
        elif len(names) > 1:
            several.append(f"{shown(str(image['file_name']), 60)} ({', '.join(names[:5])})")
        elif names and not several:
            yield Row(table.name, number, _values(image, names[0]))
        without += not names
    if several:
        raise _several(table, several, what="categories")
    _tell_unlabelled(table, without)


def _crops(coco: _Coco, table: TableFile) -> Iterator[Row]:
    """A row for each box of a picture, but for crowds, which are of several things at once."""
    without, seen = 0, set[str]()
    for number, told in enumerate(coco.boxes, 1):
        row = Row(table.name, number, {})
        image, place = coco.images.get(told["image_id"]), _place(told.get("bbox"))
        if image is None:
            raise row.error("schema_mismatch", f"its image {told['image_id']} is not in `images`")
        if place is None or told.get("iscrowd"):
            without += 1
            continue
        box = Box(_key(told.get("id"), number, seen), place, _size(image))
        label = _category(row, coco, told["category_id"])
        yield Row(table.name, number, {**_values(image, label), "box": box})
    if without:
        said = f"{without} annotation(s) have no box of their own, and are left out"
        table.tell(Problem(code="unlabelled", message=said, path=table.name, excluded=True))


def _key(told: object, number: int, seen: set[str]) -> str:
    """The annotation's id; its row where it has none, or one that merged files have twice."""
    key = str(told) if isinstance(told, int | str) and str(told) not in seen else f"row{number}"
    seen.add(key)
    return key


def _place(told: object) -> tuple[float, float, float, float] | None:
    """Left, top, width and height; None where there is no box."""
    if not isinstance(told, list) or len(told) != 4:
        return None
    if not all(isinstance(one, int | float) and abs(one) < 1e9 for one in told):
        return None
    left, top, width, height = map(float, told)
    return (left, top, width, height) if width > 0 and height > 0 else None


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None


def _values(image: Mapping[str, Any], label: str | list[str]) -> dict[str, Any]:
    told = {name: image[name] for name in ("group", "split") if image.get(name) is not None}
    return {"path": image["file_name"], "label": label, **told}


def _category(row: Row, coco: _Coco, key: object) -> str:
    if key not in coco.categories:
        raise row.error("schema_mismatch", f"its category {str(key)[:40]} is not in `categories`")
    return coco.categories[key]


def _read_coco(file: BinaryIO, table: TableFile) -> _Coco:
    """The three lists, element by element. Raises schema_mismatch or too_many_entries."""
    coco, seen, boxes = _Coco(), set(), 0
    for key, number, value in json_stream.elements(file, table.name, table.limits):
        if key not in LISTS:
            continue
        seen.add(key)
        if number == 0 or not isinstance(value, dict):
            raise _not_coco(table, f"`{key}` is not a list of objects")
        boxes += key == "annotations"
        many = max(len(coco.images), len(coco.boxes)) > table.limits.entries
        if boxes > MOST_BOXES or many:
            raise HeadstartError("too_many_entries", f"{table.name} lists too much")
        _keep(coco, str(key), value, table)
    if not {"images", "annotations"} <= seen:
        raise _not_coco(table, f"it has no {' and no '.join(sorted(set(LISTS) - seen))}")
    return coco


def _keep(coco: _Coco, key: str, value: Mapping[str, Any], table: TableFile) -> None:
    try:
        if key == "images":
            kept = ("file_name", "group", "split", "width", "height")
            coco.images[_id(value["id"])] = {name: value[name] for name in kept if name in value}
            if not isinstance(value["file_name"], str):
                raise TypeError
        elif key == "categories":
            coco.categories[_id(value["id"])] = str(value["name"])
        else:
            coco.found.setdefault(_id(value["image_id"]), set()).add(_id(value["category_id"]))
            if table.crops:
                kept = ("id", "image_id", "category_id", "bbox", "iscrowd")
                coco.boxes.append({name: value[name] for name in kept if name in value})
    except (KeyError, TypeError) as error:
        raise _not_coco(table, f"one of `{key}` lacks {error or 'its name'}") from error


def _id(value: object) -> int | str:
    if isinstance(value, int | str):
        return value
    raise TypeError("a usable id")


def _not_coco(table: TableFile, why: str) -> HeadstartError:
    said = f"{table.name}: {why}; read are COCO's images, annotations and categories"
    return HeadstartError("schema_mismatch", said, param=table.name)


def _one_hot(file: BinaryIO, table: TableFile) -> Iterator[Row]:
    """A table with one column a class, of which one says 1, or several or none (`_classes.csv`)."""
    names, records = delimited.plain(file, table)
    header = next(records)[0]
    if (
        not names
        or columns.folded(names[0]) not in columns.USUAL["path"]
        or (len(names) < (2 if table.rules.several else 3))
    ):
        raise header.error("schema_mismatch", "its columns are not `filename` and the classes")
    several, without = [], 0
    for row, _, cells in records:
        marked = _marked(row, names, cells)
        if table.rules.several:
            yield Row(table.name, row.number, {"path": cells[0], "label": marked})
        elif len(marked) > 1:
            several.append(f"{row.number} ({', '.join(shown(name, 30) for name in marked[:5])})")
        elif marked and not several:
            yield Row(table.name, row.number, {"path": cells[0], "label": marked[0]})
        without += not marked
    if several:
        raise _several(table, several, what="classes")
    _tell_unlabelled(table, without)


def _marked(row: Row, names: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The classes of which a row says 1. Raises schema_mismatch or invalid_value."""
    if len(cells) != len(names):
        raise row.error("schema_mismatch", f"it has {len(cells)} cells, the header {len(names)}")
    told = zip(names[1:], cells[1:], strict=True)
    return [name for name, cell in told if marks.read(row, name, cell)]


def _several(table: TableFile, named: list[str], *, what: str) -> HeadstartError:
    some = "; ".join(named[:MOST_NAMED]) + ("; …" if len(named) > MOST_NAMED else "")
    why = f"{table.name}: {len(named)} picture(s) have several {what}, one is read: {some}"
    return HeadstartError("several_labels", why, param=table.name)


def _tell_unlabelled(table: TableFile, without: int) -> None:
    if without and table.rules.several:
        told = f"{without} picture(s) have no class, and are taken to belong to none"
        table.warn("unlabelled", told)
    elif without:
        told = f"{without} picture(s) have no class, and are left out"
        table.tell(Problem(code="unlabelled", message=told, path=table.name, excluded=True))
