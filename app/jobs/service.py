"""Make, list and cancel jobs; every rule about what a job may be is here."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.core import hyperparameters
from app.core.backbones import JOINT, BackboneSpec, how_to_supply
from app.core.errors import HeadstartError
from app.core.hyperparameters import ALIASES
from app.core.ids import new_id
from app.core.modalities import MODALITIES, Depth
from app.infra import weights
from app.infra.auto_backbone import AUTO, AutoBackbone, auto_backbone
from app.infra.database import now
from app.infra.orm import JobRow, ModelRow
from app.infra.repositories import (
    chunks,
    datasets,
    job_queries,
    jobs,
    models,
    quotas,
    versions,
    work,
)
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.job_queries import JobSnapshot
from app.infra.settings import Settings
from app.jobs import estimates
from app.jobs.estimates import Estimate
from app.jobs.schemas import MethodOptions, NewJob

_DEFAULT_METHOD = "auto"
_MOST_LETTERS = 100


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a new job is to do, all of it checked."""

    backbone: BackboneSpec
    missing: tuple[BackboneSpec, ...]
    """What would be of `auto`, had it weights here."""
    method: str
    hyperparameters: Mapping[str, Any]
    from_model: str | None
    training: DatasetSnapshot
    validation: DatasetSnapshot | None


def create(
    session: Session, body: NewJob, *, organisation_id: str, settings: Settings
) -> JobSnapshot:
    """A new job and the work it needs, in the caller's transaction.

    Raises not_found, unknown_backbone, backbone_unavailable, unknown_method,
    invalid_hyperparameter, modality_mismatch, label_mode_mismatch and dataset_failed.
    """
    plan = _plan(session, body, organisation_id, settings)
    job = _insert(session, body, plan, organisation_id)
    _tell_how_it_was_understood(session, job, plan)
    versions.settle_job(session, job)
    for dataset in filter(None, (plan.training, plan.validation)):
        for one in plan.backbone.parts:
            chunks.ensure_embedded(
                session,
                dataset.version,
                modality=one.modality,
                backbone=one.name,
                chunk=settings.embed_chunk,
            )
    work.add(session, "fine_tune", organisation_id=organisation_id, payload={}, job_id=job.id)
    quotas.check(session, settings, organisation_id, "jobs")
    session.flush()
    validation = plan.validation.version.number if plan.validation else None
    return JobSnapshot(job, plan.training.version.number, validation)


def cancel(session: Session, job_id: str, *, organisation_id: str) -> JobSnapshot:
    """Cancel a job for good. Raises not_found, or invalid_transition where it has ended."""
    job_queries.require(session, job_id, organisation_id=organisation_id)
    jobs.cancel_job(session, job_id)
    session.flush()
    return job_queries.get(session, job_id, organisation_id=organisation_id)


def pause(session: Session, job_id: str, *, organisation_id: str) -> JobSnapshot:
    """Hold a job until it is resumed. Raises not_found, invalid_transition."""
    job_queries.require(session, job_id, organisation_id=organisation_id)
    jobs.pause_job(session, job_id)
    session.flush()
    return job_queries.get(session, job_id, organisation_id=organisation_id)


def resume(session: Session, job_id: str, *, organisation_id: str) -> JobSnapshot:
    """Let a paused job go on. Raises not_found, invalid_transition."""
    job_queries.require(session, job_id, organisation_id=organisation_id)
    versions.settle_job(session, jobs.resume_job(session, job_id))
    session.flush()
    return job_queries.get(session, job_id, organisation_id=organisation_id)


def _plan(session: Session, body: NewJob, organisation_id: str, settings: Settings) -> Plan:
    method, options = _method(body)
    base = _base(session, body, options, organisation_id)
    depth = hyperparameters.METHODS[method].depth
    meant = _meant(session, body, base, organisation_id, settings, depth=depth)
    backbone = meant.spec
    inherited = _inherited(session, method, base)
    chosen = hyperparameters.validate(method, options.hyperparameters, inherited)
    hyperparameters.check_modality(method, backbone.modality)
    hyperparameters.check_tunable(method, backbone)
    _check_views(method, chosen, backbone)
    _check_names(method, chosen, backbone)
    weights.require_all(backbone, settings.weights_dir)
    training = _dataset(session, body.training_file, "training_file", backbone, organisation_id)
    mode = training.dataset.label_mode
    hyperparameters.check_label_mode(method, mode, chosen)
    _check_classes(method, chosen, backbone, training)
    validation = None
    if body.validation_file is not None:
        param = "validation_file"
        validation = _dataset(session, body.validation_file, param, backbone, organisation_id)
        _check_same_mode(mode, validation, param)
    return Plan(
        backbone=backbone,
        missing=meant.missing,
        method=method,
        hyperparameters=chosen,
        from_model=base.id if base else None,
        training=training,
        validation=validation,
    )


def _check_same_mode(mode: str, validation: DatasetSnapshot, param: str) -> None:
    """Raises label_mode_mismatch."""
    other = validation.dataset.label_mode
    if other != mode:
        why = f"the training file is {mode}, this one is {other}"
        raise HeadstartError("label_mode_mismatch", why, param=param)


def _method(body: NewJob) -> tuple[str, MethodOptions]:
    """The method's own name, and its options. Raises unknown_method."""
    if body.method is None:
        return _DEFAULT_METHOD, MethodOptions(hyperparameters=body.hyperparameters)
    if body.hyperparameters:
        raise HeadstartError(
            "invalid_request",
            "hyperparameters: with a method, they go into "
            f"method.{body.method.type}.hyperparameters",
            param="hyperparameters",
        )
    name = hyperparameters.method_name(body.method.type)
    blocks = body.method.__pydantic_extra__
    for other in blocks:
        if ALIASES.get(other, other) != name:
            raise HeadstartError(
                "invalid_request",
                f"method.{other}: the method is {body.method.type}",
                param=f"method.{other}",
            )
    return name, next((block for block in blocks.values() if block), MethodOptions())


def _base(
    session: Session, body: NewJob, options: MethodOptions, organisation_id: str
) -> ModelRow | None:
    """The model to grow from, if there is one. Raises not_found."""
    asked = _asked(body)
    name = options.from_model or (asked if models.is_model_id(asked) else None)
    if name is None:
        return None
    return models.find(session, organisation_id=organisation_id, name=name)


def _asked(body: NewJob) -> str:
    """The model as one name."""
    return body.model if isinstance(body.model, str) else JOINT.join(body.model)


def _meant(
    session: Session,
    body: NewJob,
    base: ModelRow | None,
    organisation_id: str,
    settings: Settings,
    *,
    depth: Depth | None,
) -> AutoBackbone:
    """The backbone that is meant: of `auto` without a model to grow from what is best here."""
    if base is not None or _asked(body) != AUTO:
        return AutoBackbone(spec=_backbone(body, base, settings), missing=())
    try:
        dataset = datasets.pin(session, body.training_file, organisation_id=organisation_id)
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param="training_file") from error
    return auto_backbone(MODALITIES[dataset.dataset.modality].name, settings, depth=depth)


def _backbone(body: NewJob, base: ModelRow | None, settings: Settings) -> BackboneSpec:
    """Raises unknown_backbone, or invalid_request where the model to grow from has another."""
    name = _asked(body)
    if base is not None and name in (base.id, AUTO):
        name = base.backbone
    backbone = weights.get(name, settings.weights_dir)
    if len(backbone.name) > _MOST_LETTERS:
        said = f"model: the names of several backbones have {_MOST_LETTERS} letters at most"
        raise HeadstartError("invalid_request", said, param="model")
    if base is not None and base.backbone != backbone.name:
        raise HeadstartError(
            "invalid_request",
            f"from_model: that model is on {base.backbone}, not on {backbone.name}",
            param="method.from_model",
        )
    return backbone


def _inherited(session: Session, method: str, base: ModelRow | None) -> dict[str, Any]:
    """What the model to grow from was asked for, as far as it means the same to the method."""
    job = session.get(JobRow, base.job_id) if base is not None and base.job_id else None
    if job is None:
        return {}
    known = hyperparameters.shared(method, job.method)
    return {name: value for name, value in job.hyperparameters.items() if name in known}


def _check_views(method: str, chosen: Mapping[str, Any], backbone: BackboneSpec) -> None:
    """Raises invalid_hyperparameter where the backbone has no such view of its input."""
    views = chosen.get("views", "auto")
    missing = [view for view in views if view not in backbone.views]
    if views != "auto" and missing:
        raise HeadstartError(
            "invalid_hyperparameter",
            f"views: {backbone.name} has no view {missing[0]!r}",
            param=f"method.{method}.hyperparameters.views",
        )


def _check_names(method: str, chosen: Mapping[str, Any], backbone: BackboneSpec) -> None:
    """Raises invalid_hyperparameter where names are to count on a backbone that reads none."""
    given = {"label_names": chosen.get("label_names"), "prompts": chosen.get("prompts")}
    asked = [name for name, value in given.items() if value not in (None, "auto", False)]
    if asked and not backbone.reads_names:
        raise HeadstartError(
            "invalid_hyperparameter",
            f"{asked[0]}: {backbone.name} reads no names; networks of two towers do (CLIP, SigLIP)",
            param=f"method.{method}.hyperparameters.{asked[0]}",
        )


def _check_classes(
    method: str, chosen: Mapping[str, Any], backbone: BackboneSpec, training: DatasetSnapshot
) -> None:
    """Raises insufficient_classes where a class has no example, and no name can stand in."""
    empty = [one["label"] for one in training.version.classes if not one["count"]]
    named = method == "auto" and chosen.get("label_names") is not False and backbone.reads_names
    if empty and not named:
        why = f"no example of {', '.join(empty[:5])}: only auto, on a backbone that reads names"
        told = f"{why} (CLIP, SigLIP, texts), does without"
        raise HeadstartError("insufficient_classes", told, param="training_file")


def _dataset(
    session: Session, dataset_id: str, param: str, backbone: BackboneSpec, organisation_id: str
) -> DatasetSnapshot:
    """The dataset, its latest version pinned until the commit."""
    try:
        snapshot = datasets.pin(session, dataset_id, organisation_id=organisation_id)
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param=param) from error
    if snapshot.dataset.modality != backbone.modality:
        raise HeadstartError(
            "modality_mismatch",
            f"{backbone.name} reads {backbone.modality}, the dataset holds "
            f"{snapshot.dataset.modality}",
            param=param,
        )
    if snapshot.version.status == "failed":
        why = (snapshot.version.error or {}).get("message", "see its problems")
        raise HeadstartError("dataset_failed", f"the dataset has failed: {why}", param=param)
    return snapshot


def _insert(session: Session, body: NewJob, plan: Plan, organisation_id: str) -> JobRow:
    validation = plan.validation
    job = JobRow(
        id=new_id("ftjob-"),
        organisation_id=organisation_id,
        status="validating_files",
        backbone=plan.backbone.name,
        dataset_id=plan.training.dataset.id,
        version_id=plan.training.version.id,
        validation_dataset_id=validation.dataset.id if validation else None,
        validation_version_id=validation.version.id if validation else None,
        method=plan.method,
        hyperparameters=dict(plan.hyperparameters),
        from_model=plan.from_model,
        seed=secrets.randbelow(2**31) if body.seed is None else body.seed,
        suffix=body.suffix,
        job_metadata=body.metadata or {},
        created_at=now(session),
    )
    session.add(job)
    session.flush()
    return job


def _estimate(session: Session, job: JobRow, plan: Plan) -> Estimate | None:
    """What the job will take, which it keeps."""
    version, modality = plan.training.version, plan.backbone.modality
    expected = estimates.estimate(session, job, version, modality=modality)
    job.estimated_seconds = round(expected.seconds, 3) if expected else None
    return expected


def _tell_how_it_was_understood(session: Session, job: JobRow, plan: Plan) -> None:
    said = f"Created fine-tuning job: {job.id}"
    expected = _estimate(session, job, plan)
    jobs.add_event(session, job.id, f"{said} ({expected.said})" if expected else said)
    passes = len(plan.backbone.parts)
    if passes > 1:
        said = f"A prediction passes through {passes} backbones: {job.backbone}"
        jobs.add_event(session, job.id, said)
    for one in plan.missing:
        said = f"auto goes without {one.name}: {how_to_supply(one)}"
        jobs.add_event(session, job.id, said, level="warn")
    version = plan.training.version
    said = f"Validating training file: {job.dataset_id}, version {version.number}"
    jobs.add_event(session, job.id, said)
    unused = hyperparameters.METHODS[job.method].ignored
    idle = [name for name in unused if job.hyperparameters.get(name, "auto") != "auto"]
    if idle:
        said = f"{', '.join(idle)}: without meaning for the method {job.method}, and ignored"
        jobs.add_event(session, job.id, said, level="warn")
