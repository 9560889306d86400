"""A fine-tuning job: gather cached embeddings, fit and evaluate in the tensor process, register.

The artifact is durable before the one transaction that makes model, checkpoints, events and the
job's success visible together, under the fence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.core import hyperparameters
from app.core.errors import HeadstartError
from app.core.job_state import TERMINAL
from app.core.manifest import Example
from app.infra import storage_keys
from app.infra.database import now
from app.infra.orm import JobRow, ModelRow
from app.infra.repositories import embeddings, jobs, versions, work
from app.infra.repositories.work import Claim
from app.infra.storage import scratch
from worker.formats import models
from worker.formats.models import Artifact
from worker.trainer.attempt import Attempt
from worker.trainer.inputs import job_data, other_datasets
from worker.trainer.inputs.embed_missing import items
from worker.trainer.inputs.features import Features, Gatherer
from worker.trainer.inputs.job_data import JobData
from worker.trainer.journal import Journal
from worker.trainer.model_card import card_of, final_metrics, model_id, name_of
from worker.trainer.tensor_process import EngineFacts


def run(attempt: Attempt) -> None:
    """Do the job and commit its success; what it had to tell is kept when it fails."""
    data = job_data.load(attempt)
    journal = Journal(attempt, dict(data.rows.job.progress or {}))
    try:
        _run(attempt, data, journal)
    except HeadstartError as error:
        if error.code != "storage_full":
            journal.flush()
        raise


def _run(attempt: Attempt, data: JobData, journal: Journal) -> None:
    facts = attempt.engine(data.rows.job.backbone)
    if facts.modality != data.modality:
        raise HeadstartError(
            "modality_mismatch",
            f"{facts.backbone} reads {facts.modality}, the dataset holds {data.modality}",
        )
    gatherer = Gatherer(attempt, facts, data, journal)
    features = gatherer.collect()
    data = gatherer.data
    _announce(journal, data, features, new=gatherer.new)
    with scratch(attempt.staging) as folder:
        result = attempt.ask(_request(attempt, facts, data, features, folder), journal.hear)
        passes = journal.progress["embedding"]
        card = card_of(data, facts, result, views=list(features), passes=passes)
        artifact = models.write(attempt.context.storage, folder, _prefix(attempt), card)
    if journal.steps == 0:
        journal.checkpoint(1, final_metrics(result["evaluation"]))
    journal.progress |= {"stage": "done", "done": journal.progress["total"]}
    used = {segment for view in features.values() for segment in view.segments}

    def register(session: Session) -> None:
        work.finish(session, attempt.claim)
        journal.write(session)
        embeddings.touch(session, used)
        _register(session, data, artifact)

    attempt.commit(register)


def _announce(
    journal: Journal, data: JobData, features: Mapping[str, Features], *, new: int
) -> None:
    """Say which views are used, and how many of their embeddings were made for this job."""
    for warning in data.warnings:
        journal.say(warning, "warn")
    used = sum(len(view.places) for view in features.values())
    made = min(used, (journal.progress.get("embedding") or {}).get("new", 0) + new)
    journal.progress["views"] = list(features)
    journal.progress["embedding"] = {"new": made, "cached": used - made}
    journal.say(
        f"Fitting on {len(data.train)} examples of {len(data.classes)} classes,"
        f" views {', '.join(features)}: {made} new backbone passes, {used - made} cached"
    )
    journal.stage("fitting", done=0, total=len(data.train))


def _request(
    attempt: Attempt,
    facts: EngineFacts,
    data: JobData,
    features: Mapping[str, Features],
    folder: Path,
) -> dict[str, Any]:
    job = data.rows.job
    return {
        "op": "fit",
        "backbone": facts.backbone,
        "method": job.method,
        "hyperparameters": job.hyperparameters,
        "seed": job.seed,
        "support": support_of(attempt, data, data.train, features),
        "validation": support_of(attempt, data, data.validation, features)
        if data.validation
        else None,
        "others": other_datasets.supports(attempt, facts, data) if job.method == "reptile" else [],
        "out": str(folder / models.HEAD),
    }


def support_of(
    attempt: Attempt,
    data: JobData,
    examples: Sequence[Example],
    features: Mapping[str, Features],
) -> dict[str, Any]:
    """Examples as the tensor process reads them; texts come from their packs."""
    described = job_data.labels(examples, data.classes)
    described["views"] = {view: one.rows(examples) for view, one in features.items()}
    if data.modality == "text":
        described["texts"] = items(attempt, attempt.claim.organisation_id, examples)
    return described


def _prefix(attempt: Attempt) -> str:
    claim = attempt.claim
    assert claim.job_id is not None
    return storage_keys.artifact(
        organisation_id=claim.organisation_id, name=name_of(claim.job_id), fence=claim.fence
    )


def _register(session: Session, data: JobData, artifact: Artifact) -> None:
    """The model, and its job's success; the job's hyperparameters can make the next one."""
    job = jobs.lock_job(session, data.rows.job.id)
    job.model_id = model_id(data)
    used = hyperparameters.askable(job.method, artifact.card["hyperparameters"])
    job.resolved = {**job.hyperparameters, **used}
    session.add(
        ModelRow(
            id=job.model_id,
            organisation_id=job.organisation_id,
            job_id=job.id,
            backbone=job.backbone,
            modality=data.modality,
            method=job.method,
            version_id=job.version_id,
            artifact=artifact.prefix,
            sha256=artifact.sha256,
            bytes=artifact.size,
            card=dict(artifact.card),
            evaluation=artifact.card["evaluation"],
            created_at=now(session),
        )
    )
    jobs.advance_job(session, job, "succeeded")


def begin(session: Session, claim: Claim) -> bool:
    """Note in the job that it runs; False where it has ended or was deleted."""
    job = _job(session, claim)
    if job is not None and job.status == "validating_files":
        versions.settle_job(session, job)
    if job is None or job.status != "queued":
        return False
    jobs.advance_job(session, job, "running", quiet=claim.error is not None)
    return True


def say_queued(session: Session, claim: Claim, why: str, *, quiet: bool) -> None:
    """Note in the job that it waits again, and unless `quiet` say why."""
    job = _job(session, claim)
    if job is not None and job.status == "running":
        said = f"Job queued again: {why}"
        jobs.advance_job(session, job, "queued", message=said, quiet=quiet)


def fail(session: Session, claim: Claim, error: HeadstartError) -> None:
    """End the work for good, and with it the job."""
    work.fail(session, claim, error)
    job = _job(session, claim)
    if job is not None and job.status not in TERMINAL:
        jobs.advance_job(session, job, "failed", error=error)


def _job(session: Session, claim: Claim) -> JobRow | None:
    """The claim's job, locked; None where it was deleted."""
    if session.get(JobRow, claim.job_id) is None:
        return None
    return jobs.lock_job(session, str(claim.job_id))
