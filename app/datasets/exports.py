"""`/v1/datasets/{id}/versions/{n}/export`: a version in another tool's form."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.responses import StreamingResponse

from app.core.errors import HeadstartError
from app.core.modalities import MODALITIES
from app.datasets.export import gathered
from app.datasets.exporting import Exported, Exporter, Format, exported
from app.datasets.lookup import DatasetId, find, usable
from app.http.dependencies import Reader, Services, ServicesDep
from app.http.openapi import files, problems
from app.http.routes import StrictRoute
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.storage import staging
from app.uploads import blobs

router = APIRouter(route_class=StrictRoute, prefix="/{dataset_id}/versions/{number}/export")

MEDIA_TYPES = (
    "application/x-tar",
    "application/json",
    "application/jsonl",
    "application/vnd.apache.parquet",
    "text/csv",
)
_AGAIN = (
    "It can be uploaded again, and is exact: in CSV a spreadsheet may take a text for a formula."
)
_CODES = (
    "not_found",
    "not_ready",
    "export_unsupported",
    "export_failed",
    "dataset_corrupt",
    "storage_unavailable",
)


@router.get(
    "",
    response_class=StreamingResponse,
    responses={200: files(*MEDIA_TYPES), **problems(*_CODES)},
)
def export_version(
    dataset_id: DatasetId,
    number: Annotated[int, Path(examples=[1])],
    *,
    caller: Reader,
    services: ServicesDep,
    form: Annotated[Format, Query(alias="format", description=_AGAIN)],
) -> Response:
    """A version's usable examples with labels, groups and splits, in the form that tools read."""
    snapshot = find(services, caller, dataset_id, number)
    told = _exported(services, snapshot, form)
    name = f"{snapshot.dataset.id}-v{snapshot.version.number}-{form}.{told.suffix}"
    return StreamingResponse(
        gathered(told.content),
        media_type=told.media_type,
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _exported(services: Services, snapshot: DatasetSnapshot, form: Format) -> Exported:
    if snapshot.version.status == "processing":
        raise HeadstartError("not_ready", "the version is still processing", retry_after=1)
    organisation_id = snapshot.dataset.organisation_id
    packs = {
        pack: blobs.open_pack(services, organisation_id, pack) for pack in snapshot.version.packs
    }
    examples = usable(services, snapshot)
    blobs.check(services, organisation_id, examples)
    exporter = Exporter(
        examples=examples,
        open_pack=packs.__getitem__,
        staging=staging(services.settings),
    )
    return exported(exporter, MODALITIES[snapshot.dataset.modality].name, form)
