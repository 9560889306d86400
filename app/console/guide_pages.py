"""`/guide`: the documentation, plain Markdown that lies in `guide/`, as pages of this service."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

from fastapi import APIRouter, Request
from markdown_it import MarkdownIt
from starlette.responses import RedirectResponse, Response

from app.console.files import StaticFile, send
from app.console.pages import HEADERS
from app.core.errors import HeadstartError

router = APIRouter(tags=["docs"], include_in_schema=False)

FOLDER = Path(__file__).parent / "guide"
CHAPTERS: Mapping[str, tuple[str, ...]] = {
    "Begin": ("quickstart", "concepts"),
    "Tasks": (
        "images",
        "text",
        "several_labels",
        "classes_by_name",
        "groups",
        "thresholds",
        "tuning",
        "deployment",
        "security",
        "when_things_break",
    ),
    "Keep it good": (
        "is_my_model_still_good",
        "retrain_every_night",
        "retrain_from_your_labelling_tool",
        "canary_and_roll_back",
    ),
    "Coming from": ("from_custom_vision", "from_openai", "from_teachable_machine"),
}
PAGES = tuple(name for names in CHAPTERS.values() for name in names)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Headstart</title>
<link rel="icon" href="../console/icon.svg">
<link rel="stylesheet" href="../console/console.css">
<script type="module" src="../console/parts/theme.js"></script>
</head>
<body>
<div class="guide">
<nav aria-label="Guide"><a class="brand" href="../">Headstart</a>{links}
<h2>Reference</h2><a href="../docs">HTTP API</a></nav>
<main class="prose">{text}</main>
</div>
</body>
</html>
"""


@router.get("/guide")
def guide() -> Response:
    """The first page."""
    return RedirectResponse("/guide/" + PAGES[0])


@router.get("/guide/{name}")
def guide_page(request: Request, name: str) -> Response:
    """One page. Raises not_found."""
    if name not in PAGES:
        raise HeadstartError("not_found", f"the guide has no page {name[:60]!r}")
    return send(request, _rendered(name, slash=request.state.slash), **HEADERS)


@cache
def _rendered(name: str, *, slash: bool) -> StaticFile:
    """The page; its links are relative, and begin one folder higher behind a trailing slash."""
    text = MarkdownIt("commonmark").enable("table").render(source(name))
    page = _PAGE.format(title=escape(title_of(name)), links=_links(name), text=_reachable(text))
    if slash:
        page = page.replace("<head>", '<head>\n<base href="../">', 1)
    return StaticFile.of(page.encode(), media_type="text/html; charset=utf-8", packs=True)


@cache
def source(name: str) -> str:
    """A page's Markdown."""
    return (FOLDER / f"{name}.md").read_text("utf-8")


def title_of(name: str) -> str:
    """What a page is called: its first line."""
    return source(name).partition("\n")[0].removeprefix("# ")


def _links(current: str) -> str:
    return "".join(
        f"<h2>{chapter}</h2>" + "".join(_link(name, current) for name in names)
        for chapter, names in CHAPTERS.items()
    )


def _link(name: str, current: str) -> str:
    here = ' aria-current="page"' if name == current else ""
    return f'<a href="{name}"{here}>{escape(title_of(name))}</a>'


def _reachable(text: str) -> str:
    """Links between pages as addresses; and what is wider than the page scrolls by keyboard."""
    framed = text.replace('.md">', '">').replace("<pre>", '<pre tabindex="0">')
    return framed.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
