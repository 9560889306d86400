"""Lists that the service answers page by page, as long as somebody wants them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import httpx
import typer

from app.cli.options import console

_PAGE = 100
Limit = Annotated[int, typer.Option(min=1, help="So many, newest first.")]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]


def every(client: httpx.Client, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    """All items of a list, a page at a time."""
    after: dict[str, str] = {}
    while True:
        asked = {"limit": _PAGE, **params, **after}
        told = client.get(path, params=asked).json()
        yield from told["data"]
        if not told["has_more"] or not told["data"]:
            return
        after = {"after": str(told["data"][-1]["id"])}


def first(
    client: httpx.Client, path: str, *, limit: int, everything: bool, **params: Any
) -> tuple[list[dict[str, Any]], bool]:
    """The first items of a list, or all, and whether there are more."""
    found = every(client, path, **params)
    if everything:
        return list(found), False
    kept = list(islice(found, limit))
    return kept, next(found, None) is not None


def tell_more(more: bool, shown: int) -> None:
    """Say on standard error that the list goes on."""
    if more:
        console.print(f"These are the newest {shown}: --limit {5 * shown} shows more, --all all")
