"""Bodies as they arrive, chunk by chunk, over the ASGI protocol."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from app.core.errors import HeadstartError
from app.uploads.forms import FormLimits, file_name, part_filename
from app.uploads.streaming import Upload, UploadLimits, received

FILE = bytes(range(256)) * 40 + b"\r\n--not the boundary\r\n--edge\r" + b"\n" * 9
Part = tuple[str, bytes]


def form(*parts: Part, boundary: str = "edge-of-parts") -> bytes:
    """A multipart body of `(headers after the name, content)`."""
    pieces = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def file_part(data: bytes = FILE, name: str = "x.zip") -> Part:
    return f'name="file"; filename="{name}"\r\nContent-Type: application/zip', data


def request(
    chunks: Sequence[bytes | float | None],
    *,
    content_type: str | None = "multipart/form-data; boundary=edge-of-parts",
    length: int | None = None,
    query: str = "",
    headers: dict[str, str] | None = None,
) -> Request:
    """A request whose body comes in `chunks`: bytes, seconds of silence, or None: client gone."""
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        if waiting and isinstance(waiting[0], float):
            await asyncio.sleep(waiting.pop(0))  # type: ignore[arg-type]
        if waiting and waiting[0] is None:
            return {"type": "http.disconnect"}
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    told = dict(headers or {})
    if content_type is not None:
        told["content-type"] = content_type
    if length is not None:
        told["content-length"] = str(length)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in told.items()],
    }
    return Request(scope, receive)


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return tmp_path / "staging"


def take(asked: Request, staging: Path, **limits: Any) -> tuple[Upload, bytes]:
    async def taking() -> tuple[Upload, bytes]:
        async with received(asked, staging=staging, limits=UploadLimits(**limits)) as upload:
            return upload, upload.path.read_bytes()

    result = asyncio.run(taking())
    assert list(staging.iterdir()) == []
    return result


@pytest.fixture
def refused(staging: Path) -> Callable[..., HeadstartError]:
    def refusing(asked: Request, **limits: Any) -> HeadstartError:
        with pytest.raises(HeadstartError) as caught:
            take(asked, staging, **limits)
        assert not staging.exists() or list(staging.iterdir()) == []
        return caught.value

    return refusing


Refused = Callable[..., HeadstartError]


def sliced(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(size=st.integers(1, 6000), before=st.booleans(), data=st.binary(max_size=3000))
def test_fields_and_file_however_they_are_cut(
    staging: Path, size: int, before: bool, data: bytes
) -> None:
    data = data.replace(b"edge-of", b"edge of")
    fields = [('name="name"', "Käse".encode()), ('name="modality"', b"image")]
    parts = [*fields, file_part(data)] if before else [file_part(data), *fields]
    upload, content = take(request(sliced(form(*parts), size)), staging)
    assert content == data
    assert upload.fields == {"name": "Käse", "modality": "image"}
    assert (upload.filename, upload.size) == ("x.zip", len(data))
    assert upload.sha256 == hashlib.sha256(data).hexdigest()


def test_many_mebibytes(staging: Path) -> None:
    data = bytes(range(256)) * 20_000
    upload, content = take(request(sliced(form(file_part(data)), 65_536)), staging)
    assert content == data
    assert upload.sha256 == hashlib.sha256(data).hexdigest()


def test_a_raw_body(staging: Path) -> None:
    for asked, name in (
        (request([FILE], content_type="application/zip", query="filename=a/b.zip&name=n"), "b.zip"),
        (request([FILE], content_type="text/csv", headers={"x-filename": "%C3%A4.csv"}), "ä.csv"),
        (
            request(
                [FILE],
                content_type="application/octet-stream",
                headers={"content-disposition": 'attachment; filename="c.tar"'},
            ),
            "c.tar",
        ),
        (request([FILE], content_type="application/gzip"), "upload"),
    ):
        upload, content = take(asked, staging)
        assert (upload.filename, content) == (name, FILE)
    fields = take(
        request([FILE], content_type="application/zip", query="filename=x&name=n"), staging
    )[0].fields
    assert fields == {"name": "n"}


def test_too_large_with_and_without_a_length(refused: Refused) -> None:
    body = form(file_part(bytes(5000)))
    read: list[bytes] = [body]
    assert refused(request(read, length=len(body)), body_bytes=4000).code == "payload_too_large"
    chunks = sliced(body, 500)
    assert refused(request(chunks), body_bytes=4000).code == "payload_too_large"
    raw = request(sliced(bytes(5000), 500), content_type="application/zip")
    assert refused(raw, body_bytes=4000).code == "payload_too_large"


def test_a_declared_length_is_refused_before_a_byte_is_read(staging: Path) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    asked = request([], length=5000)
    asked._receive = receive
    with pytest.raises(HeadstartError) as caught:
        take(asked, staging, body_bytes=4000)
    assert caught.value.code == "payload_too_large"


@pytest.mark.parametrize(
    "kind", [None, "application/json", "text/plain", "application/x-www-form-urlencoded", "", ";"]
)
def test_wrong_content_types(refused: Refused, kind: str | None) -> None:
    assert refused(request([FILE], content_type=kind)).code == "unsupported_media_type"


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 999,
        "multipart/form-data; boundary=other",
    ],
)
def test_boundaries_that_do_not_hold(refused: Refused, kind: str) -> None:
    assert refused(request([form(file_part())], content_type=kind)).code == "bad_request"


@pytest.mark.parametrize(
    "body",
    [
        form(*[('name="x"', b"1")] * 1001),
        form(file_part(b"x"), ('name="x"', bytes(2_000_000).replace(b"\0", b"x"))),
        form(*[('name="x"', b"x" * 300_000)] * 4),
        form(file_part(), file_part()),
        form(("filename=x", b"")),
        form(("", b"")),
        form((f'name="x"\r\nContent-Transfer-Encoding: base64\r\nX-A: {"y" * 9}', b"AAAA")),
        form(('name="x"', b"\xff")),
        form((f'name="x"; y="{"z" * 20_000}"', b"1")),
        form(file_part())[:-30],
        b"no multipart at all",
        b"",
    ],
    ids=[
        "1001 parts",
        "2 MB field",
        "many large fields",
        "two files",
        "no name",
        "no disposition",
        "base64",
        "latin-1",
        "long header",
        "cut short",
        "text",
        "nothing",
    ],
)
def test_forms_that_cannot_be_read(refused: Refused, body: bytes) -> None:
    assert refused(request(sliced(body, 4096) or [b""])).code == "bad_request"


def test_a_thousand_parts_are_allowed(staging: Path) -> None:
    body = form(*[(f'name="{at}"', b"1") for at in range(999)], file_part(b"x"))
    assert len(take(request([body]), staging)[0].fields) == 999


def test_forms_without_a_file_or_with_nul(refused: Refused) -> None:
    error = refused(request([form(('name="name"', b"x"))]))
    assert (error.code, error.param) == ("invalid_request", "file")
    error = refused(request([form(('name="name"', b"x\0y"), file_part())]))
    assert (error.code, error.param) == ("invalid_value", "name")


def test_clients_that_are_slow_or_silent(refused: Refused) -> None:
    body = form(file_part())
    dripping = [piece for byte in sliced(body, 1) for piece in (byte, 0.01)]
    assert refused(request(dripping), grace_seconds=0.1).code == "request_timeout"
    silent = [body[:5000], 5.0, body[5000:]]
    assert refused(request(silent), idle_seconds=0.1).code == "request_timeout"
    assert refused(request([5.0, body]), grace_seconds=0.1).code == "request_timeout"


def test_a_slow_but_steady_client_is_served(staging: Path) -> None:
    body = form(file_part())
    steady = [piece for some in sliced(body, 2000) for piece in (some, 0.02)]
    limits = {"grace_seconds": 0.05, "bytes_per_second": 2000}  # each piece earns a second
    assert take(request(steady), staging, **limits)[1] == FILE


def test_the_client_goes_away(refused: Refused) -> None:
    body = form(file_part())
    assert refused(request([body[:3000], None])).code == "bad_request"
    assert refused(request([None], content_type="application/zip")).code == "bad_request"


def test_being_cancelled_leaves_nothing(staging: Path) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(_hold(request([form(file_part())[:5000], 60.0]), staging))
        await asyncio.sleep(0.2)
        assert begun(staging)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    staging.mkdir()
    asyncio.run(cancelled())
    assert list(staging.iterdir()) == []


def begun(staging: Path) -> bool:
    return len(list(staging.glob("*/upload"))) == 1


async def _hold(asked: Request, staging: Path) -> None:
    async with received(asked, staging=staging, limits=UploadLimits()):
        raise AssertionError("the upload never ends")


def test_an_error_in_the_context_leaves_nothing(staging: Path) -> None:
    async def failing() -> None:
        async with received(
            request([form(file_part())]), staging=staging, limits=UploadLimits()
        ) as upload:
            assert upload.path.is_file()
            raise HeadstartError("archive_corrupt")

    with pytest.raises(HeadstartError, match="damaged"):
        asyncio.run(failing())
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("C:\\Users\\me\\x.zip", "x.zip"),
        ("/etc/passwd", "passwd"),
        ("..", ".."),
        ("", "upload"),
        ("a\nb\u202e.zip", "ab.zip"),
        ("x" * 300 + ".zip", "x" * 196 + ".zip"),
    ],
)
def test_file_names(name: str, shown: str) -> None:
    assert file_name(name) == shown


def test_form_limits_are_the_promised_ones() -> None:
    assert FormLimits() == FormLimits(parts=1000, field_bytes=1024 * 1024)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b"form-data; name=file; filename*=UTF-8''%E6%97%A5%E6%9C%AC.zip", "日本.zip"),
        (b"form-data; name=file; filename=x.zip; filename*=utf-8'ja'%E6%97%A5.zip", "日.zip"),
        (b"form-data; name=file; filename*=iso-8859-1''%e9t%e9.zip", "été.zip"),
        (b"form-data; name=file; filename*=nonsense''x; filename=y.zip", "y.zip"),
        (b"form-data; name=file; filename*=undefined''x; filename=y.zip", "y.zip"),
        (b"form-data; name=file; filename*=idna''xn--999999999; filename=y.zip", "y.zip"),
        (b"form-data; name=file; filename*=punycode''xn--9999999; filename=y.zip", "y.zip"),
        (b'form-data; name=file; filename="=?undefined?q?abc?="', "=?undefined?q?abc?="),
        (b'form-data; name=file; filename="=?idna?q?xn--999999999?="', "=?idna?q?xn--999999999?="),
        (b'form-data; name=file; filename="=?a\x00b?q?a?="', "=?a\x00b?q?a?="),
        (b'form-data; name=file; filename="=?utf-8?B?5pel5pysLnppcA==?="', "日本.zip"),
        (b'form-data; name=file; filename="=?x?="', "=?x?="),
        (b"form-data; name=file", None),
    ],
)
def test_a_file_is_called_as_clients_call_it(disposition: bytes, name: str | None) -> None:
    assert part_filename(disposition, parse_options_header(disposition)[1]) == name


def test_a_file_sent_as_a_text_is_told_how_to_be_sent(refused: Refused) -> None:
    error = refused(request([form(('name="file"', b"\x89PK"))]))
    assert (error.code, error.param) == ("invalid_request", "file")
    assert "-F file=@" in error.message
