"""The gate: how large a body may be, by what its route reads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.core.identity import Identity
from app.http.gate import MAX_JSON, Gate, Message, Receive, Scope, Send
from app.http.keyring import Keyring
from app.http.rates import Rates
from app.infra.database import make_sessions, open_engine
from app.infra.settings import MIB, Settings

INPUTS, UPLOAD = 8 * MIB, 16 * MIB
PREDICTIONS = (
    "/v1/models/ft:b:o::1/predictions",
    "/v1/embeddings",
    "/v2/models/m/infer",
    "/v2/models/m/versions/1/infer",
    "/customvision/v3.3/training/projects/p/quicktest/image",
    "/customvision/v3.3/training/projects/p/quicktest/url",
)
UPLOADS = ("/v1/datasets", "/v1/datasets/ds_1/examples", "/v1/files", "/v1/batch_predictions")
DOCUMENTS = (
    "/v1/fine_tuning/jobs",
    "/v1/fine_tuning/jobs/ftjob-1/cancel",
    "/v1/batch_predictions/b/cancel",
    "/v1/api_keys",
    "/v1/aliases/a",
    "/v1/datasets/ds_1/examples/ex_1",
)


class Everybody(Keyring):
    """Knows every key."""

    def recall(self, authorization: str) -> Identity | None:
        return Identity("default", "key", frozenset({"admin"}))


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})


def status(path: str, size: int, *, told: bool, method: str = "POST", most: int = INPUTS) -> int:
    """The answer to a body of this size, which is told in its head or found out."""
    keys = Everybody(make_sessions(open_engine(f"sqlite:///{Path('nowhere')}")), Settings())
    gate = Gate(reads_all, keyring=lambda: keys, rates=Rates(), max_body=most, max_upload=UPLOAD)
    headers = [(b"content-length", str(size).encode())] if told else []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": headers,
        "state": {"request_id": "req_1"},
    }
    pieces = [b"x" * size, b""]
    sent: list[Message] = []

    async def receive() -> Message:
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("paths", "most"), [(PREDICTIONS, INPUTS), (UPLOADS, UPLOAD), (DOCUMENTS, MAX_JSON)]
)
def test_a_body_is_as_large_as_its_route_needs(
    paths: tuple[str, ...], most: int, told: bool
) -> None:
    for path in paths:
        assert status(path, most, told=told) == 200, path
        assert status(path, most + 1, told=told) == 413, path


def test_only_what_is_posted_may_be_large() -> None:
    assert status("/v1/datasets", MAX_JSON + 1, told=True, method="PATCH") == 413
    assert status("/v1/embeddings", MAX_JSON + 1, told=True, method="PUT") == 413


def test_a_smaller_limit_of_the_operators_holds_for_documents_too() -> None:
    assert status("/v1/fine_tuning/jobs", 1001, told=True, most=1000) == 413


@pytest.mark.parametrize("length", [b"\xb2", b"-1", b"9" * 5000, b"x"])
def test_a_length_that_is_none_is_refused(length: bytes) -> None:
    keys = Everybody(make_sessions(open_engine(f"sqlite:///{Path('nowhere')}")), Settings())
    gate = Gate(reads_all, keyring=lambda: keys, rates=Rates(), max_body=INPUTS, max_upload=UPLOAD)
    headers = [(b"content-length", length)]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/embeddings",
        "headers": headers,
        "state": {"request_id": "req_1"},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    assert sent[0]["status"] == 413
