"""CSV with a box a row, as TensorFlow's and Roboflow's: filename, class, xmin, ymin, xmax, ymax."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from app.uploads.intake.lists.annotated import AnnotatedPicture, sides
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import columns, delimited
from app.uploads.intake.tables.roles.coordinates import coordinates
from app.uploads.intake.tables.source import TableFile

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PATHS = (*columns.USUAL["path"], "imageid", "image_id", "image_name", "img", "id")
_LABELS = (*columns.USUAL["label"], "labelname", "name")
_SIDES = ("x", "y", "w", "h")


def columns_of(names: Sequence[str], asked: str | None = None) -> Mapping[str, int] | None:
    """Where the picture, the class (in the column that was `asked` for) and the corners stand; None
    where it is no such table."""
    plain = [columns.folded(name).replace("_", "") for name in names]
    if not set(_CORNERS) <= set(plain):
        return None
    wide = [columns.folded(name) for name in names]
    path = next((at for at, name in enumerate(wide) if name in _PATHS), None)
    labels = _LABELS if asked is None else [columns.folded(asked)]
    label = next((at for at, name in enumerate(wide) if name in labels), None)
    if path is None or label is None:
        return None
    sides = {name: plain.index(name) for name in ("width", "height") if name in plain}
    return {"path": path, "label": label, **sides, **{n: plain.index(n) for n in _CORNERS}}


def sides_of(
    names: Sequence[str], path: str | None, asked: str | None = None
) -> Mapping[str, int] | None:
    """The same of a table with a corner and two sides (`Bbox [x`, `y`, `w`, `h]`), whose `path` is
    the column that names pictures; None where it is no such table."""
    box = coordinates(names)
    wide = [columns.folded(name) for name in names]
    usual = [*_LABELS, *columns.FURTHER["label"]] if asked is None else [columns.folded(asked)]
    free = [at for at, name in enumerate(names) if name not in {*box, path}]
    label = next((at for at in free if wide[at] in usual), None)
    if path is None or label is None or not box or not _is_side(box[3]):
        return None
    first = list(names).index(box[0])
    corner = {name: first + at for at, name in enumerate(_SIDES)}
    return {"path": list(names).index(path), "label": label, **corner}


def _is_side(name: str) -> bool:
    return re.search(r"(h|height)\W*$", name.casefold()) is not None


def annotated(
    file: BinaryIO, table: TableFile, places: Mapping[str, int] | None = None
) -> Iterator[AnnotatedPicture]:
    """The pictures with their boxes, which stand in these `places`; corners of at most 1 are
    fractions of the sides. Raises schema_mismatch, invalid_value.
    """
    names, records = delimited.plain(file, table)
    header = next(records)[0]
    places = places or columns_of(names, table.columns.get("label"))
    if places is None:
        raise header.error(
            "schema_mismatch", "its columns are not a file's name, a class and corners"
        )
    found: dict[str, AnnotatedPicture] = {}
    for row, _, cells in records:
        if len(cells) < len(names):
            raise row.error(
                "schema_mismatch", f"it has {len(cells)} cells, the header {len(names)}"
            )
        path = cells[places["path"]]
        one = found.setdefault(path, AnnotatedPicture(path, row.number))
        _add(one, row, {name: cells[at] for name, at in places.items()})
    yield from found.values()


def _add(one: AnnotatedPicture, row: Row, told: Mapping[str, str]) -> None:
    kind = _SIDES if _SIDES[0] in told else _CORNERS
    if not any(told[name].strip() for name in kind):
        return  # a picture without a box
    try:
        left, top, right, bottom = (float(told[name]) for name in kind)
        if kind is _SIDES:
            right, bottom = left + right, top + bottom
        one.size = sides(told.get("width"), told.get("height"))
    except ValueError as error:
        raise row.error("invalid_value", "a corner is no number") from error
    fractions = max(left, top, right, bottom) <= 1
    place = left, top, right - left, bottom - top
    one.add(told["label"].strip(), place, fractions=fractions)
