"""`/v1/models/{model}/feedback`, `/audit`, `/suggestions` and `/accuracy`: is it still good?"""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.live import suggesting
from app.core.live.suggesting import Candidate, Suggestion
from app.core.live.vectors import unpacked
from app.datasets.schemas import version_brief_of
from app.feedback import applying, giving
from app.feedback.recording import flush
from app.feedback.schemas import (
    AuditDraw,
    Feedback,
    FeedbackApplication,
    FeedbackVersion,
    LiveAccuracy,
    LoggedInput,
    NewFeedback,
    SuggestedInput,
    SuggestionList,
)
from app.feedback.views import accuracy_of, feedback_of, logged_of
from app.http.dependencies import (
    Predicter,
    Reader,
    Services,
    ServicesDep,
    Writer,
    writing,
)
from app.http.openapi import DeletedObject, files, path_id, problems
from app.http.pages import Limit, Page, cursor, looks_like, page
from app.http.routes import StrictRoute
from app.http.schemas import Deletion
from app.infra.database import reading
from app.infra.orm import FeedbackRow, LoggedPredictionRow
from app.infra.repositories import deletions
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.live import feedback as rows
from app.infra.repositories.live import log as log_rows
from app.infra.repositories.targets import ResolvedModel
from app.uploads import deleting

router = APIRouter(route_class=StrictRoute, prefix="/v1/models/{model}", tags=["models in use"])
_EXAMPLE = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
Name = Annotated[str, path_id("An alias, or a model's id.", _EXAMPLE)]
FeedbackId = Annotated[str, path_id("The feedback's id.", "fb_01ke4e3c8d0e2g4h6j8k0m2n4p")]
LoggedId = Annotated[str, path_id("The logged input's id.", "log_01ke4e2b7c9d1f3g5h7j9k1m3n")]
_CONSIDERED = 1000
_DRAWN = (
    "uniformly at random: each input's lot is drawn when it is written down, and the lowest lots "
    "without audited feedback come first, whatever volunteers have said of them"
)
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


@router.get("/audit", responses=problems("not_found", "not_ready"))
async def draw_audit(
    model: Name,
    caller: Reader,
    services: ServicesDep,
    n: Annotated[int, Query(ge=1, le=1000, description="How many inputs.")] = 20,
) -> AuditDraw:
    """Draw logged inputs at random, to be labelled with `audited: true`.

    The same come again until they have audited feedback, so that nobody picks.
    """
    resolved = await _flushed(services, caller, model)
    return await to_thread.run_sync(_drawn, services, caller.organisation_id, resolved, n)


async def _flushed(services: Services, caller: Identity, name: str) -> ResolvedModel:
    resolved = await services.resolver.resolve(caller.organisation_id, name)
    await flush(services)
    return resolved


def _drawn(services: Services, organisation_id: str, resolved: ResolvedModel, n: int) -> AuditDraw:
    which = log_rows.whose(organisation_id, alias=resolved.alias, model_id=resolved.id)
    with reading(services.sessions) as session:
        found = rows.undrawn(session, which, limit=n + 1, organisation_id=organisation_id)
        logged = log_rows.count(session, which)
    data = [LoggedInput(**logged_of(row, said)) for row, said in found[:n]]
    return AuditDraw(data=data, has_more=len(found) > n, logged=logged, method=_DRAWN)


@router.get("/suggestions", responses=problems("not_found", "not_ready"))
async def list_suggestions(
    model: Name, caller: Reader, services: ServicesDep, limit: Limit = 20
) -> SuggestionList:
    """The logged inputs most useful to label: doubtful, novel, and unlike each other."""
    resolved = await _flushed(services, caller, model)
    return await to_thread.run_sync(_suggested, services, caller.organisation_id, resolved, limit)


def _suggested(
    services: Services, organisation_id: str, resolved: ResolvedModel, limit: int
) -> SuggestionList:
    with reading(services.sessions) as session:
        found = rows.unsaid(
            session,
            organisation_id=organisation_id,
            alias=resolved.alias,
            model_id=resolved.id,
            limit=_CONSIDERED,
        )
    by_id = {row.id: row for row in found}
    candidates = [
        Candidate(id=row.id, answer=row.answer, embedding=unpacked(row.embedding or b""))
        for row in found
    ]
    chosen = suggesting.choose(candidates, limit)
    data = [_suggestion(by_id[one.candidate.id], one) for one in chosen]
    return SuggestionList(
        data=data,
        has_more=len(found) > len(data),
        considered=len(found),
        method=suggesting.METHOD,
    )


def _suggestion(row: LoggedPredictionRow, one: Suggestion) -> SuggestedInput:
    told = one.candidate
    return SuggestedInput(
        **logged_of(row),
        uncertainty=told.uncertainty,
        novelty=told.novelty,
        distance=one.distance,
        because="uncertain" if told.uncertainty >= told.novelty else "novel",
    )


@router.get(
    "/logged/{logged_id}/content",
    response_class=Response,
    responses={200: files("application/octet-stream", "text/plain"), **problems("not_found")},
)
async def get_logged_content(
    model: Name, logged_id: LoggedId, caller: Reader, services: ServicesDep
) -> Response:
    """A logged input's own bytes."""
    resolved = await services.resolver.resolve(caller.organisation_id, model)
    organisation_id = caller.organisation_id
    data, text = await to_thread.run_sync(_content, services, organisation_id, resolved, logged_id)
    headers = {
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, no-store",
    }
    kind = "text/plain; charset=utf-8" if text else "application/octet-stream"
    return Response(data, media_type=kind, headers=headers)


def _content(
    services: Services, organisation_id: str, resolved: ResolvedModel, logged_id: str
) -> tuple[bytes, bool]:
    with reading(services.sessions) as session:
        row = log_rows.get(session, logged_id, organisation_id=organisation_id)
    if not giving.is_under(resolved, row):
        raise log_rows.missing()
    data = giving.content_of(services, row)
    if data is None:
        raise HeadstartError("not_found", "the input is not kept")
    return data, _is_text(data)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False
