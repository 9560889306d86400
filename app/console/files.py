"""Static files: read once, compressed once, revalidated by their hash."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from mimetypes import guess_type
from pathlib import Path

from fastapi import Request
from starlette.responses import Response

_PACKED = frozenset({".js", ".css", ".html", ".md", ".txt", ".json", ".svg"})
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_LEAST = 500
"""Bytes from which on compressing is worth its header."""


@dataclass(frozen=True)
class StaticFile:
    """A file as it is sent."""

    content: bytes
    packed: bytes | None
    etag: str
    media_type: str

    @classmethod
    def of(cls, content: bytes, *, media_type: str, packs: bool) -> StaticFile:
        """Of these bytes, compressed if that `packs` them."""
        packed = gzip.compress(content, 9, mtime=0) if packs and len(content) > _LEAST else None
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(content, packed, etag, media_type)


@cache
def load(path: Path) -> StaticFile:
    """The file at `path`."""
    known = _TYPES.get(path.suffix) or guess_type(path.name)[0] or "text/plain; charset=utf-8"
    return StaticFile.of(path.read_bytes(), media_type=known, packs=path.suffix in _PACKED)


def send(request: Request, file: StaticFile, **headers: str) -> Response:
    """The file; 304 for who has it already."""
    told = {
        "etag": file.etag,
        "cache-control": "no-cache",
        "vary": "Accept-Encoding",
        "x-content-type-options": "nosniff",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=told)
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        told["content-encoding"] = "gzip"
        return Response(file.packed, media_type=file.media_type, headers=told)
    return Response(file.content, media_type=file.media_type, headers=told)
