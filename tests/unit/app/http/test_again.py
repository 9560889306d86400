"""Which requests are handled anew, by a small app of strict routes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.core.errors import HeadstartError
from app.http.exception_handlers import register
from app.http.routes import StrictRoute
from app.infra.database import Sessions, database_errors, make_sessions, open_engine, transaction

STATE = {"request_id": "req_1"}


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'some.db'}")
    yield make_sessions(engine)
    engine.dispose()


class Faults:
    """What handlers run into, one a try, and how often they were tried."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.tries = list(errors), 0

    def meet(self) -> None:
        self.tries += 1
        if self.errors:
            with database_errors():
                raise self.errors.pop(0)


def locked() -> OperationalError:
    return OperationalError("", {}, sqlite3.OperationalError("database is locked"))


def named_nothing() -> IntegrityError:
    driver = sqlite3.IntegrityError("FOREIGN KEY constraint failed")
    driver.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
    return IntegrityError("INSERT INTO naming", {}, driver)


def app(faults: Faults, sessions: Sessions) -> FastAPI:
    router, made = APIRouter(route_class=StrictRoute), FastAPI()

    @router.post("/plain")
    async def plain(body: dict[str, int]) -> dict[str, int]:
        faults.meet()
        return body

    @router.post("/streamed", openapi_extra={"requestBody": {}})
    async def streamed(request: Request) -> int:
        size = 0
        async for part in request.stream():
            size += len(part)
        faults.meet()
        return size

    @router.post("/committed")
    def committed() -> str:
        with transaction(sessions) as session:
            session.execute(text("SELECT 1"))
        faults.meet()
        return "done"

    made.include_router(router)
    register(made)
    return made


async def post(faults: Faults, sessions: Sessions, path: str) -> httpx.Response:
    served = app(faults, sessions)

    async def with_state(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
        await served({**scope, "state": dict(STATE)}, receive, send)  # type: ignore[arg-type]

    transport = httpx.ASGITransport(with_state)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        said = None if path == "/committed" else {"a": 1}
        return await client.post(path, json=said)


@pytest.mark.anyio
async def test_the_same_body_is_read_again(sessions: Sessions) -> None:
    faults = Faults(locked(), named_nothing())
    answer = await post(faults, sessions, "/plain")
    assert (answer.status_code, answer.json(), faults.tries) == (200, {"a": 1}, 3)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/streamed", "/committed"])
async def test_what_cannot_be_read_again_or_stands_is_told(sessions: Sessions, path: str) -> None:
    faults = Faults(locked())
    answer = await post(faults, sessions, path)
    assert (answer.json()["code"], faults.tries) == ("database_busy", 1)


@pytest.mark.anyio
async def test_a_refusal_stands(sessions: Sessions) -> None:
    faults = Faults(HeadstartError("not_found"))
    assert (await post(faults, sessions, "/plain")).status_code == 404
    assert faults.tries == 1


@pytest.mark.anyio
async def test_it_ends(sessions: Sessions) -> None:
    faults = Faults(*(locked() for _ in range(20)))
    assert (await post(faults, sessions, "/plain")).json()["code"] == "database_busy"
    assert faults.tries < 10
