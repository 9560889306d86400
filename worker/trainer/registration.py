"""How a fitted head becomes a model: its card, its artifact, and the transaction that shows both.

The artifact is durable before the one transaction that makes model, checkpoints, events and the
job's success visible together, under the fence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.core import hyperparameters
from app.core.backbones import JOINT
from app.infra import storage_keys
from app.infra.database import now
from app.infra.orm import ModelRow
from app.infra.repositories import embeddings, jobs, work
from worker.formats import models, same_weights
from worker.formats.models import Artifact
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.job_data import JobData, shared_groups
from worker.trainer.journal import Journal
from worker.trainer.tensor_process import EngineFacts


def store(attempt: Attempt, folder: Path, card: Mapping[str, Any]) -> Artifact:
    """Make the head in `folder` durable, with its card. Raises weights_invalid, storage_full."""
    claim = attempt.claim
    assert claim.job_id is not None
    prefix = storage_keys.artifact(
        organisation_id=claim.organisation_id, name=name_of(claim.job_id), fence=claim.fence
    )
    return models.write(attempt.outbox, folder, prefix, card)


def register(
    attempt: Attempt,
    data: JobData,
    artifact: Artifact,
    *,
    journal: Journal,
    segments: Collection[str],
) -> None:
    """Commit the model and its job's success; `segments` are those whose rows it was fitted on."""
    if journal.steps == 0:
        journal.checkpoint(1, final_metrics(artifact.card["evaluation"]))
    journal.progress |= {"stage": "done", "done": journal.progress["total"]}

    def commit(session: Session) -> None:
        work.finish(session, attempt.claim)
        journal.write(session)
        embeddings.touch(session, segments)
        _register(session, data, artifact)

    attempt.commit(commit)


def name_of(job_id: str) -> str:
    """The last part of a model's id: the same for every try at a job."""
    return job_id.removeprefix("ftjob-")


def model_id(data: JobData) -> str:
    """`ft:<backbone>:<organisation>:<suffix or nothing>:<id>`."""
    job = data.rows.job
    backbone = job.backbone.replace(JOINT, "_")  # a plus would be a space in a query
    parts = ("ft", backbone, job.organisation_id, job.suffix or "", name_of(job.id))
    return ":".join(parts)


def card_of(
    data: JobData,
    facts: EngineFacts,
    result: Mapping[str, Any],
    *,
    views: Sequence[str],
    passes: Mapping[str, int],
) -> dict[str, Any]:
    """Everything one must know to use the head, and to make it again."""
    job, version = data.rows.job, data.rows.version
    return {
        "id": model_id(data),
        "job": job.id,
        "modality": data.modality,
        "labels": data.classes,
        **({"label_mode": data.label_mode} if data.label_mode == "multi_label" else {}),
        "backbone": {
            "name": facts.backbone,
            "weights_sha256": facts.weights_sha256,
            **same_weights.told_of(facts.fingerprint, facts.former),
            "weights_source": facts.weights_source,
            "dim": facts.dim,
            "precision": facts.precision,
            "preprocessing": facts.preprocessing,
            **_members(facts),
        },
        "method": job.method,
        "hyperparameters": result["hyperparameters"],
        "seed": job.seed,
        "from_model": job.from_model,
        "config": result["config"],
        "dataset": {
            "id": version.dataset_id,
            "version": version.number,
            "manifest_sha256": version.manifest_sha256,
            "train": len(data.train),
            "validation": len(data.validation),
        },
        "views": list(views),
        "embedding": dict(passes),
        "evaluation": _evaluation(data, result["evaluation"]),
        "advice": _advice(data, result["advice"]),
        "seconds": {"fit": result["seconds"]},
        "libraries": dict(facts.libraries),
    }


def _members(facts: EngineFacts) -> dict[str, Any]:
    """Of several backbones, what each of them is."""
    if not facts.members:
        return {}
    told = [
        {
            "name": one.backbone,
            "weights_sha256": one.weights_sha256,
            "weights_source": one.weights_source,
            "dim": one.dim,
        }
        for one in facts.members
    ]
    return {"members": told}


def _evaluation(data: JobData, told: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, with the held-out examples that could not judge counted as left out; where
    none could, folds have judged instead."""
    how, dropped = told.get("how", {}), len(data.held_out) - len(data.validation)
    if "left_out" not in how:
        return dict(told)
    shared = shared_groups(data.train, data.validation)
    more = {"shared_group_names": shared} if shared else {}
    return {**told, "how": {**how, "left_out": how["left_out"] + dropped, **more}}


def _advice(data: JobData, told: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, without a doubt about labels that somebody has confirmed."""
    confirmed = {example.id for example in data.train if example.confirmed}
    suspects = told.get("probably_mislabelled", [])
    kept = [one for one in suspects if one["example_id"] not in confirmed]
    return {**told, "probably_mislabelled": kept} if suspects else dict(told)


def final_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The headline figures of an evaluation, those that could be estimated."""
    figures = (
        *("accuracy", "balanced_accuracy", "mean_average_precision", "micro_f1", "macro_f1"),
        *("log_loss", "calibration_error"),
    )
    values = {name: (evaluation.get(name) or {}).get("value") for name in figures}
    return {name: float(value) for name, value in values.items() if value is not None}


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
            label_mode=data.label_mode,
            version_id=job.version_id,
            artifact=artifact.prefix,
            sha256=artifact.sha256,
            bytes=artifact.size,
            card=dict(artifact.card),
            evaluation=artifact.card["evaluation"],
            accuracy=artifact.card["evaluation"].get("accuracy"),
            created_at=now(session),
        )
    )
    jobs.advance_job(session, job, "succeeded")
