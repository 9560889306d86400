"""`/v1/hooks`: what retrains by itself, and what came of it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.hooks import inbound, notes, service
from app.hooks.schemas import Hook, HookChange, HookRun, HookWithSecret, NewHook, TriggerCall
from app.http.dependencies import Reader, Reading, Services, ServicesDep, Writer, writing
from app.http.idempotency import IdempotencyDep, KeyHeader, key_of, mark, once
from app.http.openapi import DeletedObject, path_id, problems
from app.http.pages import Limit, Page, cursor, page
from app.http.routes import StrictRoute
from app.http.waiting import RUN, WishDep
from app.infra.database import reading
from app.infra.orm import HookRow
from app.infra.repositories import idempotency, sealing
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.infra.repositories.retraining import hook_runs

router = APIRouter(route_class=StrictRoute, prefix="/v1/hooks", tags=["hooks"])

HookId = Annotated[str, path_id("The hook's id.", "hook_01ke4d9n4s6u8w0y2a3c5e7g9j")]
RunId = Annotated[str, path_id("The run's id.", "run_01ke4da05t7v9x1z3b4d6f8h0k")]
_CHECKS = (
    "not_found",
    "unknown_backbone",
    "backbone_unavailable",
    "unknown_method",
    "invalid_hyperparameter",
    "modality_mismatch",
    "label_mode_mismatch",
    "dataset_failed",
    "invalid_value",
    "idempotency_mismatch",
    "invalid_json",
    "bad_request",
)
_MAKING = problems(*_CHECKS, "secrets_key_missing", "secret_unreadable")


Made = TypeVar("Made", bound=Hook)


@router.post("", status_code=201, responses=_MAKING)
def create_hook(
    *,
    body: NewHook,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    key: IdempotencyDep,
) -> HookWithSecret:
    """Retrain by itself from now on. The secret, which signs calls to the hook, is told once."""
    with writing(services) as session:

        def effect() -> Reply:
            secret, whose = service.new_secret(), caller.organisation_id
            row = service.create(session, services, body, secret, organisation_id=whose)
            told = service.hook_of(row, ()).model_dump(mode="json") | {"secret": secret}
            return Reply(status=201, body=told)

        reply, replayed = once(session, key, effect, vault=services.vault)
    mark(response, replayed=replayed)
    made = _with_notes(services, caller, HookWithSecret.model_validate(reply.body))
    response.headers["location"] = f"{router.prefix}/{made.id}"
    return made


def _with_notes(services: Services, caller: Identity, made: Made) -> Made:
    """What is said of a hook as things stand, made of manifests, for which no writer waits; of one
    that is gone, nothing.
    """
    said: list[str] = []
    with reading(services.sessions) as session, suppress(HeadstartError):
        row = service.get(session, made.id, organisation_id=caller.organisation_id)
        said = notes.of(session, services, row)
    return made.model_copy(update={"notes": said})


@router.get("")
def list_hooks(
    caller: Reader,
    services: ServicesDep,
    session: Reading,
    *,
    after: Annotated[str | None, cursor("hook_")] = None,
    limit: Limit = 20,
) -> Page[Hook]:
    """The organisation's hooks, newest first."""
    rows = service.listing(
        session, organisation_id=caller.organisation_id, after=after, limit=limit + 1
    )
    return page(rows, limit, partial(_shown, session, services))


def _shown(session: Session, services: Services, row: HookRow) -> Hook:
    return service.hook_of(row, notes.of(session, services, row))


@router.get("/{hook_id}", responses=problems("not_found"))
def get_hook(hook_id: HookId, caller: Reader, services: ServicesDep, session: Reading) -> Hook:
    """One hook."""
    row = service.get(session, hook_id, organisation_id=caller.organisation_id)
    return _shown(session, services, row)


@router.patch("/{hook_id}", responses=problems(*_CHECKS))
def change_hook(hook_id: HookId, body: HookChange, caller: Writer, services: ServicesDep) -> Hook:
    """Change what is named; a run that has begun goes on as it was."""
    with writing(services) as session:
        row = service.lock(session, hook_id, organisation_id=caller.organisation_id)
        service.change(session, services, row, body)
        changed = service.hook_of(row, ())
    return _with_notes(services, caller, changed)


@router.delete("/{hook_id}", responses=problems("not_found"))
def delete_hook(hook_id: HookId, caller: Writer, services: ServicesDep) -> DeletedObject:
    """Delete a hook and its runs; what they have made stays, and a job that runs goes on."""
    with writing(services) as session:
        row = service.lock(session, hook_id, organisation_id=caller.organisation_id)
        session.delete(row)
        idempotency.forget(session, caller.organisation_id, named=hook_id)
    return DeletedObject(id=hook_id, object="hook")


@router.post("/{hook_id}/secret", responses=problems("not_found", "secrets_key_missing"))
def renew_secret(hook_id: HookId, caller: Writer, services: ServicesDep) -> HookWithSecret:
    """A new secret; the old one signs nothing any more."""
    with writing(services) as session:
        row = service.lock(session, hook_id, organisation_id=caller.organisation_id)
        secret = service.new_secret()
        row.secret = sealing.kept(session, services.vault, secret, row)
        shown = service.hook_of(row, ()).model_dump()
        renewed = HookWithSecret(**shown, secret=secret)
    return _with_notes(services, caller, renewed)


@router.get("/{hook_id}/runs", responses=problems("not_found"))
def list_runs(
    hook_id: HookId,
    caller: Reader,
    session: Reading,
    after: Annotated[str | None, cursor("run_")] = None,
    limit: Limit = 20,
) -> Page[HookRun]:
    """What came of each trigger, newest first."""
    hook = service.get(session, hook_id, organisation_id=caller.organisation_id)
    rows = hook_runs.listing(session, hook, after=after, limit=limit + 1)
    return page(rows, limit, service.run_of)


@router.get("/{hook_id}/runs/{run_id}", responses=problems("not_found"))
async def get_run(
    hook_id: HookId, run_id: RunId, *, caller: Reader, services: ServicesDep, wish: WishDep
) -> HookRun:
    """One run; with `Prefer: wait=N`, as soon as it has ended."""
    whose = caller.organisation_id
    run = await to_thread.run_sync(_run, services, whose, hook_id, run_id)
    if run.status not in hook_runs.ENDED and await wish.grant(
        services.waiting, RUN, run_id, done=_ended
    ):
        run = await to_thread.run_sync(_run, services, whose, hook_id, run_id)
    return run


def _ended(status: Any) -> bool:
    return status is None or status in hook_runs.ENDED


def _run(services: Services, organisation_id: str, hook_id: str, run_id: str) -> HookRun:
    with reading(services.sessions) as session:
        hook = service.get(session, hook_id, organisation_id=organisation_id)
        return service.run_of(hook_runs.get(session, hook, run_id))


_CALL: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {"application/json": {"schema": TriggerCall.model_json_schema()}},
    },
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": f"{said}, of a call without a key (Standard Webhooks).",
            "schema": {"type": "string"},
        }
        for name, said in (
            ("webhook-id", "The message's id"),
            ("webhook-timestamp", "Seconds since 1970"),
            ("webhook-signature", "`v1,` and the signature by the hook's secret"),
        )
    ],
}


@router.post(
    "/{hook_id}/trigger",
    status_code=202,
    responses=problems(
        "not_found", "replayed", "secret_unreadable", "invalid_json", "bad_request",
        "idempotency_mismatch", "in_flight",
    ),
    openapi_extra=_CALL,
)  # fmt: skip
async def trigger_hook(
    hook_id: HookId,
    services: ServicesDep,
    request: Request,
    response: Response,
    header: KeyHeader = None,
) -> HookRun:
    """Call a hook, with a key that may write or signed with the hook's secret.

    The run begins after the debounce; while one waits, this call joins it. What tells a call that
    is repeated is its `Idempotency-Key`, and of a signed one `webhook-id`.
    """
    body = await request.body()
    identity: Identity | None = getattr(request.state, "identity", None)
    if identity is None:
        run = await to_thread.run_sync(_signal, services, hook_id, body, dict(request.headers))
    else:
        identity.require("write")
        key = key_of(request, header, content=body)
        run, replayed = await to_thread.run_sync(_call, services, hook_id, identity, body, key)
        mark(response, replayed=replayed)
    response.headers["location"] = f"{router.prefix}/{hook_id}/runs/{run.id}"
    return run


def _call(
    services: Services, hook_id: str, caller: Identity, body: bytes, key: IdempotencyKey | None
) -> tuple[HookRun, bool]:
    """The run of a call with a key, and whether it is told again."""
    with writing(services) as session:
        row = hook_runs.lock_hook(session, hook_id)
        if row is None or row.organisation_id != caller.organisation_id:
            raise service.missing()

        def effect() -> Reply:
            cause = inbound.cause(caller, None, inbound.call_of(body))
            run = service.run_of(hook_runs.trigger(session, row, cause))
            return Reply(status=202, body=run.model_dump(mode="json"))

        reply, replayed = once(session, key, effect)
    return HookRun.model_validate(reply.body), replayed


def _signal(services: Services, hook_id: str, body: bytes, headers: dict[str, str]) -> HookRun:
    """The run of a signed call."""
    with reading(services.sessions) as session:  # who has signed nothing waits for no lock
        _signed(services, session.get(HookRow, hook_id), body, headers)
    with writing(services) as session:
        row, message_id = _signed(services, hook_runs.lock_hook(session, hook_id), body, headers)
        inbound.take(session, row, message_id)
        cause = inbound.cause(None, message_id, inbound.call_of(body))
        return service.run_of(hook_runs.trigger(session, row, cause))


def _signed(
    services: Services, row: HookRow | None, body: bytes, headers: dict[str, str]
) -> tuple[HookRow, str]:
    """The hook that a caller without a key may trigger, and its message's id."""
    if row is None or not any(one["type"] == "inbound" for one in row.triggers):
        raise inbound.refused()
    return row, inbound.verify(sealing.told(services.vault, row.secret, row), body, headers)
