"""`/docs`: Swagger UI from files of our own, as there may be no network."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, Response

from app.core.errors import HeadstartError

router = APIRouter(tags=["docs"], include_in_schema=False)

STATIC = Path(__file__).parent / "static"
_ASSETS = frozenset(
    {"swagger-ui-bundle.js", "swagger-ui.css", "docs.js", "favicon-32x32.png", "LICENSE", "NOTICE"}
)
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
def docs(request: Request) -> Response:
    """The page, whose links are relative; its policy lets it load nothing from elsewhere."""
    page = (STATIC / "docs.html").read_text()
    if request.state.slash:
        page = page.replace("<head>", '<head>\n<base href="../">', 1)
    return HTMLResponse(page, headers={"content-security-policy": _POLICY})


@router.get("/docs/{asset}")
def docs_asset(asset: str) -> Response:
    """One vendored file. Raises not_found."""
    if asset not in _ASSETS:
        raise HeadstartError("not_found", f"no file {asset[:60]!r} belongs to the docs")
    return FileResponse(STATIC / asset, headers={"cache-control": "max-age=86400"})
