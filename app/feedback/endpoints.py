"""`/v1/models/{model}/feedback` and `/accuracy`: is it still good?"""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.datasets.schemas import version_brief_of
from app.feedback import applying, giving
from app.feedback.schemas import (
    Feedback,
    FeedbackApplication,
    FeedbackVersion,
    LiveAccuracy,
    NewFeedback,
)
from app.feedback.views import accuracy_of, feedback_of
from app.http.dependencies import (
    Predicter,
    Reader,
    Services,
    ServicesDep,
    Writer,
    writing,
)
from app.http.openapi import DeletedObject, path_id, problems
from app.http.pages import Limit, Page, cursor, looks_like, page
from app.http.routes import StrictRoute
from app.http.schemas import Deletion
from app.infra.database import reading
from app.infra.orm import FeedbackRow
from app.infra.repositories import deletions
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.live import feedback as rows
from app.infra.repositories.targets import ResolvedModel
from app.uploads import deleting

router = APIRouter(route_class=StrictRoute, prefix="/v1/models/{model}", tags=["models in use"])
_EXAMPLE = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
Name = Annotated[str, path_id("An alias, or a model's id.", _EXAMPLE)]
FeedbackId = Annotated[str, path_id("The feedback's id.", "fb_01ke4e3c8d0e2g4h6j8k0m2n4p")]
_INPUT_PROBLEMS = (
    "not_found", "not_ready", "in_flight", "invalid_json", "modality_mismatch", "text_too_long",
    "image_invalid", "image_truncated", "model_corrupt", "backbone_unavailable", "overloaded",
    "predictor_unavailable", "deadline_exceeded", "storage_unavailable", "quota_exceeded",
)  # fmt: skip


_HOLDS = {"model": Feedback, "description": "An audited label holds: nothing has changed."}


@router.post("/feedback", status_code=201, responses={200: _HOLDS, **problems(*_INPUT_PROBLEMS)})
async def give_feedback(
    model: Name, body: NewFeedback, caller: Predicter, services: ServicesDep, response: Response
) -> Feedback:
    """Say what is right about a prediction; a second word on the same input replaces the first.

    What is not audited replaces nothing that is: that feedback is answered then, with 200.
    """
    told = await giving.give(services, caller, model, body)
    if told.audited and not body.audited:
        response.status_code = 200
    return told


@router.get("/feedback", responses=problems("not_found"))
async def list_feedback(
    model: Name,
    caller: Reader,
    services: ServicesDep,
    *,
    audited: Annotated[
        bool | None, Query(description="Only audited feedback, or the rest.")
    ] = None,
    after: Annotated[str | None, cursor("fb_")] = None,
    limit: Limit = 20,
) -> Page[Feedback]:
    """Feedback given under an alias, or on a model's answers, newest first."""
    resolved = await services.resolver.resolve(caller.organisation_id, model)
    organisation_id = caller.organisation_id
    which = rows.whose(organisation_id, alias=resolved.alias, model_id=_own(resolved))

    def listed() -> Page[Feedback]:
        with reading(services.sessions) as session:
            found = rows.listing(
                session,
                which,
                audited=audited,
                after=after,
                limit=limit + 1,
                organisation_id=organisation_id,
            )
            return page(found, limit, feedback_of)

    return await to_thread.run_sync(listed)


def _own(resolved: ResolvedModel) -> str | None:
    """Under an alias, whichever model answered; else this one's answers."""
    return None if resolved.alias else resolved.id


@router.post(
    "/feedback/apply",
    responses=problems(
        "not_found", "not_ready", "invalid_json", "modality_mismatch", "insufficient_classes",
        "in_flight", "storage_unavailable", "storage_full", "quota_exceeded",
    ),
)  # fmt: skip
async def apply_feedback(
    model: Name,
    body: FeedbackApplication,
    caller: Writer,
    services: ServicesDep,
    response: Response,
) -> FeedbackVersion:
    """Make a version of a dataset with the labels that feedback brought; again, it changes nothing.

    New inputs are examples to train on; inputs that the dataset has get the label that was said.
    """
    resolved = await services.resolver.resolve(caller.organisation_id, model)
    if not looks_like(body.dataset, "ds_"):
        raise HeadstartError("not_found", "there is no such dataset", param="dataset")

    def made() -> FeedbackVersion:
        given = applying.Given(
            alias=resolved.alias, model_id=_own(resolved), audited_only=body.audited_only
        )
        snapshot, counts = applying.apply(services, caller.organisation_id, given, body.dataset)
        told = version_brief_of(snapshot).model_dump()
        return FeedbackVersion(**told, feedback=counts)

    version = await services.builds.run(caller.organisation_id, made)
    response.headers["location"] = f"/v1/datasets/{body.dataset}/versions/{version.version}"
    return version


@router.get("/feedback/{feedback_id}", responses=problems("not_found"))
async def get_feedback(
    model: Name, feedback_id: FeedbackId, caller: Reader, services: ServicesDep
) -> Feedback:
    """One piece of feedback."""
    resolved = await services.resolver.resolve(caller.organisation_id, model)

    def found() -> Feedback:
        with reading(services.sessions) as session:
            return feedback_of(_given(session, resolved, feedback_id, caller.organisation_id))

    return await to_thread.run_sync(found)


def _given(
    session: Session, resolved: ResolvedModel, feedback_id: str, organisation_id: str
) -> FeedbackRow:
    """Raises not_found, for feedback on another model or under another alias too."""
    row = rows.get(session, feedback_id, organisation_id=organisation_id)
    if not giving.is_under(resolved, row):
        raise rows.missing()
    return row


@router.delete("/feedback/{feedback_id}", responses=problems("not_found"))
async def delete_feedback(
    model: Name, feedback_id: FeedbackId, caller: Writer, services: ServicesDep
) -> DeletedObject:
    """Forget feedback and its input; versions that have it keep it."""
    resolved = await services.resolver.resolve(caller.organisation_id, model)
    organisation_id = caller.organisation_id
    deletion = await to_thread.run_sync(_removed, services, organisation_id, resolved, feedback_id)
    return DeletedObject(id=feedback_id, object="feedback", deletion=deletion)


def _removed(
    services: Services, organisation_id: str, resolved: ResolvedModel, feedback_id: str
) -> Deletion:
    with writing(services) as session:
        row = _given(session, resolved, feedback_id, organisation_id)
        files = rows.remove(session, row)
        doomed = Doomed(object="feedback", id=feedback_id, removed={"feedback": 1}, files=files)
        deletion_id = deletions.begin(session, doomed, organisation_id=organisation_id)
    return deleting.carried_out(services, deletion_id, organisation_id=organisation_id)


@router.get("/accuracy", responses=problems("not_found", "not_ready"))
async def get_live_accuracy(model: Name, caller: Reader, services: ServicesDep) -> LiveAccuracy:
    """How often the model is right in use, with its 95% interval, from audited feedback alone."""
    resolved = await services.resolver.resolve(caller.organisation_id, model)
    return await to_thread.run_sync(_accuracy, services, caller.organisation_id, resolved)


def _accuracy(services: Services, organisation_id: str, resolved: ResolvedModel) -> LiveAccuracy:
    asked = {"organisation_id": organisation_id, "alias": resolved.alias, "model_id": resolved.id}
    with reading(services.sessions) as session:
        return accuracy_of(
            rows.audited(session, **asked),
            model=resolved.id,
            alias=resolved.alias,
            volunteered=rows.volunteered(session, **asked),
        )
