"""An upload as it arrives: multipart or a raw body, straight into a file, hashed on the way.

Nothing of the file is held in memory, no transaction is open, and whatever goes wrong (too much,
too slow, the client gone, this process told to stop) the temporary folder is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from app.core.errors import HeadstartError
from app.core.texts import digits
from app.http.routes import own_queries, refuse_unknown
from app.infra.storage import scratch, storage_errors
from app.uploads.forms import Form, FormLimits, bad, file_name

FLUSH = 1024 * 1024
NO_FILE = ""
"""The name of a file that was left out."""
RAW_TYPES = frozenset(
    {
        "application/zip",
        "application/x-zip-compressed",
        "application/x-tar",
        "application/gzip",
        "application/x-gzip",
        "application/x-bzip2",
        "application/x-xz",
        "application/octet-stream",
        "application/jsonl",
        "application/x-jsonlines",
        "application/x-ndjson",
        "application/vnd.apache.parquet",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "text/csv",
        "text/tab-separated-values",
    }
)


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How large and how slow a request's body may be, and what a form may hold."""

    body_bytes: int = 2048 * 1024 * 1024
    grace_seconds: float = 20.0
    bytes_per_second: int = 1024
    """The least average rate, once the grace is over."""
    idle_seconds: float = 60.0
    """The longest silence, however fast the body came before."""
    file_bytes: int | None = None
    """How large the file in it may be, where that is less."""
    form: FormLimits = field(default_factory=FormLimits)


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file, its sha256 in hexadecimal, and the form's other fields.

    `path` lies in `folder`; both are gone when the request's context is left.
    """

    folder: Path
    path: Path
    filename: str
    sha256: str
    size: int
    fields: dict[str, str]


@asynccontextmanager
async def received(
    request: Request, *, staging: Path, limits: UploadLimits
) -> AsyncIterator[Upload]:
    """The request's one file, on disk for as long as the context lasts.

    Raises payload_too_large, bad_request, unsupported_media_type, request_timeout,
    invalid_request or storage_full.
    """
    take = _taker(request)
    _check_length(request, limits)
    with scratch(staging) as folder:
        spool = Spool(folder / "upload")
        try:
            filename, fields = await take(request, spool, limits)
            await spool.flush()
            await spool.settle()
        finally:
            spool.close()
        yield Upload(folder, spool.path, filename, spool.hexdigest(), spool.size, fields)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class Spool:
    """A file that is written and hashed off the event loop, a MiB at a time, while more comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._file = path.open("wb", buffering=0)
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._under_way: asyncio.Future[None] | None = None

    def write(self, data: bytes) -> None:
        """Keep `data` until the next flush."""
        self._waiting.append(data)
        self._bytes += len(data)
        self.size += len(data)

    async def flush(self, *, at_least: int = 1) -> None:
        """Have what waits written, if it is `at_least` so many bytes, while more comes in; the one
        before has been, then. Raises storage_full."""
        if self._bytes >= at_least:
            waiting, self._waiting, self._bytes = self._waiting, [], 0
            await self.settle()
            loop = asyncio.get_running_loop()
            self._under_way = loop.run_in_executor(None, self._write, waiting)

    async def settle(self) -> None:
        """Wait until all that was flushed is in the file. Raises storage_full."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await asyncio.shield(under_way)

    def _write(self, waiting: list[bytes]) -> None:
        with storage_errors():
            for data in waiting:
                self._hash.update(data)
                written = self._file.write(data) or 0
                while written < len(data):
                    written += self._file.write(data[written:]) or 0

    def hexdigest(self) -> str:
        """The sha256 of all that was flushed."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file, once what a thread still writes into it is written."""
        if self._under_way is None or self._under_way.done():
            self._file.close()
        else:
            self._under_way.add_done_callback(self._left)

    def _left(self, written: asyncio.Future[None]) -> None:
        written.exception()  # nobody asks for it any more
        self._file.close()


Taker = Callable[[Request, Spool, UploadLimits], Awaitable[tuple[str, dict[str, str]]]]


def _taker(request: Request) -> Taker:
    """How a body of this content type is read. Raises unsupported_media_type or bad_request."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == b"multipart/form-data":
        boundary = options.get(b"boundary")
        if not boundary:
            raise bad("the multipart body has no boundary")
        return partial(_multipart, boundary=boundary)
    if kind.decode("latin-1") in RAW_TYPES:
        return _raw
    raise HeadstartError(
        "unsupported_media_type",
        "send multipart/form-data with a `file`, or the file itself with its own Content-Type",
        param="content-type",
    )


def _check_length(request: Request, limits: UploadLimits) -> None:
    told = digits(request.headers.get("content-length", ""))
    if told is not None and told > limits.body_bytes:
        raise _too_large(limits)


async def _multipart(
    request: Request, spool: Spool, limits: UploadLimits, *, boundary: bytes
) -> tuple[str, dict[str, str]]:
    """Name of the file and the fields of a form whose file goes into the spool."""
    refuse_unknown(request.query_params, own_queries(request))
    form = Form(boundary, lambda _name: spool.write, limits.form)
    async for data in _paced(request, limits):
        form.feed(data)
        _check_file(spool, limits)
        await spool.flush(at_least=FLUSH)
    if not form.complete:
        raise bad("the multipart body ends too early")
    if not form.filenames:
        if form.fields.get(limits.form.instead or ""):
            return NO_FILE, form.fields
        name = limits.form.file_field
        raise HeadstartError("invalid_request", f"the form has no file `{name}`", param=name)
    return form.filenames[0], form.fields


async def _raw(request: Request, spool: Spool, limits: UploadLimits) -> tuple[str, dict[str, str]]:
    """Name and fields from the query, the file from the body."""
    async for data in _paced(request, limits):
        spool.write(data)
        _check_file(spool, limits)
        await spool.flush(at_least=FLUSH)
    own = own_queries(request)
    fields = {name: told for name, told in request.query_params.items() if name not in own}
    return file_name(_raw_name(request, fields.pop("filename", ""))), fields


def _raw_name(request: Request, asked: str) -> str:
    """`?filename=`, `X-Filename` or Content-Disposition, whichever is there."""
    _, options = parse_options_header(request.headers.get("content-disposition"))
    disposed = options.get(b"filename", b"").decode("utf-8", "replace")
    return asked or unquote(request.headers.get("x-filename", "")) or disposed


async def _paced(request: Request, limits: UploadLimits) -> AsyncIterator[bytes]:
    """The body's chunks, held to the cap and to the least rate."""
    stream, size = request.stream(), 0
    clock = asyncio.get_running_loop().time
    start = clock()
    while True:
        earned = start + limits.grace_seconds + size / limits.bytes_per_second
        try:
            async with asyncio.timeout_at(min(earned, clock() + limits.idle_seconds)):
                data = await anext(stream, None)
        except TimeoutError as error:
            raise HeadstartError("request_timeout", "the body arrives too slowly") from error
        except ClientDisconnect as error:
            raise bad("the client went away during the upload") from error
        if data is None:
            return
        size += len(data)
        if size > limits.body_bytes:
            raise _too_large(limits)
        yield data


def _check_file(spool: Spool, limits: UploadLimits) -> None:
    if limits.file_bytes is not None and spool.size > limits.file_bytes:
        why = f"the file may have {limits.file_bytes:,} bytes at most"
        raise HeadstartError("payload_too_large", why)


def _too_large(limits: UploadLimits) -> HeadstartError:
    return HeadstartError("payload_too_large", f"the limit is {limits.body_bytes:,} bytes")
