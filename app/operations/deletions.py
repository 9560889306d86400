"""`/v1/deletions`: how far the removal of what was deleted is; and an end to all of it at once."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query

from app.core.errors import HeadstartError
from app.core.identity import ORGANISATION
from app.http.dependencies import Admin, Reader, Reading, Services, ServicesDep, writing
from app.http.openapi import path_id, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.schemas import Deletion
from app.infra import erasure, storage_keys
from app.infra.database import reading
from app.infra.orm import LoggedPredictionRow, OrganisationRow
from app.infra.repositories import deletions, holds
from app.infra.repositories.deletions import Doomed, everything
from app.uploads import deleting

router = APIRouter(route_class=StrictRoute, prefix="/v1/deletions", tags=["deletions"])
contents = APIRouter(route_class=StrictRoute, prefix="/v1/organizations", tags=["organizations"])

DeletionId = Annotated[str, path_id("The deletion's id.", "del_01jd3v6s0q8m4f2k9x7c5b1n3a")]


@router.get("")
def list_deletions(
    caller: Reader,
    session: Reading,
    *,
    after: Annotated[str | None, cursor(deletions.PREFIX)] = None,
    limit: Limit = 20,
) -> Page[Deletion]:
    """What the organisation has deleted, and what has expired, newest first.

    Those that are done are kept for `HEADSTART_AUDIT_DAYS`.
    """
    rows = deletions.listing(
        session, organisation_id=caller.organisation_id, after=after, limit=limit + 1
    )
    return page(rows, limit, lambda row: deleting.deletion_of(session, row))


@router.get("/{deletion_id}", responses=problems("not_found"))
def get_deletion(deletion_id: DeletionId, caller: Reader, session: Reading) -> Deletion:
    """One deletion: `done` says that no row and no stored file has any of it."""
    row = deletions.get(session, deletion_id, organisation_id=caller.organisation_id)
    return deleting.deletion_of(session, row)


@contents.delete("/{organization}/content", responses=problems("not_found", "invalid_value"))
async def delete_organization_content(
    organization: Annotated[
        str,
        Path(pattern=ORGANISATION, description="Its name; `me` is the key's own.", examples=["me"]),
    ],
    confirm: Annotated[str, Query(description="The organisation's name once more, not `me`.")],
    caller: Admin,
    services: ServicesDep,
) -> Deletion:
    """Delete everything that an organisation holds: data, models, aliases, jobs, hooks, logs.

    Work under way ends. Its keys and bounds, audit log, usage records and deletions stay. Another
    organisation's than the key's needs the scope `operator`.
    """
    name = caller.organisation_id if organization == "me" else organization
    if name != caller.organisation_id:
        caller.require("operator")
    if confirm != name:
        raise HeadstartError("invalid_value", "confirm: it is not the name", param="confirm")
    told = await to_thread.run_sync(_delete_everything, services, name)
    services.resolver.forget()
    return told


def _delete_everything(services: Services, organisation_id: str) -> Deletion:
    with reading(services.sessions) as session:
        if session.get(OrganisationRow, organisation_id) is None:
            raise HeadstartError("not_found", "there is no such organisation", param="organization")
    before = erasure.shorten_log(services.sessions, organisation_id=organisation_id)
    with writing(services) as session:
        removed = Counter(everything.delete_rows(session, organisation_id=organisation_id))
        removed[LoggedPredictionRow.__tablename__] += before.inputs
        files = storage_keys.all_of(organisation_id)
        holds.end(session, files)
        doomed = Doomed(
            object=deletions.ORGANISATION,
            id=organisation_id,
            removed={name: count for name, count in removed.items() if count},
            files=files,
        )
        deletion_id = deletions.begin(
            session, doomed, organisation_id=organisation_id, deletion_id=before.deletion_id
        )
    return deleting.carried_out(services, deletion_id, organisation_id=organisation_id)
