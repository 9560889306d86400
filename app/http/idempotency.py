"""Idempotency-Key on POSTs: the same key has one effect, and every caller gets its answer.

Of JSON requests, `once()` writes the key's row in the transaction of the effect; whoever comes
second waits for that commit and gets the stored answer. Uploads lease theirs: `uploads.receipts`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.infra.database import Sessions, reading
from app.infra.orm import IdempotencyRow
from app.infra.repositories import idempotency, sealing
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.infra.vault import Vault

REPLAYED = "idempotent-replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Repeat a request with the same key and it takes effect once; its answer is "
        "repeated for a day. 1 to 255 visible ASCII characters.",
        examples=["7c0f5a0e-1f7e-4a51-9f2b-0a8d1c1f5b11"],
        json_schema_extra={"pattern": "^[!-~]+$", "minLength": 1, "maxLength": 255},
    ),
]


def key_of(request: Request, header: str | None, *, content: bytes) -> IdempotencyKey | None:
    """The request's key, if it has one; `content` tells two requests apart. Raises bad_request."""
    if header is None:
        return None
    if not _KEY.fullmatch(header):
        raise HeadstartError(
            "bad_request",
            "an Idempotency-Key has 1 to 255 visible ASCII characters",
            param="Idempotency-Key",
        )
    identity = request.state.identity
    assert isinstance(identity, Identity)
    what = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + content
    return IdempotencyKey(
        organisation_id=identity.organisation_id,
        value=header,
        request_sha256=hashlib.sha256(what).hexdigest(),
    )


async def _of_json(request: Request, header: KeyHeader = None) -> IdempotencyKey | None:
    if header is None:
        return None
    try:
        body = await request.json() if await request.body() else None
    except json.JSONDecodeError as error:
        raise HeadstartError("invalid_json", str(error)) from error
    return key_of(request, header, content=json.dumps(body, sort_keys=True).encode())


IdempotencyDep = Annotated[IdempotencyKey | None, Depends(_of_json)]
"""The Idempotency-Key of a JSON request."""


def once(
    session: Session,
    key: IdempotencyKey | None,
    effect: Callable[[], Reply],
    *,
    vault: Vault | None = None,
) -> tuple[Reply, bool]:
    """The answer of `effect`, which runs unless its key has had it, and whether it is a replay.

    `vault` seals the secret of one that has a secret, while it is kept. Raises idempotency_mismatch
    where the key came with another request.
    """
    if key is None:
        return effect(), False
    if not idempotency.insert(session, key):
        found = stored(idempotency.find(session, key), key)
        return sealing.told_answer(vault, key, found) if vault else found, True
    reply = effect()
    kept = sealing.kept_answer(session, vault, key, reply) if vault else reply
    idempotency.answer(session, key, kept)
    return reply, False


def replay(sessions: Sessions, key: IdempotencyKey | None) -> Reply | None:
    """The stored answer, looked up without waiting for any writer. Raises idempotency_mismatch."""
    if key is None:
        return None
    with reading(sessions) as session:
        row = idempotency.find(session, key)
        return stored(row, key) if row is not None and row.status is not None else None


def mark(response: Response, *, replayed: bool) -> None:
    """Say on a replayed answer that it is one."""
    if replayed:
        response.headers[REPLAYED] = "true"


def stored(row: IdempotencyRow | None, key: IdempotencyKey, *, at: float | None = None) -> Reply:
    """What the key's row says was answered. Raises idempotency_mismatch, in_flight; `at` is now, by
    the database's clock.
    """
    if row is not None and row.request_sha256 != key.request_sha256:
        raise HeadstartError(
            "idempotency_mismatch",
            "this Idempotency-Key came with another request before",
            param="Idempotency-Key",
        )
    if row is None or row.status is None:
        raise in_flight(row, at=at)
    return Reply(status=row.status, body=row.response or {})


def in_flight(row: IdempotencyRow | None = None, *, at: float | None = None) -> HeadstartError:
    """Somebody else has this key, and no answer yet: after its lease there is one, or it is free,
    unless bytes still arrive.
    """
    lease = row.lease_until if row is not None else None
    rest = 0.0 if lease is None or at is None else lease - at
    return HeadstartError(
        "in_flight",
        "a request with this Idempotency-Key is still in flight",
        retry_after=max(1, math.ceil(rest)),
    )
