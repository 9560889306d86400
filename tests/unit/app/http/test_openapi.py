"""The document is made beside what else is served."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
from fastapi import FastAPI

from app.http.openapi import complete


def test_the_document_is_made_in_a_thread_one_at_a_time_and_below_its_prefix() -> None:
    app, others_served, threads = FastAPI(openapi_url=None), threading.Event(), []

    def slow() -> dict[str, Any]:
        threads.append(threading.active_count())
        assert others_served.wait(10), "the event loop is held up"
        return {"servers": [{"url": "/"}]}

    complete(app)
    app.openapi = slow  # type: ignore[method-assign]

    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, root_path="/below")
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            waiting = [asyncio.create_task(client.get("/openapi.json")) for _ in range(5)]
            await asyncio.sleep(0.01)
            others_served.set()
            return await asyncio.gather(*waiting)

    for answer in asyncio.run(asked()):
        assert answer.json() == {"servers": [{"url": "/below"}]}
    assert len(threads) == 1, "once a prefix"
