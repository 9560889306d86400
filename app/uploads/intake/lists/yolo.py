"""YOLO's lines, a file a picture, and the files that say what its classes' numbers mean.

https://docs.ultralytics.com/datasets/detect/ and /segment/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.errors import HeadstartError
from app.uploads.intake.layout import FileInTree
from app.uploads.intake.lists.annotated import AnnotatedPicture
from app.uploads.intake.names import shown

NAMES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "predefined_classes.txt")
MOST_NAMES = 10_000
_BOX = 4
_BEYOND = 0.5
"""How far out of the picture, in its sides, something may lie that is drawn over its edge."""
_LINE = re.compile(r"\s*\d+(\s+-?[\d.]+(?:e-?\d+)?){4,}\s*", re.I | re.A)


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The classes by their numbers, whether keypoints follow the boxes, and who says so."""

    names: Mapping[int, str] = field(default_factory=dict)
    keypoints: bool = False
    where: str = ""
    files: frozenset[int] = frozenset()

    def of(self, number: int) -> str | None:
        """The name of a class; its number where no file names any, None where one leaves it out."""
        return self.names.get(number) if self.names else str(number)


def looks_like_it(data: bytes) -> bool:
    """Whether a line is a class's number and four or more numbers."""
    return any(map(_LINE.fullmatch, _lines(data)))


def read(data: bytes, one: AnnotatedPicture, classes: ClassNames) -> None:
    """A class's number, and a box (centre and sides) or a polygon, as fractions of the sides.

    Raises schema_mismatch with the line for what is none, and for a class that has no name.
    """
    for number, line in enumerate(_lines(data), 1):
        if not line.strip():
            continue
        at = f"{shown(one.source)}, line {number}"
        if not _LINE.fullmatch(line):
            said = shown(line.strip(), 40)
            raise _wrong(f"{at}: {said!r} is not a class's number and a box or polygon", one.source)
        _add(one, line, classes, at)


def _add(one: AnnotatedPicture, line: str, classes: ClassNames, at: str) -> None:
    number, *told = line.split()
    label = classes.of(int(number))
    if label is None:
        why = f"{at}: class {int(number)} has no name in {classes.where}, which names "
        raise _wrong(f"{why}{_shown(classes.names)}", one.source)
    values = _places(told, one, at, keypoints=classes.keypoints)
    if len(values) > _BOX:
        xs, ys = values[::2], values[1::2]
        place = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    else:
        x, y, width, height = values
        place = x - width / 2, y - height / 2, width, height
    one.add(label, place, fractions=True)


def _places(told: Sequence[str], one: AnnotatedPicture, at: str, *, keypoints: bool) -> list[float]:
    """The numbers of a box, or of a polygon: without the confidence and the number of a track that
    a model writes behind them, and without keypoints.

    Raises schema_mismatch for a number that is no fraction of a side, and for what may be either.
    """
    tracked = len(told) == _BOX + 2 and told[-1].isdecimal()
    whole = keypoints or tracked or len(told) in (_BOX, _BOX + 1)
    one.guesses += not keypoints and (tracked or len(told) == _BOX + 1)
    if not whole and len(told) % 2:
        why = (
            f"{at}: {len(told)} numbers are no box (4) and no polygon (two a point); keypoints are "
        )
        raise _wrong(f"{why}read where data.yaml has their `kpt_shape`", one.source)
    values = [float(number) for number in (told[:_BOX] if whole else told)]
    odd = next((number for number in values if not -_BEYOND <= number <= 1 + _BEYOND), None)
    if odd is not None:
        why = f"{at}: {odd:g} is no fraction of the picture's width or height, as YOLO's are from 0"
        raise _wrong(f"{why} to 1", one.source)
    return values


def _shown(names: Mapping[int, str]) -> str:
    some = ", ".join(f"{at} {shown(name, 30)!r}" for at, name in sorted(names.items())[:5])
    return f"{some}, …" if len(names) > 5 else some


def _lines(data: bytes) -> Sequence[str]:
    return data.decode("utf-8-sig", "replace").splitlines()


def may_name_classes(member: FileInTree) -> bool:
    """Whether a file of this name says what the classes are called."""
    name = member.parts[-1].lower()
    return name.endswith((".yaml", ".yml")) or name in NAMES


def class_names(told: Iterable[tuple[FileInTree, bytes]]) -> ClassNames:
    """What the files say together. Raises schema_mismatch where they name a class differently."""
    classes = ClassNames()
    for member, data in told:
        path = shown(member.path)
        text = data.decode("utf-8-sig", "replace")
        names, keypoints = _names_in(member.parts[-1].lower(), path, text)
        if not names:
            continue
        _check_alike(classes, names, path)
        where = classes.where if len(classes.names) >= len(names) else path
        classes = ClassNames(
            {**classes.names, **names},
            classes.keypoints or keypoints,
            where,
            classes.files | {member.index},
        )
    return classes


def _check_alike(classes: ClassNames, names: Mapping[int, str], path: str) -> None:
    for at, name in names.items():
        other = classes.names.get(at, name)
        if other != name:
            said = f"class {at} is {shown(other, 40)!r} in {classes.where}, {shown(name, 40)!r} in "
            why = f"{said}{path}: leave out the file that is wrong"
            raise _wrong(why, path)


def _names_in(name: str, path: str, text: str) -> tuple[Mapping[int, str], bool]:
    """The classes of a `data.yaml`, or of a list with a name a line; none where it is neither."""
    if name.endswith((".yaml", ".yml")):
        return _of_yaml(text, path), re.search(r"^kpt_shape\s*:", text, re.M) is not None
    lines = enumerate(text.splitlines()[:MOST_NAMES])
    return {at: line.strip() for at, line in lines if line.strip()}, False


_FLOW = re.compile(r"^names\s*:\s*[\[{]([^\[\]{}]*)[\]}]", re.M)
_BLOCK = re.compile(r"^names\s*:[^\S\n]*(?:#.*)?\n((?:[ \t]*(?:-|\d+\s*:|#).*\n?|[ \t]*\n)+)", re.M)
_IN_FLOW = re.compile(r"""\s*(?:(\d+)\s*:\s*)?('[^']*'|"[^"]*"|[^,\[\]{}\n]+)""")
_IN_BLOCK = re.compile(r"^[ \t]*(?:-|(\d+)\s*:)[ \t]+(.+?)[ \t]*(?:[ \t]#.*)?$", re.M)


def _of_yaml(text: str, path: str) -> Mapping[int, str]:
    """`names` in the few forms that YOLO's tools write: a list, or a mapping by number.

    Raises schema_mismatch for a number of two names.
    """
    flow, block = _FLOW.search(text), _BLOCK.search(text)
    listed = _IN_FLOW.findall(flow[1]) if flow else _IN_BLOCK.findall(block[1]) if block else []
    found = [(number, _bare(name)) for number, name in listed[:MOST_NAMES] if name.strip()]
    if not (found and all(number for number, _ in found)):
        return dict(enumerate(name for _, name in found))
    names: dict[int, str] = {}
    for number, name in found:
        _check_alike(ClassNames(names, where=path), {int(number): name}, path)
        names[int(number)] = name
    return names


def _bare(name: str) -> str:
    return name.strip().strip("'\"").strip()


def _wrong(why: str, where: str) -> HeadstartError:
    return HeadstartError("schema_mismatch", why, param=shown(where))
