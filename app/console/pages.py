"""`/`: the console, static modules of our own that ask nothing but the public HTTP API."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import Response

from app.console.digits import digits_zip
from app.console.files import StaticFile, load, send
from app.core.errors import HeadstartError

router = APIRouter(tags=["console"], include_in_schema=False)

WEB = Path(__file__).parent / "web"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",
        "media-src blob:",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What pages may load: files of this service, and pictures that they made themselves."""
HEADERS = {
    "content_security_policy": POLICY,
    "referrer_policy": "no-referrer",
    "permissions_policy": "camera=(self), microphone=(), geolocation=()",
}


@router.get("/")
def home(request: Request) -> Response:
    """The console's one page."""
    return send(request, _home(request.scope.get("root_path", "")), **HEADERS)


@cache
def _home(prefix: str) -> StaticFile:
    """The page with its links below `prefix`, where a proxy is known to show the service."""
    page = (WEB / "index.html").read_text("utf-8")
    for name in ("console/", "docs"):
        page = page.replace(f'="{name}', f'="{prefix}/{name}' if prefix else f'="{name}')
    return StaticFile.of(page.encode(), media_type="text/html; charset=utf-8", packs=True)


@router.get("/console/digits.zip")
def digits(request: Request) -> Response:
    """Ten labelled scans of each handwritten digit, to try the service with."""
    return send(request, digits_zip())


@router.get("/console/{name:path}")
def asset(request: Request, name: Annotated[str, InPath(max_length=200)]) -> Response:
    """One file of the console. Raises not_found."""
    if name not in _assets():
        raise HeadstartError("not_found", f"no file {name[:60]!r} belongs to the console")
    return send(request, load(WEB / name))


@cache
def _assets() -> frozenset[str]:
    """Everything that is handed out: names are looked up here, never joined to a path unseen."""
    return frozenset(
        path.relative_to(WEB).as_posix()
        for path in WEB.rglob("*")
        if path.is_file() and path.name != "index.html"
    )
