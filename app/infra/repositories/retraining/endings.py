"""What follows from an end: of a job its run's promotion, of a promotion its run's end; and events.

Each is written in the transaction of the end itself, so that none is ever lost.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.promotion.gate import PromotionGate
from app.infra.orm import DatasetVersionRow, HookRow, HookRunRow, JobRow, PromotionRow
from app.infra.repositories.retraining import hook_runs, moves, promotions, webhooks
from app.infra.repositories.retraining.promotions import NewPromotion

_EVENTS = {
    "promoted": "model.promoted",
    "refused": "model.refused",
    "inconclusive": "model.inconclusive",
}


def job_ended(session: Session, job: JobRow) -> None:
    """A job has come to its end: tell so, and let the gate look at what a hook's job has made."""
    told = {
        "id": job.id,
        "object": "fine_tuning.job",
        "status": job.status,
        "training_file": job.dataset_id,
        "fine_tuned_model": job.model_id,
        "error": job.error,
    }
    webhooks.emit(session, f"job.{job.status}", told, organisation_id=job.organisation_id)
    run = hook_runs.of_job(session, job.id)
    if run is None or run.status != "running":
        return
    if job.status != "succeeded":
        why = (job.error or {}).get("message", "see its events")
        hook_runs.finish(session, run, "failed", f"the job {job.status}: {why}")
        return
    try:
        judge(session, session.get_one(HookRow, run.hook_id), run, str(job.model_id))
    except HeadstartError as error:
        hook_runs.finish(session, run, "failed", f"the model cannot be judged: {error.message}")


def judge(
    session: Session, hook: HookRow, run: HookRunRow, candidate: str, *, why: str | None = None
) -> None:
    """Let the gate of a run's hook look at a model; `why` says what for, if it is asked anew.

    Raises what a promotion does, and not_found where the alias was deleted since the trigger: it
    does not come back by itself.
    """
    if is_alias_taken_away(session, hook, run):
        hook.enabled = False
        raise HeadstartError("not_found", taken_away(hook))
    note = f"{run.cause.get('type')} of {hook.name}"
    row = promotions.ask(
        session,
        NewPromotion(
            alias=hook.alias,
            candidate=candidate,
            gate=PromotionGate.model_validate(hook.gate),
            actor=hook.id,
            note=f"{note}: {why}" if why else note,
            run_id=run.id,
        ),
        organisation_id=hook.organisation_id,
    )
    run.promotion_id = row.id


def is_alias_taken_away(session: Session, hook: HookRow, run: HookRunRow) -> bool:
    """Whether the alias was deleted since the run's trigger; one before it is to be made again."""
    of, alias = hook.organisation_id, hook.alias
    return moves.is_taken_away(session, organisation_id=of, alias=alias, since=run.created_at)


def taken_away(hook: HookRow) -> str:
    """What is said of it."""
    told = f"the alias {hook.alias} was deleted since the trigger"
    return f"{told}: the hook is disabled until somebody enables it again"


def promotion_ended(session: Session, row: PromotionRow) -> None:
    """A promotion has its verdict: tell so, and end the run that asked for it."""
    told = {
        "id": row.id,
        "object": "promotion",
        "alias": row.alias,
        "candidate": row.candidate,
        "incumbent": row.incumbent,
        "verdict": row.verdict,
        "reason": row.reason,
        "forced": row.forced,
    }
    type_ = _EVENTS[str(row.verdict)]
    webhooks.emit(session, type_, told, organisation_id=row.organisation_id)
    run = hook_runs.lock(session, row.run_id) if row.run_id else None
    if run is not None:
        status = "failed" if row.status == "failed" else "succeeded"
        hook_runs.finish(session, run, status, f"{row.verdict}: {row.reason}")


def version_ended(session: Session, version: DatasetVersionRow) -> None:
    """A dataset's version has become ready, or has failed."""
    told = {
        "id": version.dataset_id,
        "object": "dataset",
        "version": version.number,
        "status": version.status,
        "num_examples": version.num_examples,
        "error": version.error,
    }
    type_ = f"dataset.{version.status}"
    webhooks.emit(session, type_, told, organisation_id=version.organisation_id)
