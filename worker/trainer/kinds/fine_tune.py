"""A fine-tuning job: gather cached embeddings, fit and evaluate in the tensor process, register.

`run` is the way; what it hands on is read once, in the order in which it is called.
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
from app.core.modalities import MIRROR, MODALITIES, mapped, pictured
from app.infra.orm import JobRow
from app.infra.repositories import jobs, versions, work
from app.infra.repositories.work import PASSED, Claim
from app.infra.storage import scratch
from worker.formats import models
from worker.trainer import depth_auto, tuning
from worker.trainer.attempt import Attempt
from worker.trainer.inputs import job_data, learned_from, near_copies, other_datasets
from worker.trainer.inputs.embed_missing import pixels, texts
from worker.trainer.inputs.features import Features, Gatherer
from worker.trainer.inputs.job_data import JobData
from worker.trainer.inputs.other_datasets import OtherDatasets
from worker.trainer.journal import Journal
from worker.trainer.registration import card_of, register, store
from worker.trainer.tensor_process import EngineFacts


def run(attempt: Attempt) -> None:
    """Do the job and commit its success; what it had to tell is kept when it fails."""
    data = job_data.load(attempt)
    hyperparameters.method_name(data.rows.job.method)  # one of a later release is others' to do
    journal = Journal(attempt, dict(data.rows.job.progress or {}))
    try:
        _run(attempt, data, journal)
    except HeadstartError as error:
        if error.code != "storage_full":
            journal.flush()
        raise


def _run(attempt: Attempt, data: JobData, journal: Journal) -> None:
    facts = attempt.engine(data.rows.job.backbone).reading(data.rows.version.pixel_scale)
    if facts.modality != data.modality:
        raise HeadstartError(
            "modality_mismatch",
            f"{facts.backbone} reads {facts.modality}, the dataset holds {data.modality}",
        )
    depth = hyperparameters.METHODS[data.rows.job.method].depth
    if depth is not None:
        tuning.check(attempt, facts, data, depth)
    gatherer = Gatherer(attempt, facts, data, journal)
    features = gatherer.collect()
    auto = depth_auto.plan(attempt, facts, gatherer, journal)
    if auto is not None:
        depth, features = auto.depth, {**features, **auto.features}
    data = _without_copies(attempt, facts, gatherer.data)
    again = tuning.SPENT in attempt.claim.payload
    _announce(journal, data, features, new=gatherer.new, again=again)
    others = _others(attempt, facts, data, journal)
    with scratch(attempt.staging) as folder:
        request = _request(attempt, facts, data, features, others=others, folder=folder)
        if auto is not None:
            request["not_tried"] = auto.not_tried
        if depth is None:
            result = attempt.fit(request, journal.hear)
        else:
            budget = None if auto is None else auto.budget
            result = tuning.fit(attempt, depth, request, journal, budget=budget)
        passes = journal.progress["embedding"]
        journal.progress["prediction_views"] = result["config"]["prediction_views"]
        journal.progress["views"] = _learned(features, result["evaluation"])
        card = card_of(data, facts, result, views=journal.progress["views"], passes=passes)
        artifact = store(attempt, folder, card | learned_from.named(others.versions))
    used = {segment for view in features.values() for segment in view.read}
    register(attempt, data, artifact, journal=journal, segments=used)
    if depth is not None or auto is not None:
        tuning.forget(attempt)


def _without_copies(attempt: Attempt, facts: EngineFacts, data: JobData) -> JobData:
    found = near_copies.linked(attempt, facts, [*data.validation, *data.train])
    return data if found is None else data.without_copies(found[0])


def _others(attempt: Attempt, facts: EngineFacts, data: JobData, journal: Journal) -> OtherDatasets:
    """What a method that learns from other datasets gets, and says that it got."""
    if not hyperparameters.METHODS[data.rows.job.method].other_datasets:
        return other_datasets.NONE
    others = other_datasets.learned_from(attempt, facts, data)
    names = ", ".join(one.dataset_id for one in others.versions)
    journal.say(f"Its start is learned from {names or 'no other dataset'}")
    return others


def _announce(
    journal: Journal, data: JobData, features: Mapping[str, Features], *, new: int, again: bool
) -> None:
    """Say which views are there, and how many of their embeddings were made for this job; not
    `again` in a later turn of the same fit.
    """
    for warning in () if again else data.warnings:
        journal.say(warning, "warn")
    used = sum(view.passes for view in features.values())
    made = min(used, (journal.progress.get("embedding") or {}).get("new", 0) + new)
    journal.progress["views"] = _pictures(features)
    journal.progress["embedding"] = {"new": made, "cached": used - made}
    told = (
        f"Fitting on {len(data.train)} examples of {len(data.classes)} classes,"
        f" views {', '.join(_pictures(features))}: {made} new backbone passes, {used - made} cached"
    )
    if not again:
        journal.say(told)
    journal.stage("fitting", done=0, total=len(data.train))


def _pictures(features: Mapping[str, Features]) -> list[str]:
    """The views as they are called outside: how a picture is looked at."""
    return list(dict.fromkeys(map(pictured, features)))


def _learned(features: Mapping[str, Features], evaluation: Mapping[str, Any]) -> list[str]:
    """Of those, what the fit has learned from: not from mirror images if they are other things."""
    left_out = not evaluation.get("mirror_images", {}).get("learned_from", True)
    return [view for view in _pictures(features) if not (left_out and view == MIRROR)]


def _request(
    attempt: Attempt,
    facts: EngineFacts,
    data: JobData,
    features: Mapping[str, Features],
    *,
    others: OtherDatasets,
    folder: Path,
) -> dict[str, Any]:
    job = data.rows.job
    return {
        "op": "fit",
        "backbone": facts.backbone,
        "fitted": facts.precision,
        "method": job.method,
        "hyperparameters": job.hyperparameters,
        "seed": job.seed,
        "pixel_scale": facts.pixel_scale,
        "support": _support(attempt, data, data.train, features),
        "validation": _support(attempt, data, data.validation, features)
        if data.validation
        else None,
        "others": others.described,
        "out": str(folder / models.HEAD),
    }


def support_of(
    attempt: Attempt,
    data: JobData,
    examples: Sequence[Example],
    features: Mapping[str, Features],
) -> dict[str, Any]:
    """Examples as the tensor process reads them; texts come from their packs."""
    described = job_data.labels(examples, data.classes, data.copies, data.augmented)
    described["views"] = {view: one.rows(examples) for view, one in features.items()}
    described["texts"] = texts(attempt, data.modality, examples)
    return described


def _support(
    attempt: Attempt,
    data: JobData,
    examples: Sequence[Example],
    features: Mapping[str, Features],
) -> dict[str, Any]:
    """With the pixels that a network reads which is tuned whole."""
    described = support_of(attempt, data, examples, features)
    depth = hyperparameters.METHODS[data.rows.job.method].depth
    if depth is None:
        return described
    read = [mapped(view, depth) for view in MODALITIES[data.modality].tuned]
    return described | {"pixels": pixels(attempt, read, examples)}


def begin(session: Session, claim: Claim) -> bool:
    """Note in the job that it runs; False where it has ended or was deleted."""
    job = _job(session, claim)
    if job is not None and job.status == "validating_files":
        versions.settle_job(session, job)
    if job is None or job.status != "queued":
        return False
    told = claim.error is not None or PASSED in claim.payload
    jobs.advance_job(session, job, "running", quiet=told)
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
