"""How the scheduler's work ends when it cannot be done: whoever waits for it is told."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.hooks import service
from app.infra.database import now
from app.infra.orm import WebhookDeliveryRow
from app.infra.repositories import work
from app.infra.repositories.retraining import hook_runs, webhooks
from app.infra.repositories.work import Claim


def spent(session: Session, claim: Claim) -> None:
    """Whoever did it was lost too often: a run or a delivery has failed, a schedule goes on with
    its next time.
    """
    why = f"worker_lost: the app was lost {claim.losses} times while it was at this"
    if "schedule" in claim.payload:
        _pass_by(session, claim, why)
    elif "delivery" in claim.payload:
        _fail_delivery(session, claim, why)
    else:
        give_up(session, claim, why)


def give_up(session: Session, claim: Claim, why: str) -> None:
    """End a run's work for good, and with it the run: its hook's next trigger begins another.

    The hook is locked before the run, as triggers that join it do. Raises LostClaimError.
    """
    _fail(session, claim, why)
    hook_id = hook_runs.hook_of(session, claim.payload["run"])
    if hook_id is not None:
        hook_runs.lock_hook(session, hook_id)
    run = hook_runs.lock(session, claim.payload["run"])
    if run is not None:
        hook_runs.finish(session, run, "failed", why)


def _fail(session: Session, claim: Claim, why: str) -> None:
    work.fail(session, claim, HeadstartError("worker_lost", why))


def _pass_by(session: Session, claim: Claim, why: str) -> None:
    told = claim.payload["schedule"]
    _fail(session, claim, why)
    hook = hook_runs.lock_hook(session, told["hook"])
    if hook is not None and hook.enabled and hook.revision == told["revision"]:
        service.schedule_next(session, hook, told["place"])


def _fail_delivery(session: Session, claim: Claim, why: str) -> None:
    _fail(session, claim, why)
    row = session.get(WebhookDeliveryRow, claim.payload["delivery"])
    if row is None or webhooks.lock(session, row.webhook_id) is None:
        return
    row = session.get(WebhookDeliveryRow, row.id, populate_existing=True)
    if row is not None and row.status == "pending":
        row.status, row.next_at, row.finished_at = "failed", None, now(session)
        row.error = {"status": None, "message": why}
