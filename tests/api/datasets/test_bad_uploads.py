"""Bad uploads over HTTP: each answered with its code, quickly, and with nothing left behind."""

from __future__ import annotations

import tarfile
import zlib
from typing import Any

import httpx
import pytest

from tests import archives
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, leftovers, made, rows, send
from tests.archives import Raw, folders, picture, png, png_header, raw_zip, tarred, zipped

pytestmark = pytest.mark.slow

GOOD = folders({"a": 2, "b": 2})


def with_member(name: str | bytes, data: bytes = b"", **fields: Any) -> bytes:
    return raw_zip([*(Raw(path, content) for path, content in GOOD.items()),
                    Raw(name, data or png(99), **fields)])  # fmt: skip


def only(name: str, data: bytes) -> bytes:
    """Two good classes and one bad member."""
    return zipped(GOOD | {name: data})


PATHS = {
    "parent": (with_member("../x.png"), 422, "unsafe_path"),
    "absolute": (with_member("/a/x.png"), 422, "unsafe_path"),
    "drive": (with_member("C:/a/x.png"), 422, "unsafe_path"),
    "backslash": (with_member("a\\x.png"), 422, "unsafe_path"),
    "tar parent": (tarred(GOOD | {"../x.png": png(99)}), 422, "unsafe_path"),
    "control": (with_member("a/\x07.png"), 422, "unsafe_name"),
    "direction": (with_member("a/\u202egnp.exe"), 422, "unsafe_name"),
    "twice": (with_member("a/0000.png"), 422, "duplicate_name"),
    "link in a zip": (with_member("a/link", b"/etc/passwd", mode=0o120777), 422, "unsafe_member"),
}
MEMBERS = {
    name: (archives.tar_with(kind), 422, "unsafe_member")
    for name, kind in {
        "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
        "block device": tarfile.BLKTYPE,
        "FIFO": tarfile.FIFOTYPE,
    }.items()
}
CONTAINERS = {
    "bomb": (archives.zip_bomb(), 413, "archive_bomb"),
    "overlap": (archives.overlapping_zip(), 413, "archive_bomb"),
    "quoted": (archives.quoting_zip(), 413, "archive_bomb"),
    "more than told": (with_member("a/z.png", png(9), told_size=10), 413, "archive_bomb"),
    "less than told": (with_member("a/z.png", png(9), told_size=999), 422, "archive_corrupt"),
    "bad crc": (with_member("a/z.png", png(9), told_crc=1), 422, "archive_corrupt"),
    "truncated": (zipped(GOOD)[:-30], 422, "archive_corrupt"),
    "nested": (only("a/inner.zip", zipped(GOOD)), 422, "unsupported_member"),
    "nested by content": (only("a/inner.png", zipped(GOOD)), 422, "unsupported_member"),
    "encrypted": (with_member("a/z.png", flags=0x801), 422, "archive_encrypted"),
    "text": (b"this is no archive", 422, "not_an_archive"),
    "nothing": (b"", 422, "empty_dataset"),
    "empty zip": (zipped({}), 422, "empty_dataset"),
    "many entries": (archives.empty_entries(200_000), 413, "too_many_entries"),
}
IMAGES = {
    "12000 square": (only("a/z.png", png_header(12_000, 12_000)), 422, "image_too_large"),
    "20000 square": (only("a/z.png", png_header(20_000, 20_000)), 422, "image_too_large"),
    "a line": (only("a/z.png", png_header(1, 60_000)), 422, "image_dimensions"),
    "10k frames": (only("a/z.gif", archives.gif(10_000)), 422, "too_many_frames"),
    "cut header": (only("a/z.png", png(3)[:20]), 422, "image_truncated"),
    "zero bytes": (only("a/z.png", b"\0" * 100), 422, "image_invalid"),
    "no bytes": (only("a/z.png", b""), 422, "image_invalid"),
    "EPS": (only("a/z.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"), 422, "unsupported_image_format"),
    "SVG": (
        only("a/z.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        422,
        "unsupported_image_format",
    ),
    "TIFF as PNG": (only("a/z.png", picture("TIFF")), 422, "unsupported_image_format"),
}
TABLES = {
    "ragged": ("t.csv", b"text,label\nx,a\ny,b,c\n", 422, "schema_mismatch"),
    "no label": ("t.csv", b"text,lable\nx,a\n", 422, "schema_mismatch"),
    "latin": ("t.csv", b"text,label\n\xe9t\xe9,a\n", 422, "encoding"),
    "long line": ("t.csv", b"text,label\n" + b"x" * (2 << 20) + b",a\n", 413, "row_too_large"),
    "null label": ("t.jsonl", b'{"text":"x","label":null}\n', 422, "empty_dataset"),
    "NaN": ("t.jsonl", b'{"text":"x","label":NaN}\n', 422, "invalid_json"),
    "NUL": ("t.csv", b"text,label\nx\0,a\n", 422, "invalid_value"),
    "bad footer": ("t.parquet", b"PAR1" + b"\0" * 100, 422, "archive_corrupt"),
    "one class": ("t.csv", b"text,label\nx,a\ny,a\n", 422, "insufficient_classes"),
    "long label": (
        "t.csv",
        b"text,label\nx,a\ny," + b"l" * 10_000 + b"\n",
        422,
        "label_too_long",
    ),
}


@pytest.mark.parametrize(
    ("data", "status", "expected"),
    [
        pytest.param(*case, id=name)
        for name, case in (PATHS | MEMBERS | CONTAINERS | IMAGES).items()
    ],
)
def test_a_bad_archive_is_refused(
    service: Service, client: httpx.Client, data: bytes, status: int, expected: str
) -> None:
    answer = send(client, data)
    assert code(answer) == (status, expected)
    assert (rows(service), leftovers(service)) == (0, [])


@pytest.mark.parametrize(
    ("filename", "data", "status", "expected"),
    [pytest.param(*case, id=name) for name, case in TABLES.items()],
)
def test_a_bad_table_is_refused(
    service: Service,
    client: httpx.Client,
    filename: str,
    data: bytes,
    status: int,
    expected: str,
) -> None:
    answer = send(client, data, filename=filename)
    assert code(answer) == (status, expected)
    assert (rows(service), leftovers(service)) == (0, [])


def test_the_row_at_fault_is_named(client: httpx.Client) -> None:
    answer = send(client, b"text,label\nx,a\ny,b,c\n", filename="t.csv")
    assert answer.json()["param"] == "t.csv:3"


def test_one_class_of_images_is_refused(service: Service, client: httpx.Client) -> None:
    assert code(send(client, zipped(folders({"a": 3})))) == (422, "insufficient_classes")
    assert (rows(service), leftovers(service)) == (0, [])


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "CMYK"), ("PNG", "I;16"), ("PNG", "P"), ("PNG", "RGBA"), ("WEBP", "RGB"),
     ("BMP", "RGB"), ("GIF", "P"), ("TIFF", "RGB")],
)  # fmt: skip
def test_every_kind_of_image_is_taken(client: httpx.Client, kind: str, mode: str) -> None:
    suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    found = made(client, only(f"a/z.{suffix}", picture(kind, mode=mode, seed=200)))
    assert found["num_examples"] == 5


def test_labels_that_differ_in_case_are_a_warning_naming_both(client: httpx.Client) -> None:
    found = made(client, b"text,label\nx,Cat\ny,cat\nz,dog\n", filename="t.csv")
    assert [problem["code"] for problem in found["problems"]] == ["label_collision"]
    assert "'Cat'" in found["problems"][0]["message"]
    assert "'cat'" in found["problems"][0]["message"]
    assert len(found["classes"]) == 3


def multipart(parts: list[tuple[str, bytes]], boundary: str = "xyz") -> dict[str, Any]:
    body = b"".join(
        f"--{boundary}\r\ncontent-disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return {
        "content": body + f"--{boundary}--\r\n".encode(),
        "headers": {"content-type": f"multipart/form-data; boundary={boundary}"},
    }


FILE = ('name="file"; filename="set.zip"', zipped(GOOD))
BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no boundary": (
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        400,
        "bad_request",
    ),
    "no such boundary": (
        {"content": b"x" * 99, "headers": {"content-type": "multipart/form-data; boundary=b"}},
        400,
        "bad_request",
    ),
    "1001 parts": (multipart([('name="x"', b"1")] * 1000 + [FILE]), 400, "bad_request"),
    "2 MB field": (multipart([('name="name"', b"x" * 2_000_000), FILE]), 400, "bad_request"),
    "two files": (multipart([FILE, FILE]), 400, "bad_request"),
    "no file": (multipart([('name="name"', b"x")]), 422, "invalid_request"),
    "no end": (
        multipart([FILE]) | {"content": multipart([FILE])["content"][:-8]},
        400,
        "bad_request",
    ),
    "NUL in a field": (multipart([('name="name"', b"a\0b"), FILE]), 422, "invalid_value"),
    "JSON": ({"json": {"file": "x"}}, 415, "unsupported_media_type"),
    "no type": ({"content": b"x"}, 415, "unsupported_media_type"),
    "a form": ({"data": {"file": "x"}}, 415, "unsupported_media_type"),
}


@pytest.mark.parametrize(
    ("request_", "status", "expected"),
    [pytest.param(*case, id=name) for name, case in BODIES.items()],
)
@pytest.mark.parametrize("to", [DATASETS, "/v1/files"])
def test_a_bad_body_is_refused(
    service: Service,
    client: httpx.Client,
    to: str,
    request_: dict[str, Any],
    status: int,
    expected: str,
) -> None:
    answer = client.post(to, **request_)
    assert code(answer) == (status, expected)
    assert (rows(service), leftovers(service)) == (0, [])


def test_a_compressed_tar_that_never_ends_is_a_bomb(service: Service, client: httpx.Client) -> None:
    header = tarfile.TarInfo("a/z.png")
    header.size = 600 << 20
    codec = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = codec.compress(header.tobuf())
    data += b"".join(codec.compress(bytes(1 << 20)) for _ in range(64)) + codec.flush()
    assert code(send(client, data, filename="set.tar.gz")) == (413, "archive_bomb")
    assert (rows(service), leftovers(service)) == (0, [])
