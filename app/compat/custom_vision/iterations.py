"""Iterations: a project's images are trained on, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query, Response

from app.compat.custom_vision.intake import holding
from app.compat.custom_vision.naming import AnyVersion, IterationUuid, ProjectUuid, tag_uuid
from app.compat.custom_vision.projects import project_of, published_in
from app.compat.custom_vision.shapes import (
    IterationChange,
    IterationPerformance,
    TagPerformance,
    VisionIteration,
)
from app.compat.custom_vision.training import (
    DELETED,
    NAME,
    PROJECT,
    iteration_of,
    job_of,
    jobs_of,
    model_of,
    notes_of,
    settings_of,
    shown,
)
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.job_state import ended
from app.http.dependencies import (
    Reader,
    Reading,
    Services,
    ServicesDep,
    Writer,
    Writing,
    writing,
)
from app.http.openapi import problems
from app.infra.database import reading
from app.infra.repositories import models
from app.jobs import service as jobs
from app.jobs.schemas import NewJob
from app.models.endpoints import delete_model
from app.predictions.embeddings import CountedRoute

_FOUND = problems("not_found")
router = APIRouter(
    route_class=CountedRoute,
    prefix="/customvision/{version}/training/projects/{project}",
    tags=["custom vision: training"],
    dependencies=[AnyVersion],
)


@router.post(
    "/train",
    responses=problems(
        "not_found", "insufficient_classes", "backbone_unavailable", "dataset_failed"
    ),
)
def custom_vision_train(
    project: ProjectUuid,
    caller: Writer,
    services: ServicesDep,
    *,
    training_type: Annotated[
        Literal["Regular", "Advanced"] | None, Query(alias="trainingType")
    ] = None,
    reserved_budget_in_hours: Annotated[
        int, Query(alias="reservedBudgetInHours", ge=0, le=1000)
    ] = 0,
    force_train: Annotated[bool, Query(alias="forceTrain")] = False,
    notification_email_address: Annotated[
        str | None, Query(alias="notificationEmailAddress", max_length=320)
    ] = None,
) -> VisionIteration:
    """Train on the project's images as they are now. Parameters are taken; none means anything.

    It takes seconds, so no budget is spent, and nobody has to be written to.
    """
    _ = (training_type, reserved_budget_in_hours, force_train, notification_email_address)
    held = holding(services, caller, project)
    if held.snapshot is None or len({label for one in held.examples for label in one.names}) < 2:
        why = "training needs images of two tags at least"
        raise HeadstartError("insufficient_classes", why, param="project")
    body = NewJob(
        training_file=held.snapshot.dataset.id,
        metadata={PROJECT: str(project)},
    )
    with writing(services) as session:
        made = jobs.create(
            session,
            body,
            organisation_id=caller.organisation_id,
            settings=services.settings,
        )
        name = f"Iteration {len(jobs_of(session, caller, project))}"
        made.job.job_metadata = {PROJECT: str(project), NAME: name}
        session.flush()
        return shown(made.job, {}, project_of(held.project).settings)


@router.get("/iterations", responses=_FOUND)
def custom_vision_iterations(
    project: ProjectUuid, caller: Reader, session: Reading
) -> list[VisionIteration]:
    """The project's iterations, oldest first."""
    settings = settings_of(session, caller, project)
    published = published_in(session, project, organisation_id=caller.organisation_id)
    rows = [row for row in jobs_of(session, caller, project) if DELETED not in notes_of(row)]
    return [shown(row, published, settings) for row in rows]


@router.get("/iterations/{iteration}", responses=_FOUND)
def custom_vision_iteration(
    project: ProjectUuid, iteration: IterationUuid, caller: Reader, session: Reading
) -> VisionIteration:
    """One iteration; `Training` until it is `Completed` or `Failed`."""
    return iteration_of(session, caller, project, iteration)


@router.patch("/iterations/{iteration}", responses=_FOUND)
def custom_vision_change_iteration(
    project: ProjectUuid,
    iteration: IterationUuid,
    body: IterationChange,
    caller: Writer,
    session: Writing,
) -> VisionIteration:
    """Give an iteration another name."""
    row = job_of(session, caller, project, iteration)
    row.job_metadata = {**notes_of(row), NAME: body.name}
    session.flush()
    return iteration_of(session, caller, project, iteration)


@router.delete(
    "/iterations/{iteration}", status_code=204, responses=problems("not_found", "in_use")
)
async def custom_vision_delete_iteration(
    project: ProjectUuid, iteration: IterationUuid, caller: Writer, services: ServicesDep
) -> Response:
    """Delete an iteration and its model, which nothing may be published as."""
    model = await to_thread.run_sync(_made, services, caller, project, iteration)
    if model is not None:
        await delete_model(model, caller, services)
    await to_thread.run_sync(_hide, services, caller, project, iteration)
    return Response(status_code=204)


def _made(services: Services, caller: Identity, project: UUID, iteration: UUID) -> str | None:
    with reading(services.sessions) as session:
        return job_of(session, caller, project, iteration).model_id


def _hide(services: Services, caller: Identity, project: UUID, iteration: UUID) -> None:
    with writing(services) as session:
        row = job_of(session, caller, project, iteration)
        if not ended(row.status):
            jobs.cancel(session, row.id, organisation_id=caller.organisation_id)
        row.job_metadata = {**notes_of(row), DELETED: "yes"}


@router.get("/iterations/{iteration}/performance", responses=problems("not_found", "not_ready"))
def custom_vision_performance(
    project: ProjectUuid,
    iteration: IterationUuid,
    caller: Reader,
    services: ServicesDep,
    *,
    threshold: Annotated[
        float, Query(ge=0, le=1, description="Taken, and not read: figures are as said above.")
    ] = 0.5,
    overlap_threshold: Annotated[float | None, Query(alias="overlapThreshold", ge=0, le=1)] = None,
) -> IterationPerformance:
    """Precision and recall of each tag, and their means, of the most probable tag; in projects of
    type `Multilabel` of each tag from its own threshold on, with the average precision.

    Deviations are half of the 95% interval's width, over 1.96.
    """
    _ = (threshold, overlap_threshold)
    model = model_of(services, caller, project, iteration)
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=caller.organisation_id, name=model)
        classes = row.evaluation.get("per_class") or []
    tags = [_performance(project, told) for told in classes]
    return IterationPerformance(
        per_tag_performance=tags,
        precision=_mean([tag.precision for tag in tags]),
        recall=_mean([tag.recall for tag in tags]),
        average_precision=(row.evaluation.get("mean_average_precision") or {}).get("value"),
    )


def _performance(project: UUID, told: Mapping[str, Any]) -> TagPerformance:
    return TagPerformance(
        id=tag_uuid(project, told["label"]),
        name=told["label"],
        precision=_value(told["precision"]),
        precision_std_deviation=_deviation(told["precision"]),
        recall=_value(told["recall"]),
        recall_std_deviation=_deviation(told["recall"]),
        average_precision=(told.get("average_precision") or {}).get("value"),
    )


def _value(interval: Mapping[str, float | None]) -> float:
    return interval["value"] or 0.0


def _deviation(interval: Mapping[str, float | None]) -> float:
    low, high = interval.get("low"), interval.get("high")
    return 0.0 if low is None or high is None else (high - low) / 2 / 1.96


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
