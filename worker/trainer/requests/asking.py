"""The requests of one piece, asked of the predictor as the routes ask it, many at once.

Of what is asked alike of one model, inputs go together. A request that is wrong is answered by its
error; a predictor that is away is nobody's fault, and the whole piece is asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from app.core.backbones import BackboneSpec, member_names
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.manifest import Modality
from app.core.messages import Call, Input, Options, Target
from app.core.modalities import MODALITIES
from app.core.openai import requests
from app.core.openai.question import ModelQuestion, ModelReply
from app.core.openai.requests import BatchedRequest
from app.infra import weights
from app.infra.predictor_client import PredictorClient
from app.infra.repositories.targets import NotReady, ResolvedModel, find_all
from worker.trainer.attempt import Attempt

TRANSIENT = frozenset({"predictor_unavailable", "overloaded", "deadline_exceeded"})
_TIMEOUT = 120.0
_AT_ONCE = 32
Outcome = dict[str, Any] | HeadstartError
"""The body that a request is answered with, or why it is not."""


@dataclass(frozen=True)
class _Asked:
    """A request that can be asked: its place, what is asked of what, and its inputs."""

    place: int
    question: ModelQuestion
    target: Target
    inputs: tuple[Input, ...]


def ask_all(attempt: Attempt, asked: Sequence[BatchedRequest], *, endpoint: str) -> list[Outcome]:
    """One outcome a request. Raises TRANSIENT's codes, LostClaimError, DrainedError."""
    outcomes: list[Outcome | None] = [None] * len(asked)
    ready: dict[str, list[_Asked]] = {}
    find = _Targets(attempt)
    for place, request in enumerate(asked):
        try:
            one = _prepared(attempt, place, request, endpoint=endpoint, find=find)
        except HeadstartError as error:
            outcomes[place] = error
        else:
            ready.setdefault(repr((one.target, one.question.options)), []).append(one)
    for group in ready.values():
        for some in _together(group):
            attempt.guard()
            for one, outcome in zip(some, _answers(attempt, some, endpoint), strict=True):
                outcomes[one.place] = outcome
    return [one for one in outcomes if one is not None]


def _prepared(
    attempt: Attempt, place: int, request: BatchedRequest, *, endpoint: str, find: _Targets
) -> _Asked:
    """Raises invalid_request, not_found and its like."""
    most = attempt.context.settings.max_predict_items
    question = requests.question(request, endpoint=endpoint, most=most)
    target, modality = find(question)
    question = replace(question, options=replace(question.options, timeout=_TIMEOUT))
    return _Asked(place, question, target, question.inputs(modality))


class _Targets:
    """What the names of one piece mean now."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._resolved: dict[str, ResolvedModel | NotReady | None] = {}
        self._backbones: Mapping[str, BackboneSpec] = weights.registry(
            attempt.context.settings.weights_dir
        )

    def __call__(self, question: ModelQuestion) -> tuple[Target, Modality]:
        """Raises not_found, not_ready, backbone_unavailable, invalid_value."""
        if question.backbone:
            return self._backbone(question)
        model = self._model(question.model)
        target = Target(
            model=model.id, backbone=model.backbone, artifact=model.artifact, sha256=model.sha256
        )
        return target, MODALITIES[model.modality].name

    def _backbone(self, question: ModelQuestion) -> tuple[Target, Modality]:
        spec = self._spec(question.model)
        question.check(spec)
        target = Target(model=spec.name, backbone=spec.name, artifact="", sha256="")
        return target, spec.reads.name

    def _spec(self, name: str) -> BackboneSpec:
        """The backbone called `name`, or of the model so called."""
        if not set(member_names(name)) <= self._backbones.keys():
            name = self._model(name).backbone
        if not set(member_names(name)) <= self._backbones.keys():
            raise HeadstartError("backbone_unavailable", f"{name} is gone", param="model")
        return weights.get(name, self._attempt.context.settings.weights_dir)

    def _model(self, name: str) -> ResolvedModel:
        if name not in self._resolved:
            whose = (self._attempt.claim.organisation_id, name)
            self._resolved[name] = self._attempt.read(
                lambda session: find_all(session, [whose])
            ).get(whose)
        found = self._resolved[name]
        if found is None:
            raise HeadstartError("not_found", "there is no such model", param="model")
        if isinstance(found, NotReady):
            why = f"the job is {found.status} and has no model"
            raise HeadstartError("not_ready", why, param="model")
        return found


def _together(group: Sequence[_Asked]) -> list[list[_Asked]]:
    """Groups of at most _AT_ONCE inputs, unless one request has more."""
    groups: list[list[_Asked]] = []
    room = 0
    for one in group:
        if len(one.inputs) > room or not groups:
            groups.append([])
            room = _AT_ONCE
        groups[-1].append(one)
        room -= len(one.inputs)
    return groups


def _answers(attempt: Attempt, some: Sequence[_Asked], endpoint: str) -> list[Outcome]:
    """One call for all of them. Raises TRANSIENT's codes."""
    call = Call(
        id=new_id("pred_"),
        tenant=attempt.claim.organisation_id,
        target=some[0].target,
        options=_patient(some[0].question.options),
        inputs=tuple(item for one in some for item in one.inputs),
    )
    try:
        items = asyncio.run(_predicted(attempt, call))
    except HeadstartError as error:
        if error.code in TRANSIENT:
            raise
        return [error] * len(some)
    outcomes, start = [], 0
    for one in some:
        own = items[start : start + len(one.inputs)]
        start += len(one.inputs)
        outcomes.append(_outcome(one, own, endpoint))
    return outcomes


def _patient(options: Options) -> Options:
    """Nobody waits for one answer of a batch: each may wait as long as a call may take at all."""
    return replace(options, wait=options.timeout)


async def _predicted(attempt: Attempt, call: Call) -> list[dict[str, Any]]:
    settings = attempt.context.settings
    client = PredictorClient(settings.predictor, limit=settings.predictor_queue)
    try:
        answer = await client.predict(call)
        attempt.context.usage.answered(call)
    finally:
        await client.close()
    items: list[dict[str, Any]] = from_json(answer.body)["data"]
    return items


def _outcome(one: _Asked, items: Sequence[Mapping[str, Any]], endpoint: str) -> Outcome:
    """The body of one answer, whose items are numbered from 0 as if it were asked alone."""
    numbered = [{**item, "index": place} for place, item in enumerate(items)]
    transient = [one for one in numbered if one.get("error", {}).get("code") in TRANSIENT]
    if transient:
        error = transient[0]["error"]
        raise HeadstartError(error["code"], error["message"])
    reply = ModelReply(
        id=requests.answer_id(endpoint),
        created=int(time.time()),
        model=one.question.model if one.question.backbone else one.target.model,
        items=numbered,
    )
    try:
        return one.question.answer(reply)
    except HeadstartError as error:
        return error
