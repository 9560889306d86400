"""What is to be read as a table, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from app.core.manifest import Problem
from app.uploads.intake.labels.rules import SINGLE, LabelRules
from app.uploads.intake.limits import FormerReading, Header, IntakeOptions, Kind, Limits
from app.uploads.intake.names import shown


def _keep_quiet(told: object) -> None:
    del told


MARK = "class "
"""What the role of a column begins with that is the class it is called."""


@dataclass(frozen=True, slots=True)
class AssumedColumns:
    """The columns that were taken for texts and labels by their names, by role, and for a class
    each by their marks."""

    found: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def note(self, columns: Mapping[str, str]) -> None:
        """Those of one table."""
        for role, name in columns.items():
            self.found[role].add(name)

    @property
    def by_field(self) -> dict[str, str]:
        """By the form's field, the one column that all tables were read by, and that their first
        rows are examples."""
        columns = {f"{role}_column": name for role, name in self.by_role.items()}
        return columns | ({"header": self.header} if self.header else {})

    @property
    def header(self) -> Header | None:
        """`none` where a table's first row was taken for an example."""
        return "none" if "header" in self.found else None

    @property
    def by_role(self) -> dict[str, str]:
        """By role, the one column that all tables were read by."""
        only = {role: some for role, some in self.found.items() if len(some) == 1}
        return {role: min(only[role]) for role in ("text", "label") if role in only}

    @property
    def marks(self) -> frozenset[str]:
        """The columns that are a class each."""
        return frozenset(name for role, name in self._all() if role == f"{MARK}{name}")

    def _all(self) -> Iterator[tuple[str, str]]:
        return ((role, name) for role, some in self.found.items() for name in some)


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """A file with rows; `name` is what messages call it, already fit to be shown.

    `columns` says for a role (text, label, group, split) which column has it, where the caller has
    said so. `tell` is given what is doubtful about the table as a whole.
    """

    path: Path
    kind: Kind
    name: str
    limits: Limits = field(default_factory=Limits)
    labelled: bool = True
    paths: bool = False
    """Whether its rows name files, as a metadata file's do, instead of having texts."""
    crops: bool = False
    """Whether boxes of pictures are its rows, where it has any."""
    columns: Mapping[str, str] = field(default_factory=dict)
    marks: Sequence[str] = ()
    """Columns of zeros and ones, one a class, where the caller has said which."""
    header: Header | None = None
    """What its first row has, where the caller has said so."""
    former: FormerReading = field(default_factory=FormerReading)
    """The columns that earlier tables of the dataset had, where they were said."""
    encoding: str | None = None
    rules: LabelRules = SINGLE
    tell: Callable[[Problem], None] = _keep_quiet
    assume: Callable[[Mapping[str, str]], None] = _keep_quiet
    """Is given the columns that were taken for roles by their names, by role."""

    @classmethod
    def asked(
        cls,
        path: Path,
        kind: Kind,
        name: str,
        options: IntakeOptions,
        *,
        assumed: AssumedColumns,
        **own: Any,
    ) -> Self:
        """A file as the upload's `options` say that tables are to be read, and as those before it
        in the upload were."""
        before = {**assumed.by_role, **options.former.columns}
        header = options.former.header or assumed.header
        return cls(
            path=path,
            kind=kind,
            name=shown(name),
            limits=options.limits,
            labelled=options.labelled,
            crops=options.crops,
            columns=options.columns,
            marks=options.marks,
            header=options.header,
            former=replace(options.former, columns=before, header=header),
            assume=assumed.note,
            encoding=options.encoding,
            rules=options.rules,
            **own,
        )

    def warn_left_out(self, path: str, why: str) -> None:
        """Tell of a row that is no example."""
        message = f"{self.name}: {why}, and is left out"
        self.tell(Problem(code="invalid_value", message=message, path=path, excluded=True))

    def warn(self, code: str, message: str) -> None:
        """Tell of something that excludes nothing."""
        self.tell(Problem(code=code, message=message, path=self.name))
