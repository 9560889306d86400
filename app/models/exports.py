"""`…/artifacts/{onnx|openvino|torch}`: made by a worker on request, waited for, then handed out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import Response
from fastapi.responses import FileResponse
from pydantic_core import to_json

from app.core.errors import HeadstartError
from app.core.exports import filename, unsupported
from app.core.identity import Identity
from app.http.dependencies import Services, writing
from app.http.waiting import WORK, Wish
from app.infra.database import now, reading
from app.infra.orm import ModelRow, WorkRow
from app.infra.repositories import exports, models
from app.models.schemas import Export

DEFAULT_SECONDS = 10.0
"""How long a request without `Prefer` waits."""
FAILURE_SECONDS = 30.0
"""For so long a failure is the answer; who asks later has it tried again."""
_RETRY_AFTER = 5
_UNFINISHED = frozenset({"queued", "running"})


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How an export stands: its work, and its file once it is made."""

    model: str
    work: str
    state: str
    file: Path | None


async def answer(
    services: Services, caller: Identity, name: str, *, export_format: str, wish: Wish
) -> Response:
    """The bundle; or 202 while it is being made. Raises what its making has failed of."""
    look = partial(standing, services, caller, name, export_format)
    found = await to_thread.run_sync(look)
    if found.file is None and await _wait(services, found.work, wish):
        found = await to_thread.run_sync(look)
    made = found.file is not None
    return _bundle(found, export_format) if made else _pending(found, export_format)


async def _wait(services: Services, work_id: str, wish: Wish) -> bool:
    if wish.seconds:
        return await wish.grant(services.waiting, WORK, work_id, done=_ended)
    return await services.waiting.until(WORK, work_id, done=_ended, seconds=DEFAULT_SECONDS)


def _ended(state: Any) -> bool:
    return state not in _UNFINISHED


def standing(services: Services, caller: Identity, name: str, export_format: str) -> Standing:
    """How it stands now, its work queued if need be: that takes the scope `write`.

    Raises not_found, forbidden and why it has failed.
    """
    with reading(services.sessions) as session:
        model = models.find(session, organisation_id=caller.organisation_id, name=name)
        _refuse_unsupported(model, export_format)
        row = exports.find(session, model, export_format)
        at = now(session)
    file = _file(services, row)
    if file is None:
        _raise_failure(row, at)
        if row is None or row.state not in _UNFINISHED:
            caller.require("write")
        row = _asked(services, model, export_format, row)
    assert row is not None
    return Standing(model=model.id, work=row.id, state=row.state, file=file)


def _refuse_unsupported(model: ModelRow, export_format: str) -> None:
    why = unsupported(export_format, modality=model.modality, method=model.method)
    if why is not None:
        raise HeadstartError("export_unsupported", why, param="name")


def _file(services: Services, row: WorkRow | None) -> Path | None:
    """The finished bundle, if it has not been swept away."""
    if row is None or row.state != "done":
        return None
    try:
        return services.storage.fetch(row.payload["key"])
    except FileNotFoundError:
        return None


def _raise_failure(row: WorkRow | None, at: float) -> None:
    """Say why the last try failed, for a while."""
    if row is None or row.state != "failed" or row.finished_at is None or row.error is None:
        return
    left = row.finished_at + FAILURE_SECONDS - at
    if left > 0:
        error = row.error
        raise HeadstartError(error["code"], error["message"], retry_after=max(1.0, left))


def _asked(
    services: Services, model: ModelRow, export_format: str, seen: WorkRow | None
) -> WorkRow:
    """The export's work, queued if it is not under way. Raises not_found."""
    with writing(services) as session:
        fresh = models.find(session, organisation_id=model.organisation_id, name=model.id)
        stale = seen.finished_at if seen is not None else None
        return exports.ask(session, fresh, export_format, stale=stale)


def _bundle(standing: Standing, export_format: str) -> Response:
    assert standing.file is not None
    name = filename(standing.model, export_format)
    return FileResponse(standing.file, media_type="application/zip", filename=name)


def _pending(standing: Standing, export_format: str) -> Response:
    path = f"/v1/models/{standing.model}/artifacts/{export_format}"
    body = Export(model=standing.model, format=export_format, status=standing.state)
    headers = {"location": path, "retry-after": str(_RETRY_AFTER)}
    return Response(
        to_json(body.model_dump()), status_code=202, media_type="application/json", headers=headers
    )
