"""The predictor's one service: calls in, answers out. Everything here runs on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
from pydantic_core import to_json

from app.core import messages
from app.core.errors import HeadstartError
from app.core.messages import Call, Target
from app.core.modalities import Depth
from app.infra.precision import precision_of, served_as
from worker.answers.rendering import assemble, assemble_joint, render, render_error
from worker.answers.scoring import ServingHead
from worker.formats import same_weights
from worker.formats.served import TunedNetwork
from worker.predictor import joint
from worker.predictor.batching import Batcher
from worker.predictor.calls import InputOutcome, PendingCall, PendingInput
from worker.predictor.head_cache import HeadCache
from worker.predictor.http import BYTES, Exchange
from worker.predictor.metrics import Metrics
from worker.predictor.networks.fleet import Fleet
from worker.predictor.prediction_cache import PredictionCache, cache_key
from worker.predictor.small_pictures import SmallPictures

log = structlog.get_logger()
_LOADING = 1.0
"""Seconds after which who was not told in time may ask again for what is being loaded."""
Calls = Sequence[PendingCall]
"""What one exchange asks: a call a head, of the same inputs."""


class Service:
    """Where a call meets its batcher, its head and the cache."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        heads: HeadCache[ServingHead],
        cache: PredictionCache,
        metrics: Metrics,
        limit: int,
        served: Callable[[TunedNetwork, bool], None] = lambda _network, _aliased: None,
    ) -> None:
        """`served(network, aliased)` is told of every tuned network that is about to answer."""
        self.served = served
        self.fleet, self.heads, self.cache, self.metrics = fleet, heads, cache, metrics
        self._limit = limit
        self._pictures = SmallPictures()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[int, Calls] = {}
        fleet.users = self._batchers
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    def handle(self, exchange: Exchange) -> None:
        """Answer one exchange, now or when its threads are done."""
        path = exchange.path
        try:
            if path == "/predict":
                self._predict(exchange)
            elif path == "/load":
                self._spawn(self._load(exchange))
            elif path == "/hold":
                self._hold(exchange)
            elif path == "/small-picture":
                self._spawn(self._small_picture(exchange))
            elif path == "/precision":
                exchange.respond(200, to_json(self.fleet.precisions))
            elif path == "/metrics":
                exchange.respond(200, self.metrics.text(), kind="text/plain; version=0.0.4")
            elif path in ("/livez", "/readyz"):
                ready = path == "/livez" or (self.fleet.ready and not self.draining)
                exchange.respond(200 if ready else 503, b'{"ready":%s}' % _bool(ready))
            else:
                _refuse(exchange, HeadstartError("not_found"))
        except Exception as error:  # noqa: BLE001 - `_told` logs what nobody expected
            told = _told(error)
            self.metrics.calls.labels(told.code).inc()
            _refuse(exchange, told)

    def deliver(self, outcomes: Sequence[InputOutcome]) -> None:
        """What a batcher's thread made; every call whose last input this is gets answered."""
        for outcome in outcomes:
            self._settle(outcome)

    async def drained(self) -> None:
        """Wait until every call has its answer."""
        await self._idle.wait()

    def _closed(self, calls: Calls) -> None:
        del self._calls[id(calls)]
        if not self._calls:
            self._idle.set()

    def _batchers(self) -> set[Batcher]:
        """Those that a call is about to ask, or has."""
        return {call.batcher for calls in self._calls.values() for call in calls}

    def _predict(self, exchange: Exchange) -> None:
        request = messages.decode(exchange.body)
        if turned_away := request.turned_away[0]:
            self.metrics.calls.labels("overloaded").inc(turned_away)
        calls = self._open(request, exchange)
        try:
            self._begin(calls)
        except Exception as error:  # noqa: BLE001 - as in `handle`; an opened call must be ended
            calls[0].end(_told(error))

    def _begin(self, calls: Calls) -> None:
        """Start the calls, now or once what they need is in memory. Raises overloaded."""
        ready = [self._find(call) for call in calls]
        if all(ready):
            self._start(calls)
        elif len(self._tasks) >= self._limit:
            raise HeadstartError("overloaded", "too many models are loading", retry_after=1)
        else:
            self._spawn(self._prepare(calls))

    def _find(self, call: PendingCall) -> bool:
        """Give the call its head and its batcher, if both are in memory."""
        target = call.request.target
        call.head = self.heads.peek(target) if target.artifact else None
        if target.alias:
            self.heads.follow(call.tenant, target)
        if call.head is not None or not target.artifact:
            call.batcher = self.fleet.get(target.backbone, _fitted(call))
            if call.batcher is not None and not self.fleet.is_rehearsed(call.batcher, _depth(call)):
                return False
        return call.batcher is not None

    def _open(self, request: Call, exchange: Exchange) -> Calls:
        """A call for every head that is asked; the last to be answered answers the exchange."""

        def finish(_call: PendingCall, error: HeadstartError | None) -> None:
            if error is not None or all(one.over for one in calls):
                self._closed(calls)
                self._answer(calls, exchange, error)

        deadline = time.perf_counter() + request.options.timeout
        calls = [PendingCall(one, finish, deadline=deadline) for one in joint.each(request)]
        for call in calls:
            call.remaining = len(request.inputs)
            call.answers = [None] * call.remaining
        self._calls[id(calls)] = calls
        self._idle.clear()
        exchange.on_close = lambda: self._leave(calls)
        return calls

    async def _prepare(self, calls: Calls) -> None:
        """Load what the calls need and is not in memory, then start them; of what takes longer than
        they bear the loading goes on.
        """
        try:
            try:
                async with asyncio.timeout(calls[0].deadline - time.perf_counter()):
                    await self._fetch_all(calls)
            except TimeoutError:
                told = "the model is still being loaded, which goes on"
                raise HeadstartError("overloaded", told, retry_after=_LOADING) from None
            if not calls[0].over:
                self._start(calls)
        except Exception as error:  # noqa: BLE001 - as in `handle`
            calls[0].end(_told(error))

    async def _fetch_all(self, calls: Calls) -> None:
        """Again where what one needs made way for another's; what a call has stays."""
        for call in calls:
            await self._fetch(call)
        while any(call.batcher.is_closed for call in calls):
            for call in calls:
                await self._fetch(call)

    async def _fetch(self, call: PendingCall) -> None:
        target = call.request.target
        if target.artifact:
            call.head = await self.heads.get(target)
        call.batcher = await self.fleet.load(target.backbone, _fitted(call))
        await self.fleet.rehearse(call.batcher, _depth(call))

    def _note(self, call: PendingCall) -> None:
        """Tell those that start later which network has answered."""
        depth, target = _depth(call), call.request.target
        if depth is not None:
            network = TunedNetwork(target.backbone, _fitted(call), depth)
            self.served(network, bool(target.alias))

    def _start(self, calls: Calls) -> None:
        """Answer what is known, queue the rest. Raises overloaded, backbone_unavailable."""
        for call in calls:
            if call.head is not None:
                trained, loaded = call.head.weights_sha256, call.batcher.weights_sha256
                same_weights.check(call.batcher.name, trained=trained, loaded=loaded)
                same_weights.check_reading(
                    call.batcher.name,
                    trained=call.head.read_as,
                    loaded=call.batcher.fingerprint,
                    former=call.batcher.former,
                )
                _check_thresholds(call)
                self._note(call)
        unanswered = [item for call in calls for item in self._unanswered(call)]
        for batcher, items in joint.rides(unanswered):
            if items[0].call.over:
                return
            for other in batcher.submit(items[0].call, items):
                after = batcher.retry_after(other)
                other.end(HeadstartError("overloaded", "gave way to others", retry_after=after))

    def _unanswered(self, call: PendingCall) -> list[PendingInput]:
        """The call's inputs but those that are errors already, or that the cache knows."""
        items = []
        for index, item in enumerate(call.request.inputs):
            if item.kind == "error":
                error = messages.read_error(bytes(item.data))
                self._settle(InputOutcome(PendingInput(call, index, item), error=error))
            else:
                items.append(PendingInput(call, index, item))
        if call.request.options.cache and call.head is not None:
            items = [item for item in items if not self._recall(item, call.head)]
        return items

    def _recall(self, item: PendingInput, head: ServingHead) -> bool:
        """Answer from the prediction cache, if it knows this content under this model version."""
        call = item.call
        item.key = cache_key(call.request.target, item.input)
        options = call.request.options
        if options.passes_cache:
            return False
        scores = self.cache.get(item.key, head.labels)
        self.metrics.cache.labels("miss" if scores is None else "hit").inc()
        if scores is None:
            return False
        call.timing.cached += 1
        call.settle(item.index, render(scores, index=item.index, options=options))
        return True

    def _settle(self, outcome: InputOutcome) -> None:
        call, error = outcome.item.call, outcome.error
        if outcome.timing is not None:
            call.timing.add(outcome.timing)
        if error is None:
            call.settle(outcome.item.index, outcome.answer)
        elif outcome.fatal or call.request.single:
            call.end(error)
        else:
            index = outcome.item.index
            call.settle(index, render_error(error, index=index))

    def _answer(self, calls: Calls, exchange: Exchange, error: HeadstartError | None) -> None:
        if error is not None:
            self._abandon(calls)
            self.metrics.calls.labels(error.code).inc()
            _refuse(exchange, error)
            return
        self.metrics.calls.labels("ok").inc()
        bodies, told = [], []
        for call in calls:
            bodies.append(_body(call))
            served = call.batcher.engine if call.batcher is not None else ""
            told.append(served_as(served, _fitted(call)))
            self.metrics.inputs.inc(len(call.answers))
            if call.request.target.artifact:
                self._count(_fitted(call), served, len(call.answers))
        body = bodies[0] if len(bodies) == 1 else assemble_joint(calls[0].request.id, bodies)
        precision = ", ".join(dict.fromkeys(told))
        exchange.respond(200, body, timing=joint.server_timing(calls), precision=precision)

    def _count(self, fitted: str, served: str, inputs: int) -> None:
        names = [precision_of(engine) or "unknown" for engine in (fitted, served)]
        self.metrics.precision.labels(*names).inc(inputs)

    def _leave(self, calls: Calls) -> None:
        """The client has gone: compute nothing more for it."""
        if not all(call.over for call in calls):
            self._closed(calls)
            self.metrics.calls.labels("client_gone").inc()
            self._abandon(calls)

    def _abandon(self, calls: Calls) -> None:
        for call in calls:
            call.leave()
            if call.batcher is not None:
                call.batcher.cancel(call)

    async def _load(self, exchange: Exchange) -> None:
        """Verify a head and keep it and its network ready, before an alias moves to it."""
        try:
            target: Target = messages.decode(exchange.body).target
            head = await self.heads.get(target)
            batcher = await self.fleet.load(target.backbone, head.fitted)
            await self.fleet.rehearse(batcher, head.depth)
            exchange.respond(200, b'{"loaded":true}')
        except Exception as error:  # noqa: BLE001 - as in `handle`
            _refuse(exchange, _told(error))

    async def _small_picture(self, exchange: Exchange) -> None:
        """A picture of a dataset for somebody to look at."""
        try:
            exchange.respond(200, await self._pictures.answer(exchange.body), kind=BYTES)
        except Exception as error:  # noqa: BLE001 - as in `handle`
            _refuse(exchange, _told(error))

    def _hold(self, exchange: Exchange) -> None:
        """An alias has moved, was pinned or let go, or is no more."""
        request = messages.decode(exchange.body)
        self.heads.follow(request.tenant, request.target)
        exchange.respond(200, b'{"held":%s}' % _bool(request.target.pinned))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _check_thresholds(call: PendingCall) -> None:
    """Raise invalid_request where the call asks for thresholds that its head has not."""
    labels = call.head.labels
    call.request.options.check_levels(None if labels.thresholds is None else labels.names)


def _fitted(call: PendingCall) -> str:
    """The engine that the call's head was fitted on."""
    return "" if call.head is None else str(call.head.fitted)


def _depth(call: PendingCall) -> Depth | None:
    """How deep the call's head has tuned its network."""
    depth: Depth | None = None if call.head is None else call.head.depth
    return depth


def _body(call: PendingCall) -> bytes:
    """One model's whole answer."""
    answers = [answer for answer in call.answers if answer is not None]
    return assemble(call.request.id, call.request.target.model, answers)


def _told(error: Exception) -> HeadstartError:
    """What the caller is told of `error`; what nobody expected is logged, and is `internal`."""
    if isinstance(error, HeadstartError):
        return error
    log.error("a call failed", exc_info=error)
    return HeadstartError("internal")


def _refuse(exchange: Exchange, error: HeadstartError) -> None:
    status = 422 if error.retry_after is None else 503
    exchange.respond(status, to_json(messages.error_body(error)))


def _bool(value: bool) -> bytes:
    return b"true" if value else b"false"
