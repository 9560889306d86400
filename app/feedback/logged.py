"""`/v1/models/{model}/audit`, `/suggestions` and `/logged`: what was asked, to be labelled."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Response

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.live import suggesting
from app.core.live.suggesting import Candidate, Suggestion
from app.core.live.vectors import unpacked
from app.feedback import giving
from app.feedback.endpoints import Name
from app.feedback.recording import flush
from app.feedback.schemas import AuditDraw, LoggedInput, SuggestedInput, SuggestionList
from app.feedback.views import logged_of
from app.http.dependencies import Reader, Services, ServicesDep
from app.http.openapi import files, path_id, problems
from app.http.pages import Limit
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.infra.orm import LoggedPredictionRow
from app.infra.repositories.live import feedback as rows
from app.infra.repositories.live import log as log_rows
from app.infra.repositories.targets import ResolvedModel

router = APIRouter(route_class=StrictRoute, prefix="/v1/models/{model}", tags=["models in use"])
LoggedId = Annotated[str, path_id("The logged input's id.", "log_01ke4e2b7c9d1f3g5h7j9k1m3n")]
_CONSIDERED = 1000
_DRAWN = (
    "uniformly at random: each input's lot is drawn when it is written down, and the lowest lots "
    "without audited feedback come first, whatever volunteers have said of them"
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
