"""Heads that the predictor keeps ready because an alias means them."""

from __future__ import annotations

import structlog

from app.core.errors import HeadstartError
from app.core.messages import Call, Options, Target
from app.http.dependencies import Services
from app.infra.repositories.targets import ResolvedModel

log = structlog.get_logger()
_SOON = Options(timeout=10)


async def make_ready(held: Services, tenant: str, model: ResolvedModel) -> None:
    """Let the predictor verify a head and hold it, before an alias moves to it.

    Raises model_corrupt. A predictor that is away cannot say so, and is not serving either.
    """
    target = Target(
        model=model.id, backbone=model.backbone, artifact=model.artifact, sha256=model.sha256
    )
    call = Call(id="", tenant=tenant, target=target, options=_SOON, inputs=())
    try:
        await held.predictor.load(call)
    except HeadstartError as error:
        if error.code == "model_corrupt":
            raise
        log.warning("a head could not be made ready", model=model.id, code=error.code)


async def hold(
    held: Services, tenant: str, model: ResolvedModel, *, alias: str, pinned: bool
) -> None:
    """Let the predictor keep the head that `alias` means now, or no longer keep one for it.

    Other predictors learn it from the next request by that name; so does one that is away.
    """
    target = Target(
        model=model.id,
        backbone=model.backbone,
        artifact=model.artifact,
        sha256=model.sha256,
        alias=alias,
        pinned=pinned,
    )
    await _hold(held, Call(id="", tenant=tenant, target=target, options=_SOON, inputs=()))


async def let_go(held: Services, tenant: str, *, alias: str) -> None:
    """Tell the predictor that there is no such alias any more, so it keeps no head for it."""
    target = Target(model="", backbone="", artifact="", sha256="", alias=alias)
    await _hold(held, Call(id="", tenant=tenant, target=target, options=_SOON, inputs=()))


async def _hold(held: Services, call: Call) -> None:
    try:
        await held.predictor.hold(call)
    except HeadstartError as error:
        log.warning("a pin could not be changed", alias=call.target.alias, code=error.code)
