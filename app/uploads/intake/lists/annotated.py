"""What a list says of one picture, whichever tool wrote it, and the rows that come of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.archive import too_many
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Box, Row
from app.uploads.intake.tables.source import TableFile

MOST_BOXES = 100_000
"""Of one picture."""
MOST_NAMED = 100
"""Pictures that a refusal names."""


@dataclass(slots=True)
class AnnotatedPicture:
    """A picture by the name that its list has for it: the labels of the whole, and the boxes."""

    path: str
    number: int
    tags: list[str] = field(default_factory=list)
    boxes: list[tuple[str, Box]] = field(default_factory=list)
    """Label and place."""
    others: int = 0
    """Annotations that are neither: crowds, lines, points."""
    size: tuple[int, int] | None = None
    group: Any = None
    split: Any = None
    guesses: int = 0
    """Boxes that a model has written, with its confidence or the number of a track."""
    doubtful: bool = False
    """Whether something is marked in it that is not to count: without other labels nobody knows
    what is in it."""
    boxed: bool = False
    """Whether its tags are those of boxes, whose places are not kept."""
    source: str = ""
    """The file that tells of it, where that tells of it alone."""

    @property
    def labels(self) -> list[str]:
        """All labels in order, those of boxes too: what is in the picture."""
        every = [*self.tags, *(label for label, _ in self.boxes)]
        return sorted({label.strip() for label in every})

    def add(
        self,
        label: str,
        place: tuple[float, float, float, float],
        *,
        key: object = None,
        fractions: bool = False,
    ) -> None:
        """A box: left, top, width and height, in pixels or as fractions of the picture's sides."""
        if not (place[2] > 0 and place[3] > 0 and all(abs(one) < 1e9 for one in place)):
            self.others += 1
            return
        if len(self.boxes) >= MOST_BOXES:
            raise HeadstartError("too_many_entries", f"{shown(self.path)} has too many boxes")
        name = str(len(self.boxes) + 1) if key is None else str(key)
        self.boxes.append((label, Box(name, place, self.size, fractions)))

    def bound(self, label: str, points: Iterable[tuple[float, float]], key: object = None) -> None:
        """The box around a polygon."""
        xs, ys = zip(*points, strict=True)
        left, top = min(xs), min(ys)
        self.add(label, (left, top, max(xs) - left, max(ys) - top), key=key)

    def values(self, label: str | list[str]) -> dict[str, Any]:
        """The row of the picture, or of a box."""
        told = {"group": self.group, "split": self.split}
        kept = {name: value for name, value in told.items() if value is not None}
        return {"path": self.path, "label": label, **kept}


def turned(
    place: tuple[float, float, float, float], degrees: float
) -> tuple[float, float, float, float]:
    """The upright box (left, top, width and height) around one that is turned about its centre."""
    if degrees % 180 == 0:
        return place
    left, top, width, height = place
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    wide, high = width * cos + height * sin, width * sin + height * cos
    return _around((left + width / 2, top + height / 2), wide, high)


def turned_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float
) -> tuple[float, float, float, float]:
    """The upright box (left, top, width and height) around an ellipse that is turned."""
    if degrees % 180 == 0:
        return centre[0] - radii[0], centre[1] - radii[1], 2 * radii[0], 2 * radii[1]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    wide = 2 * math.hypot(radii[0] * cos, radii[1] * sin)
    return _around(centre, wide, 2 * math.hypot(radii[0] * sin, radii[1] * cos))


def _around(
    centre: tuple[float, float], wide: float, high: float
) -> tuple[float, float, float, float]:
    """To a thousandth of a pixel, as an angle's sine is not exact and a box is cut outwards."""
    left, top = centre[0] - wide / 2, centre[1] - high / 2
    return round(left, 3), round(top, 3), round(wide, 3), round(high, 3)


def rotation(attributes: object) -> float:
    """Degrees by which a box is turned, where its attributes say so as CVAT writes them; else 0."""
    told = attributes.get("rotation") if isinstance(attributes, dict) else None
    try:
        degrees = 0.0 if isinstance(told, bool) or told is None else float(told)
    except (TypeError, ValueError, OverflowError):
        return 0.0  # an attribute of the project's own
    return degrees if math.isfinite(degrees) else 0.0


def rows(found: Iterable[AnnotatedPicture], table: TableFile) -> Iterator[Row]:
    """A row a picture, or a box where those are asked for.

    Raises several_labels, too_many_entries.
    """
    found = _telling_guesses(found, table)
    made = _crops(found, table) if table.crops else _whole(found, table)
    for count, row in enumerate(made):
        if count >= table.limits.entries:
            raise too_many(table.limits)
        yield row


def _telling_guesses(
    found: Iterable[AnnotatedPicture], table: TableFile
) -> Iterator[AnnotatedPicture]:
    """The pictures; that boxes are what a model has written is told, when all were seen."""
    guesses = 0
    for one in found:
        guesses += one.guesses
        yield one
    if guesses:
        said = f"{table.name}: {guesses} box(es) have a confidence or the number of a track, as a "
        said += "model writes them: guesses are learned as if somebody had said so"
        table.tell(Problem(code="labels_doubtful", message=said, path=table.name))


def _whole(found: Iterable[AnnotatedPicture], table: TableFile) -> Iterator[Row]:
    several: list[str] = []
    without = boxed = 0
    for one in found:
        if one.doubtful and not one.labels:
            continue
        labels = one.labels
        boxed += one.boxed or bool(one.boxes)
        without += not labels
        if table.rules.several:
            yield Row(table.name, one.number, one.values(labels))
        elif len(labels) > 1:
            several.append(f"{shown(one.path, 60)} ({', '.join(labels[:5])})")
        elif labels and not several:
            yield Row(table.name, one.number, one.values(labels[0]))
    if several:
        raise too_many_labels(table, several, what="labels")
    tell_unlabelled(table, without)
    if boxed:
        said = f"{boxed} picture(s) have the labels of their boxes"
        table.warn("boxes_whole", f"{table.name}: {said}; boxes=crops makes each box an example")


def _crops(found: Iterable[AnnotatedPicture], table: TableFile) -> Iterator[Row]:
    without = tags = 0
    for one in found:
        without += one.others
        tags += bool(one.tags)
        seen: set[str] = set()
        for number, (label, box) in enumerate(one.boxes, 1):
            key = box.key if box.key not in seen else f"row{number}"
            seen.add(key)
            own = Box(key, box.place, one.size, box.fractions)
            yield Row(table.name, one.number, {**one.values(label), "box": own})
    if without:
        said = f"{without} annotation(s) have no box of their own, and are left out"
        table.tell(Problem(code="unlabelled", message=said, path=table.name, excluded=True))
    if tags:
        said = f"the labels of {tags} whole picture(s) are not read, as boxes are cut out"
        table.warn("column_unread", f"{table.name}: {said}")


def sides(width: object, height: object) -> tuple[int, int] | None:
    """A picture's width and height as a list says them; None where it says none that can be."""
    try:
        told = int(float(str(width))), int(float(str(height)))
    except (ValueError, OverflowError):
        return None
    return told if min(told) > 0 and max(told) < MOST_SIDE else None


MOST_SIDE = 10_000_000


def too_many_labels(table: TableFile, named: list[str], *, what: str) -> HeadstartError:
    """The refusal of pictures with several labels where one is read."""
    some = "; ".join(named[:MOST_NAMED]) + ("; …" if len(named) > MOST_NAMED else "")
    why = f"{table.name}: {len(named)} picture(s) have several {what}, one is read (all with "
    return HeadstartError(
        "several_labels", f"{why}label_mode=multi_label): {some}", param=table.name
    )


def tell_unlabelled(table: TableFile, without: int) -> None:
    """Say how many pictures have no class, and what that is taken for."""
    if without and table.rules.several:
        told = f"{without} picture(s) have no class, and are taken to belong to none"
        table.warn("unlabelled", told)
    elif without:
        told = f"{without} picture(s) have no class, and are left out"
        table.tell(Problem(code="unlabelled", message=told, path=table.name, excluded=True))
