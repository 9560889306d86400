"""One prediction's way: the model it means now, its inputs, the predictor's bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog
from anyio import to_thread
from starlette.requests import ClientDisconnect

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.ids import new_id
from app.core.messages import Call, Input, Options, Target
from app.core.modalities import MODALITIES
from app.http.body import Message, Receive
from app.http.dependencies import Services
from app.http.strict_json import AT_ONCE, SHORT
from app.infra.predictor_client import Answer
from app.infra.repositories.retraining.agreement import Differences
from app.infra.repositories.targets import ResolvedModel
from app.predictions.inputs import is_raw, read_inputs
from app.predictions.options import check_explainable, preferring, read_options
from app.predictions.traffic_split import chosen, parted

log = structlog.get_logger()
PREDICTION = "pred_"
"""How predictions' ids begin. They are never made of a request's id, which a client may repeat:
feedback finds one prediction by its id.
"""
_PATIENCE = 0.02
"""Seconds before a waiting request begins to watch whether its client is still there."""
Inputs = Callable[[ResolvedModel], tuple[tuple[Input, ...], bool]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request for predictions, as its head says it."""

    model: str
    identity: Identity
    query: str
    content_type: str
    cache: str
    prefer: str
    sticky: str = ""
    """Requests with the same one are answered by the same model of a split alias."""
    store: bool = True
    """Whether the alias's log, if it has one, may write it down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What goes to the predictor, but for the models' versions; `inputs` says if it is one raw.

    `others` are asked about the same inputs as `model`; all of them read one modality.
    """

    id: str
    tenant: str
    model: str
    options: Options
    inputs: Inputs
    others: tuple[str, ...] = ()
    long: bool = False
    """Whether reading the inputs takes more than a moment."""
    sticky: str = ""
    store: bool = False
    """Whether the alias's log, if it has one, may write it down: its caller has not refused."""

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that is asked, in order."""
        return (self.model, *self.others)


async def predict(held: Services, wanted: Wanted, receive: Receive) -> Answer:
    """The answer to a request. Raises HeadstartError, ClientDisconnect.

    An overloaded predictor is said before the body is read.
    """
    wanted.identity.require("predict")
    tenant = wanted.identity.organisation_id
    held.predictor.admit(tenant)
    options = preferring(read_options(wanted.query, wanted.cache), wanted.prefer)
    _turn_away(held, wanted, options)
    body = await counted_body(held, tenant, receive)

    def inputs(resolved: ResolvedModel) -> tuple[tuple[Input, ...], bool]:
        modality = MODALITIES[resolved.modality].name
        most = held.settings.max_predict_items
        asked = read_inputs(body, wanted.content_type, modality=modality, most=most)
        check_explainable(options, modality, len(asked[0]))
        return asked

    question = Question(
        id=new_id(PREDICTION),
        tenant=tenant,
        model=wanted.model,
        options=options,
        inputs=inputs,
        long=len(body) > SHORT and not wanted.content_type.lower().startswith("image/"),
        sticky=wanted.sticky,
        store=wanted.store,
    )
    return await while_connected(receive, ask(held, question))


def _turn_away(held: Services, wanted: Wanted, options: Options) -> None:
    """Raise overloaded for one raw image where others of its kind have just been told so.

    Of nothing else is it known how much it asks for before it is read.
    """
    if options.explain or not is_raw(wanted.content_type):
        return
    tenant = wanted.identity.organisation_id
    known = held.resolver.recall(tenant, wanted.model)
    if known is None or known.split or known.shadow is not None:
        return
    if MODALITIES[known.modality].name == "image":
        held.predictor.turn_away(tenant, (known.backbone, known.artifact), options, 1)


async def ask(held: Services, question: Question) -> Answer:
    """The predictor's answer.

    A model whose files are gone although its name was known a moment ago is looked up once more, so
    that a deleted model is `not_found` and never `model_corrupt`.
    """
    resolved = await _resolved(held, question)
    try:
        if _is_shadowed(question, resolved):
            return await _shadowed(held, question, resolved[0])
        return await _answered(held, question, resolved)
    except HeadstartError as error:
        if error.code != "model_corrupt":
            raise
        held.resolver.forget()
        again = await _resolved(held, question)
        if again == resolved:
            raise
        return await _answered(held, question, again)


async def _answered(held: Services, question: Question, resolved: list[ResolvedModel]) -> Answer:
    call = await _called(question, resolved)
    return _noted(held, question, resolved[0], call, await held.predictor.predict(call))


def _noted(
    held: Services, question: Question, resolved: ResolvedModel, call: Call, answer: Answer
) -> Answer:
    """The answer with its id, which is drawn for the alias's log where it has one."""
    held.usage.answered(call)
    if resolved.log is not None and question.store and not question.others:
        held.prediction_log.offer(resolved.alias, resolved.log, call, answer.body)
    return replace(answer, prediction=question.id)


def _is_shadowed(question: Question, resolved: list[ResolvedModel]) -> bool:
    """Explanations are of one model."""
    alone = len(resolved) == 1 and not question.options.explain
    return alone and resolved[0].shadow is not None


async def _shadowed(held: Services, question: Question, resolved: ResolvedModel) -> Answer:
    """The alias's answer, while its shadow rides along; what is wrong with it is not told.

    It stands beside the alias's own model: what a split gives to another is that one's alone.
    """
    call, shadow = await _called(question, [resolved]), resolved.shadow
    assert shadow is not None
    if call.target.model != resolved.id:
        return _noted(held, question, resolved, call, await held.predictor.predict(call))
    try:
        both = await held.predictor.predict(replace(call, others=(_target(shadow),)))
        body, said = await _parted(both.body)
    except (HeadstartError, KeyError, ValueError) as error:
        answer = await held.predictor.predict(call)
        log.warning("a shadow gave no answer", model=shadow.id, reason=error)
        return _noted(held, question, resolved, call, answer)
    whose = (question.tenant, resolved.alias, resolved.id, shadow.id)
    held.agreement.count(whose, said)
    return _noted(held, question, resolved, call, replace(both, body=body))


async def _parted(body: bytes) -> tuple[bytes, list[Differences]]:
    return parted(body) if len(body) <= AT_ONCE else await to_thread.run_sync(parted, body)


async def _resolved(held: Services, question: Question) -> list[ResolvedModel]:
    """What the names mean. Raises not_found, not_ready, and modality_mismatch between them."""
    resolved = []
    for place, name in enumerate(question.models):
        whose = (question.tenant, name)
        try:
            resolved.append(held.resolver.recall(*whose) or await held.resolver.resolve(*whose))
        except HeadstartError as error:
            if not question.others:
                raise
            why = f"{name}: {error.message}"
            raise HeadstartError(error.code, why, param=f"models.{place}") from error
        own, first = resolved[place].modality, resolved[0].modality
        if own != first:
            why = f"{name} reads {own}s, {question.model} {first}s"
            raise HeadstartError("modality_mismatch", why, param=f"models.{place}")
    return resolved


async def _called(question: Question, resolved: list[ResolvedModel]) -> Call:
    """The call; its inputs are read in a thread where that would hold up whoever else is served."""
    if question.long:
        return await to_thread.run_sync(_call, question, resolved)
    return _call(question, resolved)


def _call(question: Question, resolved: list[ResolvedModel]) -> Call:
    inputs, single = question.inputs(resolved[0])
    models = [chosen(one, question.sticky, inputs) for one in resolved]
    target, *others = map(_target, models)
    return Call(
        id=question.id,
        tenant=question.tenant,
        target=target,
        options=question.options,
        inputs=inputs,
        single=single,
        others=tuple(others),
    )


def _target(resolved: ResolvedModel) -> Target:
    return Target(
        model=resolved.id,
        backbone=resolved.backbone,
        artifact=resolved.artifact,
        sha256=resolved.sha256,
        alias=resolved.alias,
        pinned=resolved.pinned,
    )


def storable(cache_control: str) -> bool:
    """Whether a request with this `Cache-Control` may be written down."""
    return "no-store" not in cache_control.lower()


async def counted_body(held: Services, tenant: str, receive: Receive) -> bytes:
    """The whole body, which takes the room in the predictor's queue that its inputs will.

    Raises overloaded, before a byte is read where there is no room; ClientDisconnect.
    """
    held.predictor.admit(tenant)
    with held.predictor.reading(tenant) as took:
        return await read_body(receive, took)


async def read_body(receive: Receive, took: Callable[[int], None]) -> bytes:
    """The whole body; `took` is told of each piece's size. Raises ClientDisconnect."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        took(len(pieces[-1]))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Whoever receives gets the body that was read already, and then what else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """The outcome of `work`, which is cancelled when the client goes. Raises ClientDisconnect."""
    watcher = _Watcher(receive, asyncio.current_task())
    timer = asyncio.get_running_loop().call_later(_PATIENCE, watcher.start)
    try:
        return await work
    except asyncio.CancelledError:
        if not watcher.gone:
            raise
        watcher.waiting.uncancel()
        raise ClientDisconnect from None
    finally:
        timer.cancel()
        watcher.stop()


class _Watcher:
    """Cancels a task when its client closes the connection."""

    def __init__(self, receive: Receive, waiting: asyncio.Task[Any] | None) -> None:
        assert waiting is not None
        self._receive, self.waiting = receive, waiting
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._watch())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        with suppress(asyncio.CancelledError):
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.gone = True
            self.waiting.cancel()
