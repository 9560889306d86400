"""The shortest way from a socket to the predictor: plain ASGI, behind the gate, before the router.

Routing, dependencies and response models took two thirds of a prediction's time in this process
(sampled under load), and a prediction needs none of them. The route in `endpoints` is what the
OpenAPI document shows, and refuses what is no name.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

from app.http.dependencies import Services
from app.http.gate import Application, Receive, Scope, Send
from app.predictions.service import Wanted, predict, storable

PATH = "/v1/models/{model}/predictions"
_PATH = re.compile(r"/v1/models/([A-Za-z0-9._:@-]{1,200})/predictions")
_ROUTE = SimpleNamespace(path=PATH)
"""What the metrics read a route's template from."""


class HotPath:
    """ASGI middleware that answers predictions and passes on everything else."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request if it asks for predictions."""
        match = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if match is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        scope["route"] = _ROUTE
        await answer(scope, receive, send, model=match[1])


async def answer(scope: Scope, receive: Receive, send: Send, *, model: str) -> None:
    """Read the body, ask the predictor, send its bytes on. Raises HeadstartError."""
    held: Services = scope["app"].state.services
    headers = dict(scope["headers"])
    wanted = Wanted(
        model=model,
        identity=scope["state"]["identity"],
        query=scope["query_string"].decode("latin-1"),
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        cache=headers.get(b"x-headstart-cache", b"").decode("latin-1"),
        prefer=headers.get(b"prefer", b"").decode("latin-1"),
        sticky=headers.get(b"x-headstart-key", b"").decode("latin-1"),
        store=storable(headers.get(b"cache-control", b"").decode("latin-1")),
    )
    answered = await predict(held, wanted, receive)
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answered.body)).encode()),
        *((name.encode(), value.encode("latin-1")) for name, value in answered.headers.items()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": answered.body})
