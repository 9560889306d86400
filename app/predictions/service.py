"""One prediction's way: the model it means now, its inputs, the predictor's bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Call, Input, Options, Target
from app.dependencies import services
from app.infra.predictor_client import Answer
from app.infra.repositories.targets import Found
from app.predictions.resolver import Resolver

_PATIENCE = 0.02
"""Seconds before a waiting request begins to watch whether its client is still there."""


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


def resolver(request: Request) -> Resolver:
    """The process's resolver, made on first use."""
    state = request.app.state
    if not hasattr(state, "resolver"):
        state.resolver = Resolver(services(request).sessions)
    found = state.resolver
    assert isinstance(found, Resolver)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a caller wants to know; `inputs(model)` gives them, and whether it is one raw input."""

    organisation_id: str
    name: str
    options: Options
    inputs: Callable[[Found], tuple[tuple[Input, ...], bool]]


async def ask(request: Request, question: Question) -> Answer:
    """The predictor's answer.

    A model whose files are gone although its name was known a moment ago is looked up once more, so
    that a deleted model is `not_found` and never `model_corrupt`.
    """
    names, whose = resolver(request), (question.organisation_id, question.name)
    found = names.recall(*whose) or await names.resolve(*whose)
    try:
        return await _send(request, question, found)
    except HeadstartError as error:
        if error.code != "model_corrupt":
            raise
        names.forget()
        again = await names.resolve(*whose)
        if again == found:
            raise
        return await _send(request, question, again)


async def _send(request: Request, question: Question, found: Found) -> Answer:
    inputs, single = question.inputs(found)
    call = Call(
        id=new_id("pred_"),
        tenant=question.organisation_id,
        target=Target(
            model=found.id, backbone=found.backbone, artifact=found.artifact, sha256=found.sha256
        ),
        options=question.options,
        inputs=inputs,
        single=single,
    )
    return await while_connected(request, services(request).predictor.predict(call))


async def while_connected(request: Request, work: Awaitable[Answer]) -> Answer:
    """The outcome of `work`, which is cancelled when the client goes. Raises ClientGoneError."""
    loop = asyncio.get_running_loop()
    watcher = _Watcher(request)
    timer = loop.call_later(_PATIENCE, watcher.start, asyncio.current_task())
    try:
        return await work
    except asyncio.CancelledError:
        if watcher.gone:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            raise ClientGoneError from None
        raise
    finally:
        timer.cancel()
        watcher.stop()


class _Watcher:
    """Cancels a task when its client closes the connection."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._task: asyncio.Task[Any] | None = None
        self.gone = False

    def start(self, waiting: asyncio.Task[Any] | None) -> None:
        assert waiting is not None
        self._task = asyncio.ensure_future(self._watch(waiting))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self, waiting: asyncio.Task[Any]) -> None:
        with suppress(asyncio.CancelledError):
            while (await self._request.receive())["type"] != "http.disconnect":
                pass
            self.gone = True
            waiting.cancel()
