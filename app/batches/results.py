"""A batch's results as they are downloaded: its files one after the other, never held in memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError
from app.infra.orm import BatchPartRow
from app.infra.storage import Storage, is_intact

Format = Literal["jsonl", "csv"]
MEDIA_TYPES: Mapping[Format, str] = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
}
COLUMNS = (
    "index",
    "id",
    "path",
    "label",
    "probability",
    "unknown",
    "expected",
    "split",
    "error_code",
    "error_message",
    "familiarity",
)
SEVERAL = (*COLUMNS, "labels")
"""Of a model that says several labels, or none."""
SMOOTHED = ("smoothed",)
"""Further ones of a batch with `use_unlabelled`."""
_STEP = 256 * 1024
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet compute a cell, which it must not with names from somebody's archive."""


def wanted(accept: str) -> Format:
    """The format that an Accept header asks for: CSV where it is named, otherwise JSONL."""
    kinds = (part.split(";")[0].strip().lower() for part in accept.split(","))
    return "csv" if "text/csv" in kinds else "jsonl"


def stream(
    storage: Storage,
    parts: Sequence[BatchPartRow],
    kind: Format,
    *,
    columns: Sequence[str] = COLUMNS,
) -> Iterator[bytes]:
    """The bytes of all parts, CSV with these `columns`.

    Raises storage_unavailable and content_corrupt, before the first of them.
    """
    files = [_open(storage, part) for part in parts]
    if kind == "csv":
        return _csv(files, columns)
    return _jsonl(files)


def _open(storage: Storage, part: BatchPartRow) -> Path:
    try:
        path = storage.fetch(part.key)
        intact = part.sha256 is None or is_intact(path, part.sha256)
    except FileNotFoundError as error:
        raise HeadstartError(
            "storage_unavailable", "a part of the results cannot be read", retry_after=5
        ) from error
    if not intact:
        why = f"the results from input {part.start} on are not what was stored: restore a backup"
        raise HeadstartError("content_corrupt", f"{why}, or ask the batch again", retry_after=60)
    return path


def _jsonl(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            while data := file.read(_STEP):
                yield data


def _csv(files: Sequence[Path], columns: Sequence[str]) -> Iterator[bytes]:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    for path in files:
        with path.open("rb") as file:
            for line in file:
                writer.writerow(_row(from_json(line), columns))
                if out.tell() >= _STEP:
                    yield _taken(out)
    yield _taken(out)


def _taken(out: io.StringIO) -> bytes:
    data = out.getvalue().encode()
    out.seek(0)
    out.truncate()
    return data


def _row(item: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """One line of the results as cells; booleans as JSON writes them, no text a formula."""
    error = item.get("error", {})
    cells = {name: _cell(item[name]) for name in columns if name in item}
    for name in ("unknown", "smoothed"):
        if name in cells:
            cells[name] = "true" if cells[name] else "false"
    if error:
        cells |= {"error_code": error["code"], "error_message": error["message"]}
    return {name: _inert(cell) for name, cell in cells.items()}


def _cell(value: Any) -> Any:
    """A list as JSON writes it."""
    return to_json(value).decode() if isinstance(value, list) else value


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
