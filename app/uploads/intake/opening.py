"""What an upload is, by its content first and its name second, and how it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from app.core.errors import HeadstartError
from app.uploads.intake import codecs, images, tars
from app.uploads.intake.archive import Archive
from app.uploads.intake.layout import TABLES
from app.uploads.intake.limits import Kind, Limits
from app.uploads.intake.names import shown
from app.uploads.intake.tars import TarArchive
from app.uploads.intake.zips import ZipArchive

ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
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


def open_archive(file: BinaryIO, kind: Kind, limits: Limits) -> Archive:
    """The archive in `file`, its entries listed and checked."""
    return ZipArchive(file, limits) if kind == "zip" else TarArchive(file, limits)


def kind_of(head: bytes, filename: str) -> Kind:
    """Raises not_an_archive, or archive_corrupt for what is Parquet by its name alone."""
    suffix = images.extension(filename)
    if head.startswith(ZIP):
        return "zip"
    if tars.is_header(head) or (suffix == ".tar" and not head.strip(b"\0")):
        return "tar"
    if head.startswith(b"PAR1"):
        return "parquet"
    if suffix == ".parquet":
        raise HeadstartError("archive_corrupt", f"{shown(filename)} does not begin as Parquet does")
    if suffix in TABLES:
        return TABLES[suffix]
    refused = codecs.refuse_unknown(head)
    if refused is not None:
        raise refused
    guess = None if suffix in images.ARCHIVES else _guess(head)
    if guess is None:
        raise HeadstartError(
            "not_an_archive",
            f"{shown(filename)} is neither a zip nor a tar nor a table (CSV, JSONL, Parquet)",
        )
    return guess


def _guess(head: bytes) -> Kind | None:
    """The kind of a table whose name does not tell."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return "jsonl"
    first = start.partition(b"\n")[0].lower()
    named = b"label" in first and any(mark in first for mark in (b",", b";", b"\t"))
    return "csv" if named else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _inner_name(filename: str) -> str:
    """`x.tgz` and `x.tar.gz` are a tar within, `x.csv.gz` a table."""
    stem, _, suffix = filename.rpartition(".")
    if suffix.lower() in ("tgz", "tbz2", "txz"):
        return stem + ".tar"
    return stem or filename
