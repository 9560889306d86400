"""`/v1/aliases/{name}/promotions`, `/history` and `/rollback`: how an alias comes to move."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Body, Response
from sqlalchemy.orm import Session

from app.core.class_figures import wilson
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.times import whole
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing
from app.http.idempotency import IdempotencyDep, mark, once, replay
from app.http.openapi import path_id, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import PROMOTION, WishDep
from app.infra.database import reading
from app.infra.orm import AliasMoveRow, PromotionRow
from app.infra.repositories import aliases, targets
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.infra.repositories.retraining import agreement, endings, moves, promotions, webhooks
from app.infra.repositories.retraining.moves import Move
from app.infra.repositories.retraining.promotions import MovedError, NewPromotion
from app.models.alias_schemas import (
    Alias,
    AliasMove,
    LabelDifference,
    NewPromotionRequest,
    NewRollback,
    Promotion,
    ShadowAgreement,
)
from app.models.alias_views import Name, alias_of, refuse_backbone, sound_model
from app.models.pins import hold, make_ready

router = APIRouter(route_class=StrictRoute, prefix="/v1/aliases/{name}", tags=["aliases"])

DEFAULT_SECONDS = 30.0
"""How long a request without `Prefer` waits for the verdict."""
_TRIES = 5
"""Of a forced promotion, while others move the alias."""
PromotionId = Annotated[str, path_id("The promotion's id.", "prom_01ke4d8m3r5t7v9x1z2b4d6f8h")]


@router.post(
    "/promotions",
    status_code=201,
    responses={
        202: {"model": Promotion, "description": "It is not decided yet; `verdict` is null."},
        **problems(
            "not_found",
            "not_ready",
            "in_flight",
            "modality_mismatch",
            "label_mode_mismatch",
            "dataset_failed",
            "invalid_value",
            "model_corrupt",
            "idempotency_mismatch",
            "invalid_json",
            "bad_request",
        ),
    },
)
async def promote(
    *,
    name: Name,
    body: NewPromotionRequest,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    wish: WishDep,
    key: IdempotencyDep,
) -> Promotion:
    """Let a candidate try to take the alias's place, on held-out examples that both are asked.

    It waits half a minute for the verdict, or as long as `Prefer: wait=N` says.
    """
    await to_thread.run_sync(refuse_backbone, services, name)
    organisation_id = caller.organisation_id
    model = await to_thread.run_sync(sound_model, services, organisation_id, body.candidate)
    await make_ready(services, organisation_id, model)
    asked = NewPromotion(
        alias=name,
        candidate=model.id,
        gate=body.gate,
        actor=caller.key_id,
        force=body.force,
        note=body.reason,
    )
    reply, replayed = await to_thread.run_sync(ask, services, asked, organisation_id, key)
    mark(response, replayed=replayed)
    found = Promotion.model_validate(reply.body)
    if found.status == "waiting":
        await _until_decided(services, wish, found.id)
        found = await to_thread.run_sync(_read, services, organisation_id, name, found.id)
    services.resolver.forget()
    response.status_code = 202 if found.status == "waiting" else 201
    response.headers["location"] = f"/v1/aliases/{name}/promotions/{found.id}"
    return found


async def _until_decided(services: Services, wish: WishDep, row_id: str) -> None:
    if wish.seconds:
        await wish.grant(services.waiting, PROMOTION, row_id, done=_over)
    else:
        await services.waiting.until(PROMOTION, row_id, done=_over, seconds=DEFAULT_SECONDS)


def _over(status: str | None) -> bool:
    return status != "waiting"


def ask(
    services: Services, new: NewPromotion, organisation_id: str, key: IdempotencyKey | None
) -> tuple[Reply, bool]:
    """The promotion as it was asked for, and whether that is a replay.

    A forced one moves whatever the alias means by then. Raises in_flight where that changes again
    and again, and as `promotions.ask`.
    """
    stored = replay(services.sessions, key)
    if stored is not None:
        return stored, True
    for _ in range(_TRIES):
        with suppress(MovedError):
            return _asked(services, new, organisation_id, key)
    raise HeadstartError("in_flight", "the alias has just moved; try again", retry_after=1)


def _asked(
    services: Services, new: NewPromotion, organisation_id: str, key: IdempotencyKey | None
) -> tuple[Reply, bool]:
    """Raises MovedError where the alias moved in between: what it means now is to be asked of."""
    with writing(services) as session:

        def effect() -> Reply:
            row = promotions.ask(session, new, organisation_id=organisation_id)
            if row.status != "waiting":
                endings.promotion_ended(session, row)
            return Reply(status=201, body=promotion_of(row).model_dump(mode="json"))

        return once(session, key, effect)


def _read(services: Services, organisation_id: str, name: str, promotion_id: str) -> Promotion:
    with reading(services.sessions) as session:
        return promotion_of(
            promotions.get(session, promotion_id, organisation_id=organisation_id, alias=name)
        )


@router.get("/promotions", responses=problems("not_found"))
def list_promotions(
    name: Name,
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("prom_")] = None,
    limit: Limit = 20,
) -> Page[Promotion]:
    """What was tried on an alias, newest first."""
    whose = caller.organisation_id
    rows = promotions.listing(
        session, organisation_id=whose, alias=name, after=after, limit=limit + 1
    )
    if not rows:
        _require(session, whose, name)
    return page(rows, limit, promotion_of)


@router.get("/promotions/{promotion_id}", responses=problems("not_found"))
async def get_promotion(
    name: Name, promotion_id: PromotionId, *, caller: Reader, services: ServicesDep, wish: WishDep
) -> Promotion:
    """One promotion; with `Prefer: wait=N`, as soon as it is decided."""
    whose = caller.organisation_id
    found = await to_thread.run_sync(_read, services, whose, name, promotion_id)
    if found.status == "waiting" and await wish.grant(
        services.waiting, PROMOTION, promotion_id, done=_over
    ):
        found = await to_thread.run_sync(_read, services, whose, name, promotion_id)
    return found


@router.get("/history", responses=problems("not_found"))
def list_history(
    name: Name,
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("move_")] = None,
    limit: Limit = 20,
) -> Page[AliasMove]:
    """What an alias has meant, since when, by whom and why, newest first; it outlives the alias."""
    whose = caller.organisation_id
    rows = moves.listing(session, organisation_id=whose, alias=name, after=after, limit=limit + 1)
    if not rows:
        _require(session, whose, name)
    return page(rows, limit, move_of)


@router.get("/shadow", responses=problems("not_found"))
def get_shadow(name: Name, caller: Reader, session: Reading) -> ShadowAgreement:
    """How often the alias's shadow says what its model says, since it stands beside it."""
    whose = caller.organisation_id
    alias = aliases.find(session, organisation_id=whose, name=name)
    if alias.shadow is None:
        raise HeadstartError("not_found", "the alias has no shadow", param="name")
    row = agreement.find(
        session,
        organisation_id=whose,
        alias=name,
        model_id=alias.model_id,
        shadow_id=alias.shadow,
    )
    compared, agreed = (row.compared, row.agreed) if row is not None else (0, 0)
    low, high = wilson(agreed, compared)
    value = agreed / compared if compared else None
    return ShadowAgreement(
        alias=name,
        model=alias.model_id,
        shadow=alias.shadow,
        compared=compared,
        agreed=agreed,
        agreement={"value": value, "low": low, "high": high},
        differences=[
            LabelDifference(label=label, shadow_label=other, count=number)
            for label, other, number in (row.differences if row is not None else [])
        ],
    )


@router.post(
    "/rollback",
    responses=problems(
        "not_found",
        "invalid_transition",
        "model_corrupt",
        "idempotency_mismatch",
        "invalid_json",
        "bad_request",
    ),
)
async def roll_back(
    *,
    name: Name,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    key: IdempotencyDep,
    body: Annotated[NewRollback | None, Body()] = None,
) -> Alias:
    """Let an alias mean what it meant before, at once; its split and shadow end.

    Once more goes back once more. A former model that was deleted is passed over.
    """
    reason = body.reason if body is not None else None
    reply, replayed = await to_thread.run_sync(_roll_back, services, caller, name, reason, key)
    mark(response, replayed=replayed)
    alias = Alias.model_validate(reply.body)
    services.resolver.forget()
    await _hold(services, caller.organisation_id, alias)
    return alias


async def _hold(services: Services, organisation_id: str, alias: Alias) -> None:
    model = await to_thread.run_sync(_model, services, organisation_id, alias.model)
    if model is not None:
        await hold(services, organisation_id, model, alias=alias.name, pinned=alias.pinned)


def _model(services: Services, organisation_id: str, name: str) -> Any:
    whose = (organisation_id, name)
    with reading(services.sessions) as session:
        return targets.find_all(session, [whose]).get(whose)


def _roll_back(
    services: Services,
    caller: Identity,
    name: str,
    reason: str | None,
    key: IdempotencyKey | None,
) -> tuple[Reply, bool]:
    stored = replay(services.sessions, key)
    if stored is not None:
        return stored, True
    with writing(services) as session:
        return once(session, key, lambda: _rolled_back(session, caller, name, reason, services))


def _rolled_back(
    session: Session, caller: Identity, name: str, reason: str | None, services: Services
) -> Reply:
    organisation_id = caller.organisation_id
    alias = aliases.find(session, organisation_id=organisation_id, name=name)
    was = alias.model_id
    model_id = moves.former(session, organisation_id=organisation_id, alias=alias)
    sound_model(services, organisation_id, model_id)
    move = Move(cause="rollback", actor=caller.key_id, reason=reason)
    row = moves.point(
        session, organisation_id=organisation_id, alias=name, model_id=model_id, move=move
    )
    told = {"alias": name, "object": "alias", "model": model_id, "from_model": was,
            "reason": reason}  # fmt: skip
    webhooks.emit(session, "model.rolled_back", told, organisation_id=organisation_id)
    return Reply(status=200, body=alias_of(row).model_dump(mode="json"))


def _require(session: Session, organisation_id: str, name: str) -> None:
    """Raise not_found where there neither is such an alias nor ever was."""
    moved = moves.listing(session, organisation_id=organisation_id, alias=name, after=None, limit=1)
    if not moved:
        aliases.find(session, organisation_id=organisation_id, name=name)


def promotion_of(row: PromotionRow) -> Promotion:
    """A promotion as its caller sees it."""
    fields: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("id", "alias", "candidate", "incumbent", "status", "verdict", "reason",
                     "evidence", "forced", "gate", "note", "error")
    }  # fmt: skip
    return Promotion(
        **fields,
        requested_by=row.actor,
        run=row.run_id,
        created_at=int(row.created_at),
        decided_at=whole(row.decided_at),
    )


def move_of(row: AliasMoveRow) -> AliasMove:
    """A line of history as its caller sees it."""
    cause: Any = row.cause
    return AliasMove(
        id=row.id,
        alias=row.alias,
        cause=cause,
        model=row.model_id,
        from_model=row.from_model_id,
        by=row.actor,
        reason=row.reason,
        promotion=row.promotion_id,
        evidence=row.evidence,
        created_at=int(row.created_at),
    )
