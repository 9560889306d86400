"""`/v1/aliases`: stable names. Moving one is what a deployment or a roll-back is."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Request

from app.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing
from app.infra.orm import AliasRow
from app.infra.repositories import aliases, models
from app.models.schemas import Alias, AliasName, NewAlias
from app.models.service import forget_names
from app.openapi import DeletedObject, problems
from app.pages import Limit, Page, cursor, page
from app.strict_json import StrictRoute

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


@router.put("/{name}", responses=problems("not_found", "invalid_json"))
async def put_alias(
    name: Name, body: NewAlias, caller: Writer, services: ServicesDep, request: Request
) -> Alias:
    """Let a name mean a model, from the next request on here and within a second everywhere."""
    alias = await to_thread.run_sync(_put, services, caller.organisation_id, name, body.model)
    forget_names(request)
    return alias


def _put(services: Services, organisation_id: str, name: str, model: str) -> Alias:
    with writing(services) as session:
        found = models.resolve(session, organisation_id=organisation_id, name=model)
        return _alias_of(
            aliases.point(session, organisation_id=organisation_id, name=name, model_id=found.id)
        )


@router.delete("/{name}", responses=problems("not_found"))
async def delete_alias(
    name: Name, caller: Writer, services: ServicesDep, request: Request
) -> DeletedObject:
    """Forget a name; its model stays."""
    await to_thread.run_sync(_delete, services, caller.organisation_id, name)
    forget_names(request)
    return DeletedObject(id=name, object="alias")


def _delete(services: Services, organisation_id: str, name: str) -> None:
    with writing(services) as session:
        aliases.delete(session, organisation_id=organisation_id, name=name)


def _alias_of(row: AliasRow) -> Alias:
    return Alias(id=row.name, name=row.name, model=row.model_id, updated_at=int(row.updated_at))
