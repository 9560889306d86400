"""Files of numbers, programs' own objects and databases: recognised, never opened, told by name."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence

from app.core.errors import HeadstartError
from app.uploads.intake import images
from app.uploads.intake.names import shown

_TABLE = "save its rows as CSV or Parquet, with a text and a label each"
_ARRAYS = (
    "arrays of numbers, which are not read: save each picture as a PNG in a folder of its class "
    "(`Image.fromarray(x).save(f'{label}/{n}.png')`), and zip the folders"
)
_FEATURES = "vectors of numbers, and a model here learns from pictures or texts: send those"
_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", f"NumPy's {_ARRAYS}"),
    (b"\x89HDF\r\n\x1a\n", f"HDF5: {_ARRAYS}"),
    (b"MATLAB 5.0", f"MATLAB's {_ARRAYS}"),
    (b"ARROW1", "an Arrow file, which is not read: save it as Parquet"),
    (b"FEA1", "a Feather file, which is not read: save it as Parquet"),
    (b"ORC", "an ORC file, which is not read: save it as Parquet"),
    (b"Obj\x01", "an Avro file, which is not read: save it as Parquet"),
    (b"SQLite format 3\0", f"a SQLite database, which is not read: {_TABLE}"),
    (b"RDX", f"R's own format, which is not read: {_TABLE}"),
    (b"$FL", f"SPSS's own format, which is not read: {_TABLE}"),
    (b"<stata_dta>", f"Stata's own format, which is not read: {_TABLE}"),
    (b"%PDF-", f"a PDF, which holds no labelled examples: {_TABLE}"),
    (b"{\\rtf", f"a document, which holds no labelled examples: {_TABLE}"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS and not the file itself: run `git lfs pull`",
    ),
    (b"%%MatrixMarket", f"a matrix: {_FEATURES}"),
)
_PICKLE = (
    "a Python pickle, which can run programs when it is opened, and never is: save tables as CSV "
    "or Parquet, pictures as PNG in a folder a class"
)
_SUFFIXES = {
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".joblib": _PICKLE,
    ".npz": f"NumPy's {_ARRAYS}",
    ".h5": f"HDF5: {_ARRAYS}",
    ".hdf5": f"HDF5: {_ARRAYS}",
    ".arrow": "an Arrow file, which is not read: save it as Parquet (`dataset.to_parquet(…)`)",
    ".feather": "a Feather file, which is not read: save it as Parquet",
    ".spacy": f"spaCy's DocBin, which is not read: {_TABLE}",
    ".lance": "a part of a Lance dataset, which is not read: save it as Parquet",
    ".mdb": f"a part of an LMDB database, which is not read: {_TABLE}",
    ".dta": f"Stata's own format, which is not read: {_TABLE}",
    ".rds": f"R's own format, which is not read: {_TABLE}",
    ".libsvm": f"LIBSVM's {_FEATURES}",
    ".svmlight": f"LIBSVM's {_FEATURES}",
}
"""What has no beginning of its own, or is compressed."""
MARKS_PASSAGES = "marks of passages, which are not read: one label for all of a text is"
BESIDE = {
    ".ann": f"brat's {MARKS_PASSAGES}",
    ".conll": MARKS_PASSAGES,
    ".bio": MARKS_PASSAGES,
    ".iob": MARKS_PASSAGES,
}
"""Endings of what says something of texts that is not read."""
_TFRECORD = re.compile(r"tfrecords?(-\d+-of-\d+)?$", re.I)
_LIBSVM = re.compile(rb"[+-]?\d+(\.\d+)?([ \t]+\d+:[-+.\deE]+)+[ \t]*(\r?\n|$)")
_RECORD = struct.Struct("<Q")


def what(head: bytes, path: str) -> str | None:
    """What the file is that begins so and is called so; None for what may be read."""
    found = next((told for magic, told in _MAGICS if head.startswith(magic)), None)
    if found is not None:
        return found
    suffix = images.extension(path)
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5" and len(head) > 2:
        return _PICKLE
    if suffix in _SUFFIXES and (suffix != ".npz" or b".npy" in head[:200]):
        return _SUFFIXES[suffix]
    return next((told for is_one, told in _LOOKS if is_one(head, path)), None)


def _is_tfrecord(head: bytes, path: str) -> bool:
    """By its name, or as its first record is a protocol buffer's message of a likely length."""
    if _TFRECORD.search(path.rpartition("/")[2]):
        return True
    if len(head) < 14 or head[12:13] != b"\x0a":
        return False
    return 2 <= _RECORD.unpack_from(head)[0] < 1 << 27 and head[5:8] == b"\0\0\0"


def _is_idx(head: bytes, path: str) -> bool:
    """MNIST's own: two zeros, a type, so many dimensions."""
    return head[:2] == b"\0\0" and head[2:3] in b"\x08\x09\x0b\x0c\x0d\x0e" and "idx" in path


def _begins(*words: bytes) -> Callable[[bytes, str], bool]:
    return lambda head, _: head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(words)


def _is_arff(head: bytes, _: str) -> bool:
    lines = (line.strip().lower() for line in head.splitlines())
    first = next((line for line in lines if line and not line.startswith(b"%")), b"")
    return first.startswith(b"@relation")


_LOOKS: tuple[tuple[Callable[[bytes, str], bool], str], ...] = (
    (
        _is_tfrecord,
        "TFRecords, which are not read: save each picture as a file in a folder of its class, or "
        "the texts as CSV",
    ),
    (_is_idx, f"MNIST's IDX, {_ARRAYS}"),
    (_is_arff, "Weka's ARFF, which is not read: save it as CSV, with a header"),
    (lambda head, _: _LIBSVM.match(head) is not None, f"LIBSVM's {_FEATURES}"),
    (
        _begins(b"<!doctype html", b"<html"),
        "a web page and no data: was a sign-in page downloaded in the file's place?",
    ),
    (
        _begins(b"$schema: https://azuremlschemas", b"type: mltable", b"paths:\n"),
        "Azure ML's MLTable, which only says where data is: send that",
    ),
)


def refusal(head: bytes, path: str) -> HeadstartError | None:
    """The refusal of a file that is recognised and not read."""
    told = what(head, path)
    if told is None:
        return None
    return HeadstartError("not_an_archive", f"{shown(path)} is {told}", param=shown(path))


def among(
    paths: Sequence[str], peek: Callable[[int], bytes], most: int = 50
) -> HeadstartError | None:
    """The same for the first of an archive's members that is one."""
    found = (refusal(peek(at), path) for at, path in enumerate(paths[:most]))
    return next((one for one in found if one is not None), None)
