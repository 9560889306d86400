"""What Label Studio's annotations say of parts of a picture or a text: regions, and their labels.

Whatever shares a region's id is said of the region, and so is a choice that has a place itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.rows import Box, Row
from app.uploads.intake.tables.source import TableFile

Part = Mapping[str, Any]
Answers = Mapping[str, Sequence[str]]
"""What was said, by the control that it was said with."""
OF_REGIONS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "labels")
"""The last of a region whose shape and label are tags of their own."""
_PLACES = ("x", "points", "vertices", "rle", "start", "ranges", "sequence")
LEAST_POINTS = 3
MOST_PERCENT = 1e6


def parts_of(annotation: Mapping[str, Any]) -> list[Part]:
    """The parts of an annotation's result."""
    result = annotation.get("result")
    return [part for part in result if isinstance(part, dict)] if isinstance(result, list) else []


def _value(part: Part) -> Mapping[str, Any]:
    value = part.get("value")
    return value if isinstance(value, dict) else {}


def is_choice(part: Part) -> bool:
    """Whether the part says what was chosen, be it nothing."""
    return isinstance(_value(part).get("choices"), list)


def _choices(part: Part) -> Sequence[Any]:
    """What was chosen, nothing where the part is no choice."""
    return _value(part)["choices"] if is_choice(part) else []


def _has_place(part: Part) -> bool:
    return any(name in _value(part) for name in _PLACES)


def parted(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """What is said of the whole, and what is said of its regions."""
    regions = {str(part["id"]) for part in parts if "id" in part and _has_place(part)}
    whole: list[Part] = []
    placed: list[Part] = []
    for part in parts:
        of_region = _has_place(part) or ("id" in part and str(part["id"]) in regions)
        (placed if of_region else whole).append(part)
    return whole, placed


def choices(parts: Iterable[Part]) -> Answers:
    """What was chosen with each control, all of it where it was asked of several regions."""
    found: dict[str, list[str]] = {}
    for part in parts:
        told = found.setdefault(_control(part), [])
        told += [str(one) for one in _choices(part) if str(one) not in told]
    return {name: told for name, told in found.items() if told}


def shapes(parts: Iterable[Part]) -> Answers:
    """The labels of what is drawn on a picture, by what it is drawn with."""
    found: dict[str, set[str]] = {}
    for part in parts:
        for name in OF_REGIONS:
            labels = _value(part).get(name)
            if isinstance(labels, list):
                found.setdefault(_control(part), set()).update(map(str, labels))
    return {name: sorted(labels) for name, labels in found.items()}


def _control(part: Part) -> str:
    return str(part.get("from_name"))


@dataclass(frozen=True, slots=True)
class Boxes:
    """Cuts the regions of annotations out; counted are those `left` out by their kind, and what is
    `unread`, by its control."""

    table: TableFile
    left: Counter[str]
    unread: Counter[str]

    def rows(self, row: Row, parts: Sequence[Part], values: Mapping[str, Any]) -> Iterator[Row]:
        """A row a region. Raises invalid_value, several_labels, and schema_mismatch for regions of
        which several questions were answered."""
        own = self._asked(part for part in parts if _labels(part))
        named = {str(part["id"]) for part in own if "id" in part}
        placed = [part for part in parted(parts)[1] if _choices(part)]
        chosen = [part for part in self._asked(placed) if str(part.get("id")) not in named]
        check_one(row, {_control(part) for part in chosen})
        self.unread.update(_control(part) for part in placed if str(part.get("id")) in named)
        labelled = {str(part["id"]) for part in (*own, *placed) if "id" in part}
        for number, part in enumerate(parts, 1):
            labels = _labels(part) if part in own else _choices(part) if part in chosen else []
            if labels or str(part.get("id")) not in labelled:
                yield from self._box(row, number, _shape(part, parts), labels, values)

    def _asked(self, parts: Iterable[Part]) -> list[Part]:
        """Those that are said with the control that the caller names; all where none is named."""
        wanted = self.table.columns.get("label")
        return [part for part in parts if wanted is None or _control(part) == wanted]

    def _box(
        self, row: Row, number: int, part: Part, labels: Sequence[Any], values: Mapping[str, Any]
    ) -> Iterator[Row]:
        place = _place(row, _value(part))
        if place is None or not labels:
            self.left[_without_box(part, labels)] += 1
            return
        box = Box(str(number), place, _size(part), fractions=True)
        label = _told(row, labels, self.table)
        yield Row(row.table, row.number, {**values, "label": label, "box": box})


def check_one(row: Row, controls: Iterable[str]) -> None:
    """Raise schema_mismatch where several questions were answered."""
    asked = sorted(controls)
    if len(asked) > 1:
        some = ", ".join(f"`{name}`" for name in asked[:10])
        why = f"several questions were answered: {some}; say which with label_column"
        raise row.error("schema_mismatch", why)


def _shape(part: Part, parts: Sequence[Part]) -> Part:
    """The part, or where it has no place the other of its region that has one."""
    if _has_place(part) or "id" not in part:
        return part
    same = (one for one in parts if one.get("id") == part["id"] and _has_place(one))
    return next(same, part)


def _labels(part: Part) -> Sequence[Any]:
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
