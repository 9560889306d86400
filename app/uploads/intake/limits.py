"""What one upload may be: every number that the intake holds an upload to, in one place."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.core.manifest import LabelMode
from app.uploads.intake.labels.rules import LabelRules

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts, bytes and characters that an upload may not exceed."""

    entries: int = 100_000
    """Members of an archive, or rows of a table."""
    unpacked_bytes: int = 4096 * MIB
    """All members together, counted as they are unpacked."""
    member_bytes: int = 32 * MIB
    """One image or text; it is held in memory while it is checked."""
    ratio: int = 200
    """Unpacked over packed bytes, of anything that unpacks to more than `ratio_from`."""
    ratio_from: int = 1 * MIB
    directory_bytes: int = 32 * MIB
    """A zip's central directory, or all names in a tar, which are held in memory."""
    row_bytes: int = 1 * MIB
    label_characters: int = 256
    child_seconds: int = 60
    """Processor time of the child process that reads a Parquet file or a workbook."""
    child_bytes: int = 2048 * MIB
    """Address space of that child."""


Header = Literal["names", "none"]
"""What the first row of a table has: the columns' names, or an example as the others."""


@dataclass(frozen=True, slots=True)
class FormerReading:
    """The columns that earlier tables were said to have: by role, and those of one class each; and
    the labels that the dataset has, or that are declared."""

    columns: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    header: Header | None = None


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """How an upload becomes a version: what the caller asks, and what it must at least hold."""

    limits: Limits = field(default_factory=Limits)
    labelled: bool = True
    """False, for inputs that are only to be predicted: wherever a member lies it is taken, under
    its whole path and without a label, and a bad one is a problem of its own (`example_id` is set)
    instead of the end of the upload."""
    minimum_classes: int = 2
    """Classes with something to train on. 1, for examples that are appended to a dataset which has
    its classes already, asks for any usable example, a held-out one too."""
    val_fraction: float = 0.0
    test_fraction: float = 0.0
    """Shares to hold out by stratified, group-aware splitting, if the upload names no split."""
    seed: int = 0
    filename_encoding: str | None = None
    """The code page of names in an archive that do not state theirs; None to judge by the names."""
    label_mode: LabelMode | None = "single_label"
    """None, to judge by the examples: with several labels where one has several."""
    label_separator: str | None = None
    negative_label: str | None = None
    crops: bool = False
    """Whether each box of a list is an example, instead of each picture."""
    crops_wanted: bool = False
    """Whether that was said of this upload: one without boxes is refused."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The column of a table that has a role (text, label, group, split), where it is said."""
    marks: tuple[str, ...] = ()
    """The columns of a table that have a one or zero a class, where it is said."""
    header: Header | None = None
    """What a table's first row has, where it is said."""
    former: FormerReading = field(default_factory=FormerReading)
    """What was said of the dataset's earlier uploads, of one that is appended to."""
    pseudonym_key: Callable[[], str] = secrets.token_hex
    """Draws the key that patients' ids are hashed with, if there are any; one for this upload
    alone, if it is not said."""
    encoding: str | None = None
    """What a table is encoded in; UTF-8 or, by its byte order mark, UTF-16 if it is not said."""
    known: Callable[[], Collection[str]] = tuple
    """The paths of the examples that the dataset has already, of one that is appended to."""

    @property
    def asked(self) -> dict[str, str]:
        """What is said of a table's columns and cells, by the form's field."""
        told = {f"{role}_column": name for role, name in self.columns.items()}
        told |= {"label_columns": ", ".join(self.marks)} if self.marks else {}
        told |= {"header": self.header} if self.header else {}
        return told | ({"label_separator": self.label_separator} if self.label_separator else {})

    @property
    def rules(self) -> LabelRules:
        """How labels are read."""
        return LabelRules(
            several=self.label_mode == "multi_label",
            judging=self.label_mode is None,
            separator=self.label_separator,
            negative=self.negative_label and self.negative_label.strip(),
        )


Kind = Literal["zip", "tar", "csv", "jsonl", "json", "parquet", "xlsx", "labelled_lines"]
