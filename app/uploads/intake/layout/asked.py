"""What the caller says of columns and cells, held against what the examples are read from: nothing
that is said is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.errors import HeadstartError
from app.uploads.intake.layout.naming import NamingTable
from app.uploads.intake.names import shown

BY_FOLDERS: Mapping[str, str] = {
    "label_columns": "the names of the class folders, which are one label each",
    "label_separator": "the names of the class folders, which are one label each; with "
    "label_mode=multi_label a file that lies in several has the labels of all",
}
"""Fields that say how a cell is read, and what says the labels in its place."""


def check_files(asked: Mapping[str, str]) -> None:
    """Raise schema_mismatch where what is said is of a table of texts, and the examples are
    files."""
    for name in ("text_column", "header"):
        if name in asked:
            why = "the examples are files, each read whole: leave it out, or upload the table alone"
            raise _unread(asked, name, why)


def check_folders(
    asked: Mapping[str, str], read: Sequence[NamingTable], every: Sequence[NamingTable]
) -> None:
    """Raise schema_mismatch for what was said and is of no use, where folders are the classes and
    the tables `read` say the same, and more."""
    check_files(asked)
    for name, instead in BY_FOLDERS.items():
        if name in asked:
            why = f"the labels are {instead}: leave it out, or say the labels in a metadata.csv"
            raise _unread(asked, name, why)
    check_tables(asked, read, every)


def check_tables(
    asked: Mapping[str, str], read: Sequence[NamingTable], every: Sequence[NamingTable]
) -> None:
    """Raise schema_mismatch for a column that was said, and that none of the tables `read` has."""
    for name in asked:
        if not name.endswith(("_column", "_columns")) or any(name in one.asked for one in read):
            continue
        having = next((one for one in every if name in one.asked), None)
        if having is None:
            why = "no table that names the files has it: add one with it and the column path"
            raise _unread(asked, name, why)
        why = (
            f"{having.title} has it and is not read, as {having.why}"
            if having.why
            else f"{having.title} has it and says other classes than the folders, of a part of the "
            f"files: call it metadata.csv if it has the classes, or leave {name} out"
        )
        raise _unread(asked, name, why)


def _unread(asked: Mapping[str, str], name: str, why: str) -> HeadstartError:
    said = f"{name} is {shown(asked[name], 60)!r}, and {why}"
    return HeadstartError("schema_mismatch", said, param=name)
