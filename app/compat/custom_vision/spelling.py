"""Custom Vision's paths in one spelling: its clients write them in upper and in lower case."""

from __future__ import annotations

from app.http.gate import Application, Receive, Scope, Send

_PREFIX = "/customvision/"


class Spelling:
    """ASGI middleware before the gate, which knows paths in lower case."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the path in lower case, published names as they are."""
        if scope["type"] == "http" and scope["path"][: len(_PREFIX)].lower() == _PREFIX:
            scope = {**scope, "path": lowered(scope["path"])}
        await self.app(scope, receive, send)


def lowered(path: str) -> str:
    """The path in lower case, but for a name that predictions are published under."""
    parts = path.split("/")
    small = [part.lower() for part in parts]
    if small[3:4] == ["prediction"] and "iterations" in small:
        at = small.index("iterations") + 1
        small[at : at + 1] = parts[at : at + 1]
    return "/".join(small)
