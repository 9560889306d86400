"""Lists of an archive's pictures that labelling tools write, each by a reader of its own.

`known` tells them apart, `annotated` has what they all come to, `located` finds the pictures that
they name, `per_picture` reads files that tell of one picture each, and `sources` looks for all of
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.core.errors import HeadstartError
from app.uploads.intake import images
from app.uploads.intake.layout import FileInTree
from app.uploads.intake.lists import annotated, coco, one_hot
from app.uploads.intake.lists.known import known_list
from app.uploads.intake.lists.located import NamedPictures, located
from app.uploads.intake.rows import Row
from app.uploads.intake.tables import encodings, objects
from app.uploads.intake.tables.source import TableFile

__all__ = ["NamedPictures", "is_list", "lists", "located", "rows"]

HEAD = 64 * 1024
_LABEL_STUDIO = re.compile(r"project-\d+-at-\d{4}-")
"""How Label Studio calls its exports."""


def is_list(path: str) -> bool:
    """Whether a file of this name, in the top folder or a split's, lists what pictures are of."""
    name = path.rpartition("/")[2].lower()
    if name == "_classes.csv":
        return True
    told = any(word in name for word in ("coco", "annotation", "instances", "label-studio"))
    own = name in ("result.json", "labels.json") or _LABEL_STUDIO.match(name) is not None
    return name.endswith(".json") and (told or own)


def lists(found: Sequence[FileInTree]) -> list[FileInTree]:
    """The members that are lists by their names, near the top."""
    return [one for one in found if len(one.parts) <= 2 and is_list(one.path)]


def rows(table: TableFile) -> Iterator[Row]:
    """One row (path, label, group, split) a picture or box, whichever of the tools wrote the list.

    Raises schema_mismatch, several_labels or invalid_json.
    """
    with encodings.opened(table) as file:
        if table.kind == "csv":
            _refuse_columns(table, [*table.columns])
            yield from one_hot.rows(file, table)
            return
        head = file.read(HEAD)
        file.seek(0)
        kind = known_list(images.extension(table.name), head)
        if kind is not None and kind.read is None and not kind.rows:
            raise HeadstartError("schema_mismatch", f"{table.name}: {kind.why}", param=table.name)
        if kind is not None and kind.read is not None:
            _refuse_columns(table, [*table.columns, *(["labels"] if table.marks else [])])
            yield from annotated.rows(kind.read(file, table), table)
        elif head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            _refuse_columns(table, [*table.columns, *(["labels"] if table.marks else [])])
            yield from annotated.rows(coco.annotated(file, table), table)
        else:
            yield from objects.document(file, table)


def _refuse_columns(table: TableFile, asked: Sequence[str]) -> None:
    """Raise schema_mismatch where a column is said of a list that says by itself what is what."""
    for role in asked:
        field = "label_columns" if role == "labels" else f"{role}_column"
        why = f"{table.name} is read as a list of pictures, in which {field} names nothing"
        raise HeadstartError("schema_mismatch", f"{why}: leave it out", param=field)
