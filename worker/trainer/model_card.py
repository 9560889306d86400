"""What `model.json` says of a model, for people and for the predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.trainer.inputs.job_data import JobData
from worker.trainer.tensor_process import EngineFacts


def name_of(job_id: str) -> str:
    """The last part of a model's id: the same for every try at a job."""
    return job_id.removeprefix("ftjob-")


def model_id(data: JobData) -> str:
    """`ft:<backbone>:<organisation>:<suffix or nothing>:<id>`."""
    job = data.rows.job
    parts = ("ft", job.backbone, job.organisation_id, job.suffix or "", name_of(job.id))
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
        "backbone": {
            "name": facts.backbone,
            "weights_sha256": facts.weights_sha256,
            "weights_source": facts.weights_source,
            "dim": facts.dim,
            "precision": facts.precision,
            "preprocessing": facts.preprocessing,
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
        "evaluation": result["evaluation"],
        "advice": result["advice"],
        "seconds": {"fit": result["seconds"]},
        "libraries": dict(facts.libraries),
    }


def final_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The headline figures of an evaluation, those that could be estimated."""
    figures = ("accuracy", "balanced_accuracy", "log_loss", "calibration_error")
    values = {name: (evaluation.get(name) or {}).get("value") for name in figures}
    return {name: float(value) for name, value in values.items() if value is not None}
