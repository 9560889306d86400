"""What an upload is, by its content first and its name second, and how it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake import foreign, images
from app.uploads.intake.archive import Archive
from app.uploads.intake.containers import codecs, tars
from app.uploads.intake.containers.tars import TarArchive
from app.uploads.intake.containers.zips import ZipArchive
from app.uploads.intake.labels import pairs
from app.uploads.intake.labels.rules import almost_tailed, is_fasttext, is_tailed
from app.uploads.intake.layout import TABLES
from app.uploads.intake.limits import IntakeOptions, Kind, Limits
from app.uploads.intake.names import shown
from app.uploads.intake.refusals import Refusals
from app.uploads.intake.tables import guessed

ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xltx"})
OFFICE = {
    ".ods": "an OpenDocument spreadsheet; save it as .xlsx or as CSV UTF-8",
    ".numbers": "a Numbers document; export it as CSV UTF-8",
    ".xlsb": "a binary Excel workbook; save it as .xlsx or as CSV UTF-8",
    ".docx": "a Word document, which holds no labelled examples; send a table",
    ".pptx": "a presentation, which holds no labelled examples; send a table",
}
HEAD = 4096


def settle(upload: Path, *, filename: str, folder: Path, limits: Limits) -> tuple[Path, Kind, str]:
    """The file to read, its kind, and its name without a compression's extension.

    A compressed tar or table is unpacked into `folder` first. Raises empty_dataset,
    not_an_archive, archive_corrupt, archive_bomb or unsupported_member.
    """
    head = _head(upload)
    if not head:
        raise HeadstartError("empty_dataset", "the upload is empty")
    if codecs.stream(head) is None:
        return upload, kind_of(head, filename), filename
    target = folder / "unpacked"
    with upload.open("rb") as source, target.open("wb") as out:
        codecs.unpack(source, out, limits=limits)
    head, inner = _head(target), _inner_name(filename)
    if head.startswith(ZIP) or codecs.stream(head) is not None:
        raise images.nested(inner)
    return target, kind_of(head, inner), inner


def open_archive(file: BinaryIO, kind: Kind, options: IntakeOptions, refusals: Refusals) -> Archive:
    """The archive in `file`, its entries listed and checked; what is wrong with several of them
    is raised as one refusal."""
    opened: Archive
    if kind == "zip":
        opened = ZipArchive(file, options, refusals)
    else:
        opened = TarArchive(file, options, refusals)
    refusals.check()
    return opened


def kind_of(head: bytes, filename: str) -> Kind:
    """Raises not_an_archive, or archive_corrupt for what is Parquet by its name alone."""
    suffix = images.extension(filename)
    refused = foreign.refusal(head, filename) or _refused(head, suffix, filename)
    if refused is not None:
        raise refused
    named = suffix in TABLES or suffix == ".json"
    if head.startswith(ZIP):
        return "xlsx" if suffix in WORKBOOKS or b"xl/workbook" in head else "zip"
    if tars.is_header(head) or (suffix == ".tar" and not head.strip(b"\0")):
        return "tar"
    if head.startswith(b"PAR1"):
        return "parquet"
    if is_fasttext(head) or (not named and is_tailed(head)):
        return "labelled_lines"
    if suffix == ".parquet":
        raise HeadstartError("archive_corrupt", f"{shown(filename)} does not begin as Parquet does")
    if named:
        return table_kind(filename)
    guess = None if suffix in images.ARCHIVES else guessed.table(head)
    if guess is None:
        raise _unread(filename, _neither(head))
    return guess


def _neither(head: bytes) -> str:
    almost = almost_tailed(head)
    if almost is None and pairs.parted(head):
        almost = (
            "its lines look parted, and too few of them say a label that comes again to be sure: "
            "call it .tsv or .csv to have it read as a table, with header=none if its first line "
            "is an example"
        )
    said = "neither a zip nor a tar nor a table: CSV, JSON, Parquet or xlsx"
    return f"{said}; {almost}" if almost else said


def table_kind(path: str) -> Kind:
    """The kind of a table by its name."""
    suffix = images.extension(path)
    return "labelled_lines" if suffix == ".txt" else TABLES.get(suffix, "json")


def _refused(head: bytes, suffix: str, filename: str) -> HeadstartError | None:
    """What is recognised but not read, by its own name."""
    if suffix in TABLES and not head.startswith((*ZIP, OLE)):
        return None
    if head.startswith(OLE):
        said = "an old Excel workbook" if suffix == ".xls" else "an old Office document"
        return _unread(filename, f"{said}; save it as .xlsx or as CSV UTF-8")
    if head.startswith(ZIP) and suffix in OFFICE:
        return _unread(filename, OFFICE[suffix])
    return codecs.refuse_unknown(head)


def _unread(filename: str, what: str) -> HeadstartError:
    return HeadstartError("not_an_archive", f"{shown(filename)} is {what}", param=shown(filename))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _inner_name(filename: str) -> str:
    """`x.tgz` and `x.tar.gz` are a tar within, `x.csv.gz` a table."""
    stem, _, suffix = filename.rpartition(".")
    if suffix.lower() in ("tgz", "tbz2", "txz"):
        return stem + ".tar"
    return stem or filename
