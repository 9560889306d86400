"""What a file without a telling name is, by its first bytes."""

from __future__ import annotations

import re
from contextlib import suppress

from app.uploads.intake.labels import pairs
from app.uploads.intake.labels.rules import is_fasttext, is_tailed
from app.uploads.intake.limits import Kind
from app.uploads.intake.tables import columns, encodings

CELLS = r"[,;\t|]"


def table(head: bytes) -> Kind | None:
    """The kind of a table whose name does not tell; None where it is no table."""
    with suppress(UnicodeDecodeError):
        encoding = encodings.guess(head)
        text = head[: len(head) // 4 * 4].decode(encoding, "ignore").lstrip("\ufeff").lstrip()
        if text.startswith("{"):
            return "jsonl"
        if text.startswith("["):
            return "json"
        lines = [] if text.startswith("<") else text.splitlines()[:2]
        cells = {
            columns.folded(cell.strip('"')) for line in lines for cell in re.split(CELLS, line)
        }
        named = len(cells) > 1 and cells & set(columns.USUAL["label"])
        return "csv" if named or pairs.is_pairs(head) else None
    return None


def without_ending(head: bytes) -> Kind | None:
    """The kind of a table that has no ending at all, wherever it lies; None where it is none."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if is_fasttext(head) or is_tailed(head):
        return "labelled_lines"
    return table(head)
