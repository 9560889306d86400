"""`/v1/aliases`: stable names. Moving one is what a deployment or a roll-back is."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path

from app.core.errors import HeadstartError
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing
from app.http.openapi import DeletedObject, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.infra import weights
from app.infra.database import reading
from app.infra.orm import AliasRow
from app.infra.repositories import aliases, models
from app.infra.repositories.models import Resolved
from app.models.pins import hold, let_go, make_ready
from app.models.schemas import Alias, AliasName, NewAlias
from app.models.service import read_head

router = APIRouter(route_class=StrictRoute, prefix="/v1/aliases", tags=["aliases"])

Name = Annotated[AliasName, Path(description="The alias.", examples=["cells@production"])]


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
    return page(rows, limit, _alias_of)


@router.get("/{name}", responses=problems("not_found"))
def get_alias(name: Name, caller: Reader, session: Reading) -> Alias:
    """What an alias means now."""
    return _alias_of(aliases.find(session, organisation_id=caller.organisation_id, name=name))


@router.put(
    "/{name}", responses=problems("not_found", "invalid_json", "invalid_value", "model_corrupt")
)
async def put_alias(name: Name, body: NewAlias, caller: Writer, services: ServicesDep) -> Alias:
    """Let a name mean a model, from the next request on here and within a second everywhere.

    A model whose stored head is damaged is refused, and the name goes on meaning what it meant.
    """
    organisation_id = caller.organisation_id
    await to_thread.run_sync(_refuse_backbone, services, name)
    model = await to_thread.run_sync(_sound_model, services, organisation_id, body.model)
    await make_ready(services, organisation_id, model)
    alias = await to_thread.run_sync(_put, services, (organisation_id, name), model.id, body.pinned)
    services.resolver.forget()
    await hold(services, organisation_id, model, alias=name, pinned=body.pinned)
    return alias


def _refuse_backbone(services: Services, name: str) -> None:
    """A backbone's name would mean the backbone to embeddings and the alias to predictions."""
    if name in weights.registry(services.settings.weights_dir):
        why = f"{name} is a backbone's name, which `/v1/embeddings` reads as the backbone"
        raise HeadstartError("invalid_value", why, param="name")


def _sound_model(services: Services, organisation_id: str, name: str) -> Resolved:
    """The model, its head byte for byte what was registered. Raises not_found, model_corrupt."""
    with reading(services.sessions) as session:
        resolved = models.resolve(session, organisation_id=organisation_id, name=name)
    read_head(services.storage, resolved.artifact, sha256=resolved.sha256)
    return resolved


def _put(services: Services, alias: tuple[str, str], model_id: str, pinned: bool) -> Alias:
    organisation_id, name = alias
    with writing(services) as session:
        row = aliases.point(
            session, organisation_id=organisation_id, name=name, model_id=model_id, pinned=pinned
        )
        return _alias_of(row)


@router.delete("/{name}", responses=problems("not_found"))
async def delete_alias(name: Name, caller: Writer, services: ServicesDep) -> DeletedObject:
    """Forget a name; its model stays."""
    await to_thread.run_sync(_delete, services, caller.organisation_id, name)
    services.resolver.forget()
    await let_go(services, caller.organisation_id, alias=name)
    return DeletedObject(id=name, object="alias")


def _delete(services: Services, organisation_id: str, name: str) -> None:
    with writing(services) as session:
        aliases.delete(session, organisation_id=organisation_id, name=name)


def _alias_of(row: AliasRow) -> Alias:
    return Alias(
        id=row.name,
        name=row.name,
        model=row.model_id,
        pinned=row.pinned,
        updated_at=int(row.updated_at),
    )
