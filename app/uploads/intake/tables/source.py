"""What is to be read as a table, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from app.core.manifest import Problem
from app.uploads.intake.labels.rules import SINGLE, LabelRules
from app.uploads.intake.limits import FormerReading, IntakeOptions, Kind, Limits
from app.uploads.intake.names import shown


def _keep_quiet(problem: Problem) -> None:
    del problem


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
    former: FormerReading = field(default_factory=FormerReading)
    """The columns that earlier tables of the dataset had, where they were said."""
    encoding: str | None = None
    rules: LabelRules = SINGLE
    tell: Callable[[Problem], None] = _keep_quiet

    @classmethod
    def asked(cls, path: Path, kind: Kind, name: str, options: IntakeOptions, **own: Any) -> Self:
        """A file as the upload's `options` say that tables are to be read."""
        return cls(
            path=path,
            kind=kind,
            name=shown(name),
            limits=options.limits,
            labelled=options.labelled,
            crops=options.crops,
            columns=options.columns,
            marks=options.marks,
            former=options.former,
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
