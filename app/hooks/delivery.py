"""One event to one webhook: signed as Standard Webhooks has it, tried again for three days."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import structlog
from standardwebhooks.webhooks import Webhook

from app.core.errors import HeadstartError
from app.hooks import outbound
from app.http.dependencies import Services, writing
from app.infra.database import now, reading
from app.infra.orm import WebhookDeliveryRow, WebhookRow
from app.infra.repositories import sealing, work
from app.infra.repositories.retraining import webhooks
from app.infra.repositories.work import Claim
from app.infra.settings import split_list

PAUSES: Sequence[float] = (
    5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
)  # fmt: skip
"""Seconds before each further try; after the last one a delivery has failed."""
SLOW_SECONDS = 60.0
"""So long at least what waits for a receiver waits on, once it has let the time run out."""
_GIVE_UP_SECONDS = 4 * 86_400.0
"""A try so long after the event was queued is its last: it may have waited behind others."""
_GONE = 410
_SHOWN = 200
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one try ended: an HTTP status, or the error that kept one from coming."""

    seconds: float
    status: int | None = None
    error: str | None = None
    final: bool = False
    """Whether trying again would be of no use."""
    slow: bool = False
    """Whether the receiver let the time run out."""

    @property
    def arrived(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300

    def told(self, at: float) -> dict[str, Any]:
        """As the delivery's log has it."""
        return {"at": at, "status": self.status, "error": self.error,
                "seconds": round(self.seconds, 3)}  # fmt: skip


def deliver(services: Services, claim: Claim) -> None:
    """Try a delivery once, and write down how it ended, under the fence."""
    with reading(services.sessions) as session:
        row = session.get(WebhookDeliveryRow, claim.payload["delivery"])
        webhook = session.get(WebhookRow, row.webhook_id) if row is not None else None
        at = now(session)
    if row is None or webhook is None or row.status != "pending":
        _drop(services, claim)
        return
    disabled = Outcome(seconds=0.0, error="the webhook is disabled", final=True)
    outcome = send(services, webhook, row, at=at) if webhook.enabled else disabled
    with writing(services) as session:
        work.hold(session, claim)
        target = webhooks.lock(session, webhook.id)
        fresh = session.get(WebhookDeliveryRow, row.id, populate_existing=True)
        if fresh is None or target is None:
            work.finish(session, claim)
            return
        fresh.attempts = [*fresh.attempts, outcome.told(at)]
        tries = int(claim.payload["tries"]) + 1
        late = at - claim.payload.get("since", at) > _GIVE_UP_SECONDS
        if outcome.slow:
            session.flush()
            webhooks.postpone(session, target, until=now(session) + SLOW_SECONDS)
        if outcome.arrived or outcome.final or late or tries > len(PAUSES) or not target.enabled:
            work.finish(session, claim)
            _end(fresh, target, outcome, at=now(session))
            return
        pause = max(PAUSES[tries - 1], SLOW_SECONDS if outcome.slow else 0.0)
        fresh.next_at = now(session) + pause
        work.give_back(session, claim, delay=pause, payload={**claim.payload, "tries": tries})


def _end(row: WebhookDeliveryRow, webhook: WebhookRow, outcome: Outcome, *, at: float) -> None:
    row.status = "succeeded" if outcome.arrived else "failed"
    row.next_at, row.finished_at = None, at
    if not outcome.arrived:
        row.error = {"status": outcome.status, "message": outcome.error or "it was not taken"}
    if outcome.status == _GONE:
        webhook.enabled, webhook.disabled_reason = False, "the receiver answered 410 Gone"


def _drop(services: Services, claim: Claim) -> None:
    with writing(services) as session:
        work.finish(session, claim, "cancelled")


def send(services: Services, webhook: WebhookRow, row: WebhookDeliveryRow, *, at: float) -> Outcome:
    """One try; whatever happens to it is an outcome."""
    body, began = row.body.encode(), time.monotonic()
    allowed = outbound.networks(split_list(services.settings.webhook_networks))
    try:
        secrets = _secrets(services, webhook, at=at)
        reply = outbound.post(webhook.url, body, headers(secrets, row, at=at), allowed)
    except HeadstartError as error:
        return Outcome(seconds=time.monotonic() - began, error=error.message)
    except TimeoutError:
        seconds = time.monotonic() - began
        return Outcome(seconds=seconds, error="no answer within 15 seconds", slow=True)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        told = f"{type(error).__name__}: {error}"[:_SHOWN]
        slow = isinstance(error, httpx.TimeoutException)
        return Outcome(seconds=time.monotonic() - began, error=told, slow=slow)
    seconds = time.monotonic() - began
    if 200 <= reply.status < 300:
        return Outcome(seconds=seconds, status=reply.status)
    said = reply.body[:_SHOWN].decode(errors="replace").replace("\0", "")
    return Outcome(seconds=seconds, status=reply.status, error=said, final=reply.status == _GONE)


def _secrets(services: Services, webhook: WebhookRow, *, at: float) -> list[str]:
    """What signs; while a secret is being replaced, both. Raises secret_unreadable.

    A former one that cannot be opened does not keep what the new one signs from being sent.
    """
    told = [sealing.told(services.vault, webhook.secret, webhook)]
    if webhook.former_secret and webhook.former_until and webhook.former_until > at:
        try:
            told.append(sealing.told(services.vault, webhook.former_secret, webhook))
        except HeadstartError as error:
            log.warning("a former secret signs no more", webhook=webhook.id, reason=error)
    return told


def headers(secrets: Sequence[str], row: WebhookDeliveryRow, *, at: float) -> dict[str, str]:
    """The message's headers, with a signature by each secret."""
    moment = datetime.fromtimestamp(at, UTC)
    signed = [Webhook(secret).sign(row.event_id, moment, row.body) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "headstart-webhooks/1",
        "webhook-id": row.event_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signed),
    }
