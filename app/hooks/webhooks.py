"""`/v1/webhooks`: where events are sent to, what was sent, and sending it again."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Response

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.times import whole
from app.hooks import outbound
from app.hooks.service import new_secret
from app.hooks.webhook_schemas import (
    NewWebhook,
    WebhookChange,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookWithSecret,
)
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing
from app.http.idempotency import IdempotencyDep, mark, once
from app.http.openapi import DeletedObject, path_id, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.infra.database import now
from app.infra.orm import WebhookDeliveryRow, WebhookRow
from app.infra.repositories import idempotency, sealing
from app.infra.repositories.idempotency import Reply
from app.infra.repositories.retraining import webhooks
from app.infra.settings import split_list

router = APIRouter(route_class=StrictRoute, prefix="/v1/webhooks", tags=["webhooks"])

MOST = 100
MOST_TESTS = 10
"""Test events of a webhook that are on their way at once."""
_TEST = "webhook.test"
FORMER_SECONDS = 86_400.0
"""So long deliveries are signed with the old secret too."""
WebhookId = Annotated[str, path_id("The webhook's id.", "we_01ke4db16v8x0z2b4d6f8h0k2m")]
DeliveryId = Annotated[str, path_id("The delivery's id.", "dlv_01ke4dc27x9z1b3d5f7h9k1m3p")]


@router.post(
    "",
    status_code=201,
    responses=problems(
        "unsafe_webhook_url",
        "invalid_value",
        "idempotency_mismatch",
        "secrets_key_missing",
        "secret_unreadable",
        "invalid_json",
        "bad_request",
    ),
)
def create_webhook(
    *,
    body: NewWebhook,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    key: IdempotencyDep,
) -> WebhookWithSecret:
    """Have events sent to an address from now on, signed (Standard Webhooks) with the secret that
    is told here once.
    """
    _check(services, body.url)
    with writing(services) as session:

        def effect() -> Reply:
            if webhooks.count(session, organisation_id=caller.organisation_id) >= MOST:
                raise HeadstartError("invalid_value", f"there are {MOST} webhooks already")
            at, secret = now(session), new_secret()
            row = WebhookRow(
                id=new_id("we_"),
                organisation_id=caller.organisation_id,
                enabled=True,
                created_at=at,
                updated_at=at,
                **body.model_dump(),
            )
            row.secret = sealing.kept(session, services.vault, secret, row)
            session.add(row)
            session.flush()
            told = webhook_of(row).model_dump(mode="json") | {"secret": secret}
            return Reply(status=201, body=told)

        reply, replayed = once(session, key, effect, vault=services.vault)
    mark(response, replayed=replayed)
    made = WebhookWithSecret.model_validate(reply.body)
    response.headers["location"] = f"{router.prefix}/{made.id}"
    return made


def _check(services: Services, url: str) -> None:
    outbound.check_url(url, outbound.networks(split_list(services.settings.webhook_networks)))


@router.get("")
def list_webhooks(
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("we_")] = None,
    limit: Limit = 20,
) -> Page[WebhookEndpoint]:
    """The organisation's webhooks, newest first."""
    rows = webhooks.listing(
        session, organisation_id=caller.organisation_id, after=after, limit=limit + 1
    )
    return page(rows, limit, webhook_of)


@router.get("/{webhook_id}", responses=problems("not_found"))
def get_webhook(webhook_id: WebhookId, caller: Reader, session: Reading) -> WebhookEndpoint:
    """One webhook."""
    return webhook_of(webhooks.get(session, webhook_id, organisation_id=caller.organisation_id))


@router.patch(
    "/{webhook_id}", responses=problems("not_found", "unsafe_webhook_url", "invalid_json")
)
def change_webhook(
    webhook_id: WebhookId, body: WebhookChange, caller: Writer, services: ServicesDep
) -> WebhookEndpoint:
    """Change what is named. What is pending goes to the new address."""
    if body.url is not None:
        _check(services, body.url)
    with writing(services) as session:
        row = webhooks.held(session, webhook_id, organisation_id=caller.organisation_id)
        for field, value in body.model_dump(exclude_none=True).items():
            setattr(row, field, value)
        if body.enabled:
            row.disabled_reason = None
        row.updated_at = now(session)
        session.flush()
        return webhook_of(row)


@router.delete("/{webhook_id}", responses=problems("not_found"))
def delete_webhook(webhook_id: WebhookId, caller: Writer, services: ServicesDep) -> DeletedObject:
    """Send nothing more, and forget what was sent."""
    with writing(services) as session:
        whose = {"organisation_id": caller.organisation_id}
        row = webhooks.held(session, webhook_id, going=True, **whose)
        session.delete(row)
        idempotency.forget(session, caller.organisation_id, named=webhook_id)
    return DeletedObject(id=webhook_id, object="webhook")


@router.post("/{webhook_id}/secret", responses=problems("not_found", "secrets_key_missing"))
def renew_webhook_secret(
    webhook_id: WebhookId, caller: Writer, services: ServicesDep
) -> WebhookWithSecret:
    """A new secret. For a day deliveries are signed with both, so that nothing is missed."""
    with writing(services) as session:
        row = webhooks.held(session, webhook_id, organisation_id=caller.organisation_id)
        row.former_secret, row.former_until = row.secret, now(session) + FORMER_SECONDS
        secret = new_secret()
        row.secret = sealing.kept(session, services.vault, secret, row)
        return WebhookWithSecret(**webhook_of(row).model_dump(), secret=secret)


@router.post(
    "/{webhook_id}/test", status_code=202, responses=problems("not_found", "quota_exceeded")
)
def test_webhook(webhook_id: WebhookId, caller: Writer, services: ServicesDep) -> WebhookDelivery:
    """Send an event that means nothing, of type `webhook.test`; at most ten are on their way."""
    with writing(services) as session:
        row = webhooks.held(session, webhook_id, organisation_id=caller.organisation_id)
        if webhooks.pending(session, row, type_=_TEST) >= MOST_TESTS:
            why = f"{MOST_TESTS} test events of this webhook are still on their way"
            raise HeadstartError("quota_exceeded", why)
        event_id = new_id("evt_")
        body = webhooks.body_of(session, _TEST, {"webhook": row.id})
        return delivery_of(webhooks.add(session, row, event_id=event_id, type_=_TEST, body=body))


@router.get("/{webhook_id}/deliveries", responses=problems("not_found"))
def list_deliveries(
    webhook_id: WebhookId,
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("dlv_")] = None,
    limit: Limit = 20,
) -> Page[WebhookDelivery]:
    """What was sent and how each try ended, newest first."""
    row = webhooks.get(session, webhook_id, organisation_id=caller.organisation_id)
    rows = webhooks.deliveries(session, row, after=after, limit=limit + 1)
    return page(rows, limit, delivery_of)


@router.get("/{webhook_id}/deliveries/{delivery_id}", responses=problems("not_found"))
def get_delivery(
    webhook_id: WebhookId, delivery_id: DeliveryId, caller: Reader, session: Reading
) -> WebhookDelivery:
    """One delivery."""
    row = webhooks.get(session, webhook_id, organisation_id=caller.organisation_id)
    return delivery_of(webhooks.delivery(session, row, delivery_id))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    responses=problems("not_found", "invalid_transition"),
)
def redeliver(
    webhook_id: WebhookId, delivery_id: DeliveryId, caller: Writer, services: ServicesDep
) -> WebhookDelivery:
    """Send an event again, under the same `webhook-id`; one that is pending is tried as it is."""
    with writing(services) as session:
        row = webhooks.held(session, webhook_id, organisation_id=caller.organisation_id)
        found = webhooks.delivery(session, row, delivery_id)
        if found.status == "pending":
            why = "the delivery is pending, and will be tried again by itself"
            raise HeadstartError("invalid_transition", why, param="status")
        webhooks.queue(session, found)
        return delivery_of(found)


def webhook_of(row: WebhookRow) -> WebhookEndpoint:
    """A webhook as its caller sees it."""
    return WebhookEndpoint(
        id=row.id,
        url=row.url,
        events=row.events,
        description=row.description,
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        created_at=int(row.created_at),
        updated_at=int(row.updated_at),
    )


def delivery_of(row: WebhookDeliveryRow) -> WebhookDelivery:
    """A delivery as its caller sees it."""
    status: Any = row.status
    return WebhookDelivery(
        id=row.id,
        webhook=row.webhook_id,
        event=row.event_id,
        type=row.type,
        status=status,
        attempts=row.attempts,
        next_at=whole(row.next_at),
        payload=json.loads(row.body),
        created_at=int(row.created_at),
        finished_at=whole(row.finished_at),
    )
