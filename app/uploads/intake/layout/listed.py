"""Labels, groups and splits by metadata files, which decide where there are any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake.labels.rules import SINGLE, LabelRules
from app.uploads.intake.layout import doubts
from app.uploads.intake.layout.drawn import Drawn
from app.uploads.intake.layout.named import Nearby
from app.uploads.intake.layout.roles import FileInTree, LabelledFile, Role, is_metadata
from app.uploads.intake.layout.versions import original
from app.uploads.intake.limits import Limits
from app.uploads.intake.names import clean, folded, shown
from app.uploads.intake.refusals import Refusals
from app.uploads.intake.rows import PathRow, Row, denied_by, path_row
from app.uploads.intake.splits import of_folders, read_name

ONE_ROW = (
    "leave the one that counts, as where several people have labelled it; where a picture has "
    "several labels, a row each, say label_mode=multi_label"
)
OF_ROW = frozenset(
    {"schema_mismatch", "invalid_value", "label_too_long", "unsafe_path", "unsafe_name"}
    | {"duplicate_name", "several_labels"}
)
"""What one row may be refused for while those after it can still be looked at."""


def metadata(found: Sequence[FileInTree]) -> list[FileInTree]:
    """The metadata files: one on top, or one in each split's folder."""
    named = [one for one in found if one.role == "table" and is_metadata(one.path)]
    splits = of_folders({one.parts[0] for one in named if len(one.parts) == 2})
    return [
        one
        for one in named
        if len(one.parts) == 1 or (len(one.parts) == 2 and one.parts[0] in splits)
    ]


class Places:
    """The members by the paths that rows may call them: whole, or below the wrapper folder."""

    def __init__(self, found: Sequence[FileInTree], paths: Sequence[str]) -> None:
        self._exact: dict[str, FileInTree] = {}
        self._alike: dict[str, set[int]] = {}
        self._found = {one.index: one for one in found}
        self._nearby = Nearby(found)
        for one in found:
            for key in (paths[one.index], one.path):
                self._exact[key] = one
                self._alike.setdefault(folded(key), set()).add(one.index)

    def find(self, path: str) -> FileInTree | None:
        """The member of this path; of one that differs in case or accents' form, if it is one."""
        alike = self._alike.get(folded(path), set())
        only = self._found[next(iter(alike))] if len(alike) == 1 else None
        return self._exact.get(path) or only or self._bare(path)

    def missing(self, path: str) -> str:
        """Why `find` finds nothing: that there is no such file, or several."""
        several = [one.path for one in self._nearby.every(path.rpartition("/")[2])]
        if not several:
            return f"{shown(path)} is not in the archive"
        some = ", ".join(shown(one, 60) for one in several[:3])
        return f"{shown(path)} is not in the archive, but {some}: say the path from the top"

    def _bare(self, path: str) -> FileInTree | None:
        """The only file of a name that stands without folders."""
        return None if "/" in path else self._nearby.find(path)


def by_rows(
    rows: Iterable[tuple[FileInTree, Row]],
    places: Places,
    *,
    limits: Limits,
    refusals: Refusals,
    rules: LabelRules = SINGLE,
) -> list[LabelledFile]:
    """The members that the rows of metadata files name, below the folder of each file.

    A folder's own name says the split of rows that do not. What is wrong with a row is collected:
    schema_mismatch, invalid_value, label_too_long, unsafe_path, unsafe_name or duplicate_name.
    """
    items: dict[tuple[int, str], LabelledFile] = {}
    for table, row in rows:
        with refusals.collecting(OF_ROW):
            told = path_row(row, limits, rules)
            folder = table.path.rpartition("/")[0]
            member = _member(row, told, folder, places)
            place = member.index, told.box.key if told.box else ""
            split = told.split or _split(folder)
            group = told.group or (original(member.path) if told.box else None)
            said = LabelledFile(
                member.index, member.path, told.label, group, split, told.labels, told.box
            )
            said = replace(said, denied=denied_by(row, limits))
            before = items.get(place)
            items[place] = said if before is None else _united(row, before, said)
            _check_denied(row, items[place])
    return sorted(items.values(), key=lambda item: item.index)


def _check_denied(row: Row, said: LabelledFile) -> None:
    """Raise invalid_value where one row says that a label is there, and another that it is not."""
    if both := said.denied & {*(said.labels or ())}:
        why = f"{shown(min(both), 60)!r} is there by one row of {shown(said.path)}, and not by "
        raise row.error("invalid_value", f"{why}another")


def _united(row: Row, before: LabelledFile, said: LabelledFile) -> LabelledFile:
    """What two rows say of one picture: what both say, and the labels of both where it may have
    several.

    Raises duplicate_name where it has another, or is a box, and invalid_value where they contradict
    each other.
    """
    if before == said and said.box is None:
        return before  # a row a box, each with the picture's label
    if before.labels is None or said.labels is None or said.box is not None:
        raise row.error("duplicate_name", f"{shown(said.path)} has a row already: {ONE_ROW}")
    denied = before.denied | said.denied
    if bool(before.labels) != bool(said.labels) and not denied:
        why = f"{shown(said.path)} belongs to no class in one row, and has labels in another"
        raise row.error("invalid_value", why)
    for role, old, new in (
        ("group", before.group, said.group),
        ("split", before.split, said.split),
    ):
        if old and new and old != new:
            why = f"the {role} of {shown(said.path)} is {shown(new, 60)!r}, a row before says "
            raise row.error("invalid_value", f"{why}{shown(old, 60)!r}")
    labels = tuple(sorted({*before.labels, *said.labels}))
    group, split = before.group or said.group, before.split or said.split
    return replace(before, labels=labels, group=group, split=split, denied=denied)


def _split(folder: str) -> Split | None:
    said = read_name(folder)
    return said.split if said else None


def _member(row: Row, told: PathRow, folder: str, places: Places) -> FileInTree:
    """The member that the row names; Windows' own separators are understood."""
    try:
        path = clean(told.path.replace("\\", "/"))
    except HeadstartError as error:
        why = f"{row.table}, row {row.number}: {error.message}"
        raise HeadstartError(error.code, why, param=error.param) from error
    member = places.find(f"{folder}/{path}" if folder else path)
    if member is None:
        raise row.error("schema_mismatch", places.missing(path))
    return member


def unlisted(
    found: Sequence[FileInTree], items: Sequence[LabelledFile], role: Role, drawn: Drawn
) -> list[Problem]:
    """One problem for all members that no metadata row names, and one for those of them that were
    `drawn` on others."""
    listed = {item.index for item in items}
    masks = [one for one in drawn.members if one.index not in listed]
    listed |= {one.index for one in masks}
    rest = [one.path for one in found if one.role == role and one.index not in listed]
    told = doubts.drawn_on_others(masks)
    if not rest:
        return told
    message = (
        f"{len(rest)} file(s) without a row that labels them, the first of them {shown(rest[0])}"
    )
    return [*told, Problem(code="schema_mismatch", message=message, path=rest[0], excluded=True)]
