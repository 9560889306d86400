"""Calls to a hook: with a key, or signed with the hook's secret as Standard Webhooks has it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.hooks.schemas import TriggerCall
from app.http.strict_json import parse
from app.infra.database import now
from app.infra.orm import HookMessageRow, HookRow

_REMEMBERED_SECONDS = 900.0
"""A message that is older than five minutes is refused by its timestamp."""
_MOST_ID = 256


def verify(secret: str, body: bytes, headers: Mapping[str, str]) -> str:
    """The message's id, if the hook's secret has signed this body lately. Raises unauthenticated.

    The answer is the same whatever is wrong, but for who has the secret and not the time.
    """
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        raise _out_of_time(secret, body, headers) or refused() from error
    message_id = headers.get("webhook-id", "")
    if not 0 < len(message_id) <= _MOST_ID:
        raise refused()
    return message_id


def _out_of_time(secret: str, body: bytes, headers: Mapping[str, str]) -> HeadstartError | None:
    """What to say to who signed this body with the secret, at a time that is not now."""
    try:
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)
        right = Webhook(secret).sign(headers["webhook-id"], at, body.decode())
    except (KeyError, ValueError, OverflowError, OSError):
        return None
    told = headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(one.encode(), right.encode()) for one in told):
        return None
    off = round((at - datetime.now(UTC)).total_seconds())
    why = (
        f"the signature is right, but webhook-timestamp is {abs(off):,} s "
        f"{'ahead of' if off > 0 else 'behind'} this server's clock, and 300 s are allowed: "
        "sign each call when it is sent, and set the caller's clock"
    )
    return HeadstartError("unauthenticated", why, param="webhook-timestamp")


def refused() -> HeadstartError:
    """The answer to who has neither a key nor the secret, whether there is such a hook or not."""
    return HeadstartError("unauthenticated", "neither a key nor this hook's signature")


def take(session: Session, row: HookRow, message_id: str) -> None:
    """Remember a signed message. Raises replayed where it was taken before."""
    at = now(session)
    old = HookMessageRow.created_at < at - _REMEMBERED_SECONDS
    session.execute(delete(HookMessageRow).where(HookMessageRow.hook_id == row.id, old))
    message = HookMessageRow(hook_id=row.id, message_id=message_id, created_at=at)
    try:
        with session.begin_nested():
            session.add(message)
    except IntegrityError as error:
        raise HeadstartError("replayed", "this signed message was taken before") from error


def call_of(body: bytes) -> TriggerCall:
    """What the body says; one that is no JSON object says nothing. Raises invalid_request."""
    try:
        value: Any = parse(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise HeadstartError("invalid_json", str(error)) from error
    if not isinstance(value, dict):
        return TriggerCall()
    try:
        return TriggerCall.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"])
        raise HeadstartError("invalid_request", f"{param}: {first['msg']}", param=param) from error


def cause(identity: Identity | None, message_id: str | None, call: TriggerCall) -> dict[str, Any]:
    """Why the run is asked for."""
    told: dict[str, Any] = {"type": "inbound"}
    if identity is not None:
        told["by"] = identity.key_id
    if message_id is not None:
        told["message"] = message_id
    if call.reason:
        told["reason"] = call.reason
    if call.force:
        told["force"] = True
    return told
