"""`GET /v1/models/{model}/drift`: is the model still asked what it was asked at first?"""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from app.core.live import drifting
from app.core.live.rule import DAY_SECONDS, PredictionLog
from app.feedback.drift_schemas import Drift, DriftReference, DriftWindow
from app.feedback.endpoints import Name
from app.feedback.recording import flush
from app.http.dependencies import Reader, Services, ServicesDep
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra.database import now, reading
from app.infra.orm import DriftReferenceRow, DriftWindowRow
from app.infra.repositories.live import drift as rows
from app.infra.repositories.live.drift import Watched
from app.infra.repositories.targets import ResolvedModel

router = APIRouter(route_class=StrictRoute, prefix="/v1/models/{model}", tags=["models in use"])


@router.get("/drift", responses=problems("not_found", "not_ready"))
async def get_drift(
    model: Name,
    caller: Reader,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=100, description="How many windows at most.")] = 10,
) -> Drift:
    """Whether the model's live inputs, or its answers, differ from the first that it was asked.

    Measured on the alias's prediction log; a webhook `drift.detected` and hooks' `drift` triggers
    tell of it as it happens.
    """
    resolved = await services.resolver.resolve(caller.organisation_id, model)
    await flush(services)
    return await to_thread.run_sync(_drift, services, caller.organisation_id, resolved, limit)


def _drift(services: Services, organisation_id: str, resolved: ResolvedModel, limit: int) -> Drift:
    with reading(services.sessions) as session:
        alias = resolved.alias or rows.of_model(
            session, organisation_id=organisation_id, model_id=resolved.id
        )
        of = Watched(organisation_id=organisation_id, alias=alias, model_id=resolved.id)
        row = rows.alias_of(session, of)
        rule = (
            PredictionLog.model_validate(row.prediction_log) if row and row.prediction_log else None
        )
        return _told(session, of, rule, limit)


def _told(session: Session, of: Watched, rule: PredictionLog | None, limit: int) -> Drift:
    first = rows.reference(session, of)
    windows = [window_of(row) for row in rows.windows(session, of, limit=limit)]
    waiting = rows.waiting(session, of)
    return Drift(
        model=of.model_id,
        alias=of.alias or None,
        status="off" if rule is None else "collecting" if first is None else "watching",
        drifted=windows[0].drifted if windows else None,
        reference=_reference_of(first) if first is not None else None,
        window_size=rule.window if rule is not None else None,
        waiting=waiting,
        windows=windows,
        method=drifting.METHOD,
        false_alarms=drifting.FALSE_ALARMS,
        notes=_notes(session, of, rule, first, waiting),
    )


def _reference_of(row: DriftReferenceRow) -> DriftReference:
    return DriftReference(size=row.size, first_at=int(row.first_at), last_at=int(row.last_at))


def window_of(row: DriftWindowRow) -> DriftWindow:
    """A window as its caller sees it."""
    return DriftWindow(
        id=row.id,
        number=row.number,
        size=row.size,
        drifted=row.drifted,
        first_at=int(row.first_at),
        last_at=int(row.last_at),
        **row.result,
    )


def _notes(
    session: Session,
    of: Watched,
    rule: PredictionLog | None,
    first: DriftReferenceRow | None,
    waiting: int,
) -> list[str]:
    """Why there is less to see than its reader may expect."""
    if not of.alias:
        return ["logs are of aliases: ask for an alias"]
    if rule is None:
        return ["the alias has no prediction log: PATCH /v1/aliases/{name} with prediction_log"]
    wanted = rule.reference if first is None else rule.window
    notes = [] if waiting >= wanted else [f"{wanted - waiting} more logged inputs are needed"]
    oldest = rows.oldest(session, of)
    if oldest is not None and waiting < wanted:
        lasted = (now(session) - oldest) / DAY_SECONDS
        if lasted > 0.5 * rule.retention_days:
            notes.append(
                "inputs may be deleted before so many have come: raise rate or retention_days"
            )
    return notes
