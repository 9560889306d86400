"""How an attempt ends when it does not succeed: the three budgets, and who is told.

A domain error ends the work at once. An unexpected error may happen three times, a crash of the
child under a live parent three times, the loss of a whole worker group twenty times. Being drained
is free.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.job_state import TERMINAL
from app.infra.orm import JobRow
from app.infra.repositories import batches, jobs, versions, work
from app.infra.repositories.work import MAX_CRASHES, MAX_ERRORS, Claim
from worker.trainer.kinds.batch import isolate
from worker.trainer.kinds.embed import version_fault

_DELAY_SECONDS = 1.0
_LONGEST_SECONDS = 60.0


def start(session: Session, claim: Claim) -> bool:
    """Note in the job or batch that it runs; answers whether there is anything left to run."""
    if claim.batch_id is not None:
        return _start_batch(session, claim, claim.batch_id)
    if claim.job_id is None:
        return True
    job = _job(session, claim)
    if job is not None and job.status == "validating_files":
        versions.settle_job(session, job)
    if job is not None and job.status == "queued":
        jobs.advance_job(session, job, "running", quiet=claim.error is not None)
        return True
    if work.held(session, claim):
        work.finish(session, claim, "cancelled")
    return False


def _job(session: Session, claim: Claim) -> JobRow | None:
    """The claim's job, locked; None where it has none, or has one that was deleted."""
    if claim.job_id is None or session.get(JobRow, claim.job_id) is None:
        return None
    return jobs.lock_job(session, claim.job_id)


def _start_batch(session: Session, claim: Claim, batch_id: str) -> bool:
    row = batches.lock_batch(session, batch_id)
    if row.status == "validating_files":
        batches.settle_batch(session, row)
    if row.status == "queued":
        batches.advance(session, row, "running")
    if row.status == "running":
        return True
    if work.held(session, claim):
        work.finish(session, claim, "cancelled")
    return False


def fail(session: Session, claim: Claim, error: HeadstartError) -> None:
    """End the work, and the job, the batch or the version that cannot go on without it."""
    if claim.version_id is not None:
        work.lock_version(session, claim.version_id)
    if claim.batch_id is not None:
        work.lock_batches(session, [claim.batch_id])
    work.finish(session, claim, "failed", jobs.error_body(error))
    if claim.kind == "embed":
        version_fault(session, claim, error)
    job = _job(session, claim)
    if job is not None and job.status not in TERMINAL:
        jobs.advance_job(session, job, "failed", error=error)
    if claim.batch_id is not None:
        row = batches.lock_batch(session, claim.batch_id)
        if row.status not in TERMINAL:
            batches.fail(session, row, error)


def retry(session: Session, claim: Claim, why: str, *, delay: float = 0.0, **spent: int) -> None:
    """Queue the work again after `delay` seconds, at the cost of `errors=` or `crashes=`."""
    work.give_back(session, claim, delay=delay, **spent)
    requeue_job(session, claim, why)


def postpone(session: Session, claim: Claim, error: HeadstartError) -> None:
    """Try again later, and ever later, what is away; the job's history tells each reason once."""
    last = claim.error or {}
    times = int(last.get("times", 0)) + 1
    work.give_back(
        session,
        claim,
        delay=min(_LONGEST_SECONDS, 2.0 ** min(times, 10)),
        error={**jobs.error_body(error), "times": times},
    )
    requeue_job(session, claim, error.message, quiet=last.get("message") == error.message)


def requeue_job(session: Session, claim: Claim, why: str, *, quiet: bool = False) -> None:
    """Say in the job that it waits again."""
    job = _job(session, claim)
    if job is not None and job.status == "running":
        said = f"Job queued again: {why}"
        jobs.advance_job(session, job, "queued", message=said, quiet=quiet)


def crashed(session: Session, claim: Claim, why: str, *, blames_inputs: bool = True) -> None:
    """The child died under us: try again, or give the work up as a poison."""
    crashes = claim.crashes + 1
    if claim.kind == "batch" and blames_inputs and isolate(session, claim, why):
        return
    if crashes < MAX_CRASHES:
        retry(session, claim, why, delay=_DELAY_SECONDS, crashes=crashes)
        return
    fail(session, claim, HeadstartError("worker_lost", f"{why}, {crashes} times in a row"))


def erred(session: Session, claim: Claim, why: str) -> None:
    """Something unexpected was raised: try again, or give up."""
    errors = claim.errors + 1
    if errors < MAX_ERRORS:
        retry(session, claim, why, delay=_DELAY_SECONDS, errors=errors)
        return
    code = "training_failed" if claim.kind == "fine_tune" else "internal"
    fail(session, claim, HeadstartError(code, f"{why}, {errors} times in a row"))


def rescue(session: Session) -> int:
    """Take back what lost workers held; the number of works that are queued again or ended."""
    queued, spent = work.rescue(session)
    for claim in queued:
        requeue_job(session, claim, "its worker was lost")
    for claim in spent:
        lost = f"its worker was lost {claim.losses} times"
        fail(session, claim, HeadstartError("worker_lost", lost))
    return len(queued) + len(spent)
