"""What `headstart predict` is asked about: words, files of texts, lines of standard input."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePath

from app.cli.remote.pack import kind_of
from app.core.errors import HeadstartError
from app.uploads.intake.images import EXTENSIONS

_TABLES = frozenset(
    {".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather"}
    | {".xls", ".xlsx", ".ods"}
)
_OTHERS = frozenset(
    {".txt", ".text", ".md", ".log", ".pdf", ".doc", ".docx", ".odt", ".rtf", ".htm", ".html"}
    | {".xml", ".yaml", ".yml", ".eml", ".zip", ".gz", ".tar", ".7z", ".svg"}
)
_LINE_END = re.compile(r"\r\n|\n|\r")


def lines() -> list[str]:
    """The lines of standard input, each in its place: an empty one asks nothing, and is answered
    so. Raises encoding."""
    read = _LINE_END.split(_decoded(sys.stdin.buffer.read(), "standard input"))
    return read[:-1] if read[-1] == "" else read


def text_of(given: str) -> str:
    """A file's content, or the words themselves.

    Raises encoding, modality_mismatch of a table or a picture, and not_found of a folder and of
    what is called as files are and is none.
    """
    if any("\ud800" <= one <= "\udfff" for one in given):
        raise HeadstartError("encoding", "an argument is not UTF-8", param="inputs")
    if kind_of(given) == "file":
        _check_kind(given)
        return _decoded(Path(given).read_bytes(), given)
    if given.strip() and kind_of(given) == "folder":
        why = f"{given} is a folder: name its files; a text of that name goes by `-`"
        raise HeadstartError("not_found", why)
    check_named(given)
    return given


def check_named(given: str) -> None:
    """Raises not_found of what is called as files are and is none."""
    called = len(given.split()) == 1 and _ending(given) in EXTENSIONS | _TABLES | _OTHERS
    if called and kind_of(given) is None:
        raise HeadstartError("not_found", f"{given} is not there; a text of that name goes by `-`")


def _check_kind(name: str) -> None:
    if _ending(name) in _TABLES:
        why = f"{name} is a table, and would be one text: send its texts one a line by `-`, or all "
        why += "of it by POST /v1/batch_predictions; what is one text is called .txt"
        raise HeadstartError("modality_mismatch", why)
    if _ending(name) in EXTENSIONS:
        raise HeadstartError("modality_mismatch", f"{name} is a picture; the model reads texts")


def _ending(name: str) -> str:
    return PurePath(name.strip().lower()).suffix


def _decoded(data: bytes, name: str) -> str:
    """The text. Raises encoding for what is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"{name} is not UTF-8, in line {line}: convert it, as in iconv -f latin1 -t utf-8"
        raise HeadstartError("encoding", why, param=name) from error
