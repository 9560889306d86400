"""Events on their way out: written in the transaction of what they tell, sent by the app later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.infra.database import now
from app.infra.lanes import WEBHOOK
from app.infra.orm import WebhookDeliveryRow, WebhookRow, WorkRow
from app.infra.repositories import work
from app.infra.repositories.picking import IDLE

KIND = WEBHOOK
ALL = "*"
KEPT_SECONDS = 30 * 86_400.0
"""So long a delivery that has ended stays to be looked at."""


def emit(session: Session, type_: str, data: Mapping[str, Any], *, organisation_id: str) -> None:
    """Tell every webhook of the organisation that wants this type; one id for all of them.

    They are held until the commit, so that none goes that a delivery is written for; those that
    have just gone are told nothing. Nobody who deletes one waits for anything that is told of.
    """
    enabled = select(WebhookRow).where(
        WebhookRow.organisation_id == organisation_id, WebhookRow.enabled
    )
    held = enabled.order_by(WebhookRow.id).with_for_update(read=True, key_share=True)
    fresh = {"populate_existing": True}
    wanted = [
        row
        for row in session.execute(held, execution_options=fresh).scalars()
        if type_ in row.events or ALL in row.events
    ]
    if not wanted:
        return
    event_id, body = new_id("evt_"), body_of(session, type_, data)
    for row in wanted:
        add(session, row, event_id=event_id, type_=type_, body=body)


def body_of(session: Session, type_: str, data: Mapping[str, Any]) -> str:
    """An event as it is sent: what has happened, when, and to what."""
    at = datetime.fromtimestamp(now(session), UTC).isoformat()
    return to_json({"type": type_, "timestamp": at, "data": data}).decode()


def add(
    session: Session, webhook: WebhookRow, *, event_id: str, type_: str, body: str
) -> WebhookDeliveryRow:
    """One event for one webhook, to be sent as soon as this is committed."""
    row = WebhookDeliveryRow(
        id=new_id("dlv_"),
        organisation_id=webhook.organisation_id,
        webhook_id=webhook.id,
        event_id=event_id,
        type=type_,
        body=body,
        status="pending",
        attempts=[],
        created_at=now(session),
    )
    session.add(row)
    queue(session, row)
    return row


def queue(session: Session, row: WebhookDeliveryRow) -> None:
    """Have a delivery tried, from its first pause on."""
    row.status, row.next_at, row.finished_at, row.error = "pending", now(session), None, None
    row.work_id = work.add(
        session,
        KIND,
        organisation_id=row.organisation_id,
        payload={"delivery": row.id, "tries": 0, "since": row.next_at},
        priority=IDLE,
    ).id
    session.flush()


def lock(session: Session, webhook_id: str, *, going: bool = False) -> WebhookRow | None:
    """The webhook, which nobody else changes or deletes until the commit; None where it is gone.

    Events may be written for it meanwhile, unless it is `going`. Whoever writes to its deliveries
    locks it before, as who deletes it with them does.
    """
    statement = select(WebhookRow).where(WebhookRow.id == webhook_id)
    statement = statement.with_for_update(key_share=not going)
    return session.execute(statement, execution_options={"populate_existing": True}).scalar()


def postpone(session: Session, webhook: WebhookRow, *, until: float) -> None:
    """Try nothing of a locked webhook before then: each of its deliveries would be as slow."""
    mine = (
        WebhookDeliveryRow.organisation_id == webhook.organisation_id,
        WebhookDeliveryRow.webhook_id == webhook.id,
        WebhookDeliveryRow.status == "pending",
    )
    session.execute(
        update(WorkRow)
        .where(WorkRow.id.in_(select(WebhookDeliveryRow.work_id).where(*mine)))
        .where(WorkRow.state == "queued", WorkRow.not_before < until)
        .values(not_before=until)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(WebhookDeliveryRow)
        .where(*mine, WebhookDeliveryRow.next_at < until)
        .values(next_at=until)
        .execution_options(synchronize_session="fetch")
    )


def get(session: Session, webhook_id: str, *, organisation_id: str) -> WebhookRow:
    """One webhook. Raises not_found."""
    row = session.get(WebhookRow, webhook_id, populate_existing=True)
    return _own(row, organisation_id)


def held(
    session: Session, webhook_id: str, *, organisation_id: str, going: bool = False
) -> WebhookRow:
    """The same, locked (`lock`) for who is about to change or delete it. Raises not_found."""
    _own(session.get(WebhookRow, webhook_id), organisation_id)  # nobody locks another's
    return _own(lock(session, webhook_id, going=going), organisation_id)


def _own(row: WebhookRow | None, organisation_id: str) -> WebhookRow:
    if row is None or row.organisation_id != organisation_id:
        raise HeadstartError("not_found", "there is no such webhook")
    return row


def listing(
    session: Session, *, organisation_id: str, after: str | None, limit: int
) -> list[WebhookRow]:
    """At most `limit` webhooks, newest first, those before `after`."""
    statement = select(WebhookRow).where(WebhookRow.organisation_id == organisation_id)
    if after is not None:
        statement = statement.where(WebhookRow.id < after)
    return list(session.scalars(statement.order_by(WebhookRow.id.desc()).limit(limit)))


def count(session: Session, *, organisation_id: str) -> int:
    """How many webhooks the organisation has."""
    statement = select(func.count()).where(WebhookRow.organisation_id == organisation_id)
    return int(session.scalars(statement).one())


def pending(session: Session, webhook: WebhookRow, *, type_: str) -> int:
    """How many of its events of a type are still on their way."""
    of = WebhookDeliveryRow
    mine = select(func.count()).where(of.webhook_id == webhook.id, of.status == "pending")
    return int(session.scalars(mine.where(of.type == type_)).one())


def deliveries(
    session: Session, webhook: WebhookRow, *, after: str | None, limit: int
) -> list[WebhookDeliveryRow]:
    """At most `limit` deliveries, newest first, those before `after`."""
    statement = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook.id)
    if after is not None:
        statement = statement.where(WebhookDeliveryRow.id < after)
    return list(session.scalars(statement.order_by(WebhookDeliveryRow.id.desc()).limit(limit)))


def delivery(session: Session, webhook: WebhookRow, delivery_id: str) -> WebhookDeliveryRow:
    """One delivery of a webhook. Raises not_found."""
    row = session.get(WebhookDeliveryRow, delivery_id, populate_existing=True)
    if row is None or row.webhook_id != webhook.id:
        raise HeadstartError("not_found", "there is no such delivery")
    return row


def prune(session: Session, *, limit: int) -> int:
    """Drop some deliveries that ended long ago. How many."""
    old = WebhookDeliveryRow.finished_at < now(session) - KEPT_SECONDS
    ids = list(session.scalars(select(WebhookDeliveryRow.id).where(old).limit(limit)))
    session.execute(
        delete(WebhookDeliveryRow)
        .where(WebhookDeliveryRow.id.in_(ids))
        .execution_options(synchronize_session=False)
    )
    return len(ids)
