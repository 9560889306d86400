"""The rows of a list with the paths of the pictures that they name, or why there are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake.layout import Drawn, FileInTree, NamingTable, Nearby
from app.uploads.intake.lists.located import NamedPictures
from app.uploads.intake.names import plain, shown
from app.uploads.intake.rows import Row
from app.uploads.intake.splits import read_name

UNREAD = frozenset({"encoding", "archive_corrupt", "invalid_json", "schema_mismatch"})


class NamedRows:
    """Makes tables of the rows that lists have."""

    def __init__(self, found: Iterable[FileInTree], drawn: Drawn | None = None) -> None:
        pictures = list(found)
        self.pictures = NamedPictures(pictures, drawn)
        self.nearby = Nearby(pictures, drawn=drawn)

    def named(self, member: FileInTree, rows: Iterable[Row], told: list[Problem]) -> NamingTable:
        """The rows with the paths of their pictures; why there are none, where they are wrong."""
        empty = NamingTable(member, [], told, self.nearby, hint="")
        try:
            listed = list(rows)
        except HeadstartError as error:
            if error.code not in UNREAD:
                return replace(empty, why=error.message, error=error)
            return replace(empty, why=error.message)
        paths = [self._path(member, row) for row in listed]
        missing = [row for row, path in zip(listed, paths, strict=True) if path is None]
        if listed and 2 * len(missing) > len(listed):
            path = str(missing[0].values.get("path", "one without a path"))
            why = f"{len(missing)} of {len(listed)} pictures that it names, such as {shown(path)}, "
            return replace(
                empty, why=why + "are not in the archive: put them in it as it names them"
            )
        if not listed:
            why = "; ".join(one.message for one in told) or "it has no picture with a label"
            return replace(empty, told=[], why=why, vague=True)
        found = [
            Row(row.table, row.number, {**row.values, "path": path or _last(row)})
            for row, path in zip(listed, paths, strict=True)
        ]
        sure = any("box" in row.values for row in found)
        return replace(empty, rows=self._with_splits(found), sure=sure)

    def _path(self, member: FileInTree, row: Row) -> str | None:
        folder = member.path.rpartition("/")[0]
        return self.pictures.find(str(row.values.get("path")), folder)

    def _with_splits(self, rows: list[Row]) -> list[Row]:
        """The rows with the splits that folders of their pictures are called by, where some are
        trained on: `images/train/x.jpg`."""
        told = [_split_of(str(row.values["path"])) for row in rows]
        if "train" not in told:
            return rows
        return [
            Row(row.table, row.number, {"split": split, **row.values}) if split else row
            for row, split in zip(rows, told, strict=True)
        ]


def _last(row: Row) -> str:
    """The bare name of a picture that is not there."""
    return plain(str(row.values.get("path"))).rstrip("/").rpartition("/")[2]


def _split_of(path: str) -> Split | None:
    told = (read_name(folder) for folder in path.split("/")[:-1])
    return next((said.split for said in told if said is not None and said.exact), None)
