"""Tables that name an archive's pictures, whatever they say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Problem, Split
from app.uploads.intake.layout.named import Nearby
from app.uploads.intake.layout.roles import FileInTree
from app.uploads.intake.names import shown
from app.uploads.intake.rows import Row

HINT = "a header with the columns path and label is read, or say label_column"


@dataclass(frozen=True, slots=True)
class NamingTable:
    """A table that names pictures, its rows and what was told of it; `why` it says no labels."""

    member: FileInTree
    rows: Sequence[Row]
    told: Sequence[Problem]
    nearby: Nearby
    why: str | None = None
    files: frozenset[int] = frozenset()
    """The members that it is, where it is several."""
    hint: str = HINT
    """What else can be done, where folders do not tell the classes."""
    vague: bool = False
    """Whether it only mentions pictures: beside folders of classes it is nothing to tell of."""
    sure: bool = False
    """Whether it decides, as its boxes are asked for."""
    boxed: bool = False
    """Whether its labels are those of boxes, which folders need not agree with."""
    error: HeadstartError | None = None
    """What ends the upload, where folders do not tell the classes."""
    clashes: bool = False
    """Whether folders cannot tell them either: each of its names is a picture's in several."""
    facts: Sequence[Row] = ()
    """Of one without labels the rows that say a group or a split."""
    completes: Mapping[FileInTree, str] = field(default_factory=dict)
    """The pictures in no folder of a class of which it says one, and that."""
    asked: frozenset[str] = frozenset()
    """The form's fields (`label_column`) that say a column which it has."""

    assumed: Mapping[str, str] = field(default_factory=dict)
    """The columns that were taken for the label by their names."""

    @property
    def title(self) -> str:
        """What it is called where it is told of."""
        more = len(self.files - {self.member.index})
        return f"{shown(self.member.path)} (and {more} more)" if more else shown(self.member.path)

    @property
    def decides(self) -> bool:
        """Whether its name says that it has the labels, whatever folders are called."""
        return self.sure or called_metadata(self.member)


def called_metadata(member: FileInTree) -> bool:
    """Whether it is called metadata, whatever kind of table it is."""
    return member.parts[-1].lower().rpartition(".")[0] == "metadata"


def located(table: NamingTable, split: Split | None) -> Iterator[tuple[FileInTree, Row]]:
    """The rows with the whole path of what they name, and the split that its name says."""
    on_top = FileInTree(table.member.index, table.member.parts[-1], table.member.role)
    for row in table.rows:
        found = table.nearby.find(said_path(row.values.get("path")))
        values = dict(row.values)
        values["path"] = found.path if found else said_path(values.get("path"))
        if split and not values.get("split"):
            values["split"] = split
        yield on_top, Row(row.table, row.number, values)


def said_path(value: Any) -> str:
    """What a cell says as a path; "" where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()
