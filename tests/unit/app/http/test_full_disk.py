"""A disk that is full is said as such, wherever in a request it is met."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.http.gate import Gate, Message, Receive, Scope, Send
from app.http.rates import Rates
from app.infra import storage
from app.infra.database import make_sessions, open_engine
from app.infra.settings import Settings
from tests.unit.app.http.test_gate import Everybody


def answered(error: Exception) -> int:
    """The status that an endpoint's error becomes."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    keys = Everybody(make_sessions(open_engine(f"sqlite:///{Path('nowhere')}")), Settings())
    gate = Gate(broken, keyring=lambda: keys, rates=Rates(), max_body=1, max_upload=1)
    scope = {"type": "http", "method": "GET", "path": "/v1/models/m/audit", "headers": [],
             "state": {"request_id": "req_1"}}  # fmt: skip
    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(gate(scope, receive, send))
    return int(said[0]["status"])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_it_is_507_and_no_fault_of_ours(number: int) -> None:
    assert answered(OSError(number, "no room")) == 507
    assert answered(OSError(errno.EIO, "broken")) == 500


def test_a_scratch_folder_that_cannot_be_made_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(HeadstartError) as caught, storage.scratch(tmp_path):
        pass
    assert caught.value.code == "storage_full"
