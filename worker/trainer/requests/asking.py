"""The requests of one piece, asked of the predictor as the routes ask it, many at once.

Of what is asked alike of one model, inputs go together. A request that is wrong is answered by its
error; a predictor that is away is nobody's fault, and what it has not answered is asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
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
from app.infra.repositories.openai import request_batches
from app.infra.repositories.targets import NotReady, ResolvedModel, find_all
from worker.trainer.attempt import Attempt
from worker.trainer.requests.portions import is_long, parts, portions, weight

TRANSIENT = frozenset({"predictor_unavailable", "overloaded", "deadline_exceeded"})
_TIMEOUT = 120.0
_KEEP_SECONDS = 30.0
"""After so long what is answered is kept, whoever waits: a worker that is killed loses no more."""
Item = dict[str, Any]
Outcome = dict[str, Any] | HeadstartError
"""The body that a request is answered with, or why it is not."""


@dataclass(kw_only=True)
class Begun:
    """The items that a request's first inputs were answered with, and by what."""

    by: str = ""
    items: list[Item] = field(default_factory=list)


@dataclass(kw_only=True)
class PieceAnswers:
    """An outcome a request of a piece, from its first on, and what there is of the next one."""

    outcomes: list[Outcome] = field(default_factory=list)
    begun: Begun = field(default_factory=Begun)


@dataclass(frozen=True)
class _Asked:
    """A request that can be asked: what is asked of what, and its inputs."""

    question: ModelQuestion
    target: Target
    inputs: tuple[Input, ...]

    @property
    def alike(self) -> str:
        """What is the same of those that may go together."""
        return repr((self.target, self.question.options))


_Prepared = _Asked | HeadstartError


def ask(
    attempt: Attempt, asked: Sequence[BatchedRequest], *, endpoint: str, begun: Begun
) -> PieceAnswers:
    """Ask until the end, or until others are to pass, the batch is cancelled or it takes long.

    `begun` is what there is of the first. What was answered before a predictor went away is kept.
    Raises TRANSIENT's codes where that is nothing, LostClaimError, DrainedError.
    """
    made, known = PieceAnswers(begun=begun), len(begun.items)
    until = time.monotonic() + _KEEP_SECONDS
    try:
        for _ in _Asking(attempt, endpoint, made).steps(asked):
            if time.monotonic() > until or _must_stop(attempt):
                break
    except HeadstartError as error:
        more = made.outcomes or len(made.begun.items) > known
        if error.code not in TRANSIENT or not more:
            raise
    return made


def _must_stop(attempt: Attempt) -> bool:
    return attempt.is_passed() or attempt.read(
        lambda session: request_batches.is_cancelled(session, attempt.claim)
    )


class _Asking:
    """The requests of a piece on their way into `made`, in their order."""

    def __init__(self, attempt: Attempt, endpoint: str, made: PieceAnswers) -> None:
        self._attempt = attempt
        self._endpoint = endpoint
        self._made = made
        self._find = _Targets(attempt)

    def steps(self, asked: Sequence[BatchedRequest]) -> Iterator[None]:
        """Ask it all; what is in `made` after each step may be kept."""
        for some in portions([self._prepared(one) for one in asked], _weight):
            first = some[0]
            if isinstance(first, _Asked) and is_long(first.inputs):
                yield from self._in_parts(first)
                continue
            self._made.begun = Begun()
            self._made.outcomes += self._together(some)
            yield

    def _prepared(self, request: BatchedRequest) -> _Prepared:
        """What is to be asked, or invalid_request, not_found and the like."""
        most = self._attempt.context.settings.max_predict_items
        try:
            question = requests.question(request, endpoint=self._endpoint, most=most)
            target, modality = self._find(question)
            question = replace(question, options=replace(question.options, timeout=_TIMEOUT))
            return _Asked(question, target, question.inputs(modality))
        except HeadstartError as error:
            return error

    def _in_parts(self, one: _Asked) -> Iterator[None]:
        """A request that is too much to be asked at once; it goes on from what was begun."""
        made = self._made
        if made.begun.by != one.alike:
            made.begun = Begun(by=one.alike)
        for inputs in parts(one.inputs[len(made.begun.items) :]):
            try:
                made.begun.items += self._items(one, inputs)
            except HeadstartError as error:
                outcome: Outcome = _of_request(error)
                break
            if len(made.begun.items) < len(one.inputs):
                yield
        else:
            outcome = _outcome(one, made.begun.items, self._endpoint)
        made.outcomes.append(outcome)
        made.begun = Begun()
        yield

    def _together(self, some: Sequence[_Prepared]) -> list[Outcome]:
        """Those that ask alike in one call."""
        found: dict[int, Outcome] = {
            place: one for place, one in enumerate(some) if isinstance(one, HeadstartError)
        }
        groups: dict[str, dict[int, _Asked]] = {}
        for place, one in enumerate(some):
            if isinstance(one, _Asked):
                groups.setdefault(one.alike, {})[place] = one
        for group in groups.values():
            found.update(zip(group, self._answers([*group.values()]), strict=True))
        return [found[place] for place in range(len(some))]

    def _answers(self, some: Sequence[_Asked]) -> list[Outcome]:
        """One call for all of them."""
        try:
            items = self._items(some[0], [item for one in some for item in one.inputs])
        except HeadstartError as error:
            return [_of_request(error)] * len(some)
        left = iter(items)
        return [_outcome(one, [*islice(left, len(one.inputs))], self._endpoint) for one in some]

    def _items(self, one: _Asked, inputs: Sequence[Input]) -> list[Item]:
        """What one call answers to inputs that are asked as `one` is. Raises what is wrong with it,
        TRANSIENT's codes among it.
        """
        self._attempt.guard()
        call = Call(
            id=new_id("pred_"),
            tenant=self._attempt.claim.organisation_id,
            target=one.target,
            options=_patient(one.question.options),
            inputs=tuple(inputs),
        )
        items = asyncio.run(_predicted(self._attempt, call))
        for error in (item["error"] for item in items if "error" in item):
            if error["code"] in TRANSIENT:
                raise HeadstartError(error["code"], error["message"])
        return items


def _of_request(error: HeadstartError) -> HeadstartError:
    """The error, where it is of what was asked. Raises TRANSIENT's."""
    if error.code in TRANSIENT:
        raise error
    return error


def _weight(one: _Prepared) -> float:
    return weight(one.inputs) if isinstance(one, _Asked) else 0.0


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
