"""`/v1/fine_tuning/jobs`: OpenAI's routes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.job_state import ended
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing, written
from app.http.idempotency import IdempotencyDep, mark, once, replay
from app.http.openapi import CANCEL_PROBLEMS, Responses, files, links, path_id, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import JOB, WishDep
from app.infra.database import reading
from app.infra.repositories import job_queries
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.infra.repositories.job_queries import JobSnapshot
from app.jobs import events, service
from app.jobs.schemas import MOST_METADATA, Job, JobCheckpoint, JobEvent, NewJob
from app.jobs.views import checkpoint_of, event_number, event_of, job_of

router = APIRouter(
    route_class=StrictRoute, prefix="/v1/fine_tuning/jobs", tags=["fine-tuning jobs"]
)

JobId = Annotated[str, path_id("The job's id.", "ftjob-01ke4c0f6v6z2k8m9q3w5x7y1t")]
_METADATA = re.compile(r"metadata\[(.+)\]", re.DOTALL)
_NO_NUL = {"pattern": "^[^\\u0000]*$"}
_METADATA_PARAMETER = {
    "name": "metadata",
    "in": "query",
    "style": "deepObject",
    "explode": True,
    "description": "Only jobs that have these: `metadata[key]=value`.",
    "schema": {
        "type": "object",
        "maxProperties": MOST_METADATA,
        "propertyNames": _NO_NUL,
        "additionalProperties": {"type": "string", **_NO_NUL},
    },
}


@dataclass(frozen=True)
class JobChange:
    """A request that moves a job to another state, once for its key."""

    caller: Writer
    services: ServicesDep
    key: IdempotencyDep
    response: Response

    def __call__(self, change: Callable[..., JobSnapshot], job_id: str) -> Job:
        """The job after `change(session, job_id, organisation_id=)`."""

        def step(session: Session) -> tuple[Reply, bool]:
            def effect() -> Reply:
                organisation = self.caller.organisation_id
                snapshot = change(session, job_id, organisation_id=organisation)
                return Reply(status=200, body=job_of(snapshot).model_dump(mode="json"))

            return once(session, self.key, effect)

        reply, replayed = written(self.services, step)
        mark(self.response, replayed=replayed)
        return Job.model_validate(reply.body)


ChangeDep = Annotated[JobChange, Depends()]
_ONE = "v1_fine_tuning_jobs__job_id_"
_LINKS = links(
    "job_id",
    get=f"get_job_{_ONE}_get",
    cancel=f"cancel_job_{_ONE}_cancel_post",
    pause=f"pause_job_{_ONE}_pause_post",
    resume=f"resume_job_{_ONE}_resume_post",
    events=f"list_events_{_ONE}_events_get",
    checkpoints=f"list_checkpoints_{_ONE}_checkpoints_get",
)
_MODEL = links(
    "model",
    member="fine_tuned_model",
    model="get_model_v1_models__model__get",
    evaluation="get_evaluation_v1_models__model__evaluation_get",
    predict="predict_v1_models__model__predictions_post",
)
_WAITED: Responses = {
    200: {
        "model": Job,
        "description": "The job has ended within the time of `Prefer: wait`.",
        "links": _LINKS | _MODEL,
    },
    202: {"links": _LINKS},
}
_EVENTS: Responses = {
    200: files("text/event-stream"),
    204: {"description": "A stream that resumes after the last event of a job that has ended."},
}


@router.post(
    "",
    status_code=202,
    responses=_WAITED
    | problems(
        "not_found",
        "unknown_backbone",
        "backbone_unavailable",
        "unknown_method",
        "invalid_hyperparameter",
        "modality_mismatch",
        "label_mode_mismatch",
        "dataset_failed",
        "quota_exceeded",
        "idempotency_mismatch",
        "invalid_json",
        "bad_request",
    ),
)
async def create_job(
    *,
    body: NewJob,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    wish: WishDep,
    key: IdempotencyDep,
) -> Job:
    """Fine-tune: the dataset's version is pinned now, and the job outlives this process.

    A dataset that is still processing is fine; the job waits in `validating_files`.
    """
    organisation = caller.organisation_id
    reply, replayed = await to_thread.run_sync(_create, services, body, organisation, key)
    job = Job.model_validate(reply.body)
    mark(response, replayed=replayed)
    await wish.grant(services.waiting, JOB, job.id, done=ended)
    if wish.seconds:  # ended or not: it is told as it is by now
        job = await to_thread.run_sync(_get, services, job.id, organisation)
    response.headers["location"] = f"{router.prefix}/{job.id}"
    response.status_code = 200 if ended(job.status) else reply.status
    return job


def _create(
    services: Services, body: NewJob, organisation_id: str, key: IdempotencyKey | None
) -> tuple[Reply, bool]:
    """Create the job once for its key, if it has one."""
    stored = replay(services.sessions, key)
    if stored is not None:
        return stored, True
    with writing(services) as session:

        def effect() -> Reply:
            snapshot = service.create(
                session, body, organisation_id=organisation_id, settings=services.settings
            )
            return Reply(status=202, body=job_of(snapshot).model_dump(mode="json"))

        return once(session, key, effect)


def _get(services: Services, job_id: str, organisation_id: str) -> Job:
    with reading(services.sessions) as session:
        return job_of(job_queries.get(session, job_id, organisation_id=organisation_id))


@router.get("", openapi_extra={"parameters": [_METADATA_PARAMETER]})
def list_jobs(
    request: Request,
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("ftjob-")] = None,
    limit: Limit = 20,
) -> Page[Job]:
    """The organisation's jobs, newest first."""
    snapshots = job_queries.listing(
        session,
        organisation_id=caller.organisation_id,
        after=after,
        limit=limit + 1,
        metadata=_metadata(request),
    )
    return page(snapshots, limit, job_of)


def _metadata(request: Request) -> dict[str, str]:
    matches = ((_METADATA.fullmatch(name), value) for name, value in request.query_params.items())
    wanted = {match[1]: value for match, value in matches if match}
    if len(wanted) > MOST_METADATA:
        why = f"metadata: at most {MOST_METADATA}, as many as a job can have"
        raise HeadstartError("invalid_request", why, param="metadata")
    if any("\0" in text for pair in wanted.items() for text in pair):
        raise HeadstartError("invalid_request", "metadata: no NUL characters", param="metadata")
    return wanted


@router.get("/{job_id}", responses={200: {"links": _MODEL}, **problems("not_found")})
async def get_job(job_id: JobId, caller: Reader, services: ServicesDep, wish: WishDep) -> Job:
    """One job; with `Prefer: wait=N`, as soon as it has ended."""
    organisation = caller.organisation_id
    job = await to_thread.run_sync(_get, services, job_id, organisation)
    if not ended(job.status) and await wish.grant(services.waiting, JOB, job_id, done=ended):
        job = await to_thread.run_sync(_get, services, job_id, organisation)
    return job


@router.post("/{job_id}/cancel", responses=CANCEL_PROBLEMS)
def cancel_job(change: ChangeDep, job_id: JobId) -> Job:
    """Cancel: what is queued never runs, what runs is stopped, and no model will appear."""
    return change(service.cancel, job_id)


@router.post("/{job_id}/pause", responses=CANCEL_PROBLEMS)
def pause_job(change: ChangeDep, job_id: JobId) -> Job:
    """Hold the job: what waits is not begun, what runs is stopped within a second.

    What it has embedded is kept.
    """
    return change(service.pause, job_id)


@router.post("/{job_id}/resume", responses=CANCEL_PROBLEMS)
def resume_job(change: ChangeDep, job_id: JobId) -> Job:
    """Let a paused job wait for its turn again; what was embedded is there, its fit begins anew."""
    return change(service.resume, job_id)


@router.get(
    "/{job_id}/events",
    response_model=Page[JobEvent],
    responses={**_EVENTS, **problems("not_found")},
)
def list_events(
    *,
    request: Request,
    response: Response,
    job_id: JobId,
    caller: Reader,
    services: ServicesDep,
    after: Annotated[str | None, cursor("ftevent-", rest="[0-9]{1,18}")] = None,
    limit: Limit = 20,
    last_event_id: Annotated[str | None, Header(max_length=200, include_in_schema=False)] = None,
) -> Page[JobEvent] | Response:
    """The job's history, newest first.

    With `Accept: text/event-stream` it is a stream, oldest first, which follows the job to its end
    and resumes after `Last-Event-ID`; its last frame is `event: done`.
    """
    response.headers["vary"] = "Accept"
    with reading(services.sessions) as session:
        job_queries.require(session, job_id, organisation_id=caller.organisation_id)
    if events.wants_stream(request.headers.get("accept", "")):
        key = request.headers.get("authorization", "")
        return _stream(services, job_id, events.resume_point(last_event_id), key)
    with reading(services.sessions) as session:
        rows = job_queries.newest_events(
            session, job_id, before=event_number(after or ""), limit=limit + 1
        )
    return page(rows, limit, event_of)


def _stream(services: Services, job_id: str, after: int, key: str) -> Response:
    """204 tells a browser's EventSource, which reconnects by itself, that it has had everything."""
    batch = events.read(services, job_id, after)
    if after and batch.last and not batch.events:
        return Response(status_code=204, headers={"vary": "Accept"})
    return events.stream(services, job_id, after=after, key=key)


@router.get("/{job_id}/checkpoints", responses=problems("not_found"))
def list_checkpoints(
    job_id: JobId,
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("ftckpt_")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="How many items at most.")] = 10,
) -> Page[JobCheckpoint]:
    """The metrics after each epoch (`linear`) or of the final fit, latest first."""
    job = job_queries.get(session, job_id, organisation_id=caller.organisation_id).job
    rows = job_queries.checkpoints(session, job_id, after=after, limit=limit + 1)
    return page(rows, limit, lambda row: checkpoint_of(row, job.model_id))
