"""`/v1/aliases`: stable names. Moving one is what a deployment or a roll-back is."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter

from app.core.identity import Identity
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing
from app.http.openapi import DeletedObject, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.schemas import Deletion
from app.infra import erasure
from app.infra.database import reading
from app.infra.repositories import aliases, deletions
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.live import forgetting as live
from app.infra.repositories.retraining import moves
from app.infra.repositories.retraining.moves import Move
from app.models import traffic
from app.models.alias_schemas import Alias, AliasChange, NewAlias
from app.models.alias_views import Name, alias_of, refuse_backbone, sound_model
from app.models.pins import hold, let_go, make_ready
from app.uploads import deleting

router = APIRouter(route_class=StrictRoute, prefix="/v1/aliases", tags=["aliases"])


@router.get("")
def list_aliases(
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("[A-Za-z0-9]", rest="[A-Za-z0-9._@-]{0,127}")] = None,
    limit: Limit = 20,
) -> Page[Alias]:
    """The organisation's aliases in the order of their names."""
    rows = aliases.listing(
        session,
        organisation_id=caller.organisation_id,
        after=after,
        limit=limit + 1,
    )
    return page(rows, limit, alias_of)


@router.get("/{name}", responses=problems("not_found"))
def get_alias(name: Name, caller: Reader, session: Reading) -> Alias:
    """What an alias means now."""
    return alias_of(aliases.find(session, organisation_id=caller.organisation_id, name=name))


@router.put(
    "/{name}", responses=problems("not_found", "invalid_json", "invalid_value", "model_corrupt")
)
async def put_alias(name: Name, body: NewAlias, caller: Writer, services: ServicesDep) -> Alias:
    """Let a name mean a model, from the next request on here and within a second everywhere.

    A model whose stored head is damaged is refused, and the name goes on meaning what it meant.
    """
    organisation_id = caller.organisation_id
    await to_thread.run_sync(refuse_backbone, services, name)
    model = await to_thread.run_sync(sound_model, services, organisation_id, body.model)
    await make_ready(services, organisation_id, model)
    alias = await to_thread.run_sync(_put, services, caller, name, model.id, body.pinned)
    services.resolver.forget()
    await hold(services, organisation_id, model, alias=name, pinned=body.pinned)
    return alias


def _put(services: Services, caller: Identity, name: str, model_id: str, pinned: bool) -> Alias:
    move = Move(cause="put", actor=caller.key_id)
    with writing(services) as session:
        row = moves.point(
            session,
            organisation_id=caller.organisation_id,
            alias=name,
            model_id=model_id,
            move=move,
            pinned=pinned,
        )
        return alias_of(row)


@router.patch(
    "/{name}",
    responses=problems(
        "not_found", "not_ready", "in_flight", "invalid_json", "invalid_value", "modality_mismatch",
        "label_mode_mismatch", "model_corrupt",
    ),
)  # fmt: skip
async def change_alias(
    name: Name, body: AliasChange, caller: Writer, services: ServicesDep
) -> Alias:
    """Let other models answer a part of an alias's requests, or all of them unseen; or have what
    it says written down.
    """
    alias = await to_thread.run_sync(traffic.change, services, caller, name, body)
    services.resolver.forget()
    return alias


@router.delete("/{name}", responses=problems("not_found"))
async def delete_alias(name: Name, caller: Writer, services: ServicesDep) -> DeletedObject:
    """Forget a name; its model stays."""
    deletion = await to_thread.run_sync(_delete, services, caller, name)
    services.resolver.forget()
    await let_go(services, caller.organisation_id, alias=name)
    return DeletedObject(id=name, object="alias", deletion=deletion)


def _delete(services: Services, caller: Identity, name: str) -> Deletion:
    organisation_id = caller.organisation_id
    with reading(services.sessions) as session:
        aliases.find(session, organisation_id=organisation_id, name=name)
    before = erasure.shorten_log(services.sessions, organisation_id=organisation_id, alias=name)
    with writing(services) as session:
        row = aliases.find(session, organisation_id=organisation_id, name=name, lock=True)
        move = Move(cause="deleted", actor=caller.key_id)
        moves.record(
            session,
            organisation_id=organisation_id,
            alias=name,
            move=move,
            models=(row.model_id, None),
        )
        gone = live.forget_alias(session, row)
        aliases.delete(session, organisation_id=organisation_id, name=name)
        removed = gone.counting(before.inputs)
        doomed = Doomed(object="alias", id=name, removed=removed, files=gone.files)
        deletion_id = deletions.begin(
            session, doomed, organisation_id=organisation_id, deletion_id=before.deletion_id
        )
    return deleting.carried_out(services, deletion_id, organisation_id=organisation_id)
