"""`/v1/chat/completions` and `/v1/responses`: a fine-tuned classifier asked in OpenAI's words."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic_core import from_json, to_json

from app.core.ids import new_id
from app.core.modalities import MODALITIES
from app.core.openai import chat, responses
from app.core.openai.chat import ChatRequest
from app.core.openai.question import ModelQuestion, ModelReply
from app.core.openai.responses import ResponseRequest
from app.http.dependencies import Predicter, Services, ServicesDep
from app.http.openapi import Responses, files, problems
from app.http.strict_json import SHORT
from app.infra.predictor_client import Answer
from app.infra.repositories.targets import ResolvedModel
from app.predictions.completion_schemas import ChatCompletion, ModelResponse
from app.predictions.embeddings import CountedRoute
from app.predictions.options import preferring
from app.predictions.service import Question, ask, storable, while_connected

router = APIRouter(route_class=CountedRoute, tags=["predictions"])

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_PROBLEMS = problems(
    "not_found",
    "not_ready",
    "invalid_json",
    "invalid_value",
    "modality_mismatch",
    "text_too_long",
    "image_invalid",
    "image_truncated",
    "model_corrupt",
    "backbone_unavailable",
    "overloaded",
    "predictor_unavailable",
    "deadline_exceeded",
)
_STREAMED: Responses = {200: files("text/event-stream")}
DONE = format_sse_event(data_str="[DONE]")


@router.post("/v1/chat/completions", response_model=ChatCompletion, responses=_STREAMED | _PROBLEMS)
async def complete_chat(
    body: ChatRequest, caller: Predicter, services: ServicesDep, request: Request
) -> Response:
    """The label of the user's last turn as the assistant's message, probabilities as logprobs.

    With `stream` in chunks, which all come at once: a class has no parts.
    """
    asked = chat.question(body)
    whole, answer = await _answered(
        services, request, caller.organisation_id, asked, "chatcmpl-", store=_may_store(body)
    )
    if not body.stream:
        return _json(whole, answer)
    frames = (format_sse_event(data_str=_dumped(one)) for one in chat.chunks(body, whole))
    return _stream([*frames, DONE], answer)


@router.post("/v1/responses", response_model=ModelResponse, responses=_STREAMED | _PROBLEMS)
async def create_response(
    body: ResponseRequest, caller: Predicter, services: ServicesDep, request: Request
) -> Response:
    """The label of the user's last turn as the text that is put out; none is to be retrieved."""
    asked = responses.question(body)
    whole, answer = await _answered(
        services, request, caller.organisation_id, asked, "resp_", store=_may_store(body)
    )
    if not body.stream:
        return _json(whole, answer)
    frames = (
        format_sse_event(event=one["type"], data_str=_dumped(one))
        for one in responses.events(whole)
    )
    return _stream(frames, answer)


async def _answered(
    services: Services,
    request: Request,
    tenant: str,
    asked: ModelQuestion,
    prefix: str,
    *,
    store: bool,
) -> tuple[dict[str, Any], Answer]:
    """The body to answer with, and the predictor's own. Raises what it says."""

    def inputs(resolved: ResolvedModel) -> tuple[Any, bool]:
        return asked.inputs(MODALITIES[resolved.modality].name), True

    question = Question(
        id=new_id("pred_"),
        tenant=tenant,
        model=asked.model,
        options=preferring(asked.options, request.headers.get("prefer", "")),
        inputs=inputs,
        long=len(await request.body()) > SHORT,
        store=store and storable(request.headers.get("cache-control", "")),
    )
    answer = await while_connected(request.receive, ask(services, question))
    told = from_json(answer.body)
    reply = ModelReply(
        id=prefix + told["id"].removeprefix("pred_"),
        created=int(time.time()),
        model=told["model"],
        items=told["data"],
    )
    return asked.answer(reply), answer


def _may_store(body: ChatRequest | ResponseRequest) -> bool:
    """OpenAI's own way to say no-store."""
    return (body.model_extra or {}).get("store") is not False


def _json(whole: dict[str, Any], answer: Answer) -> Response:
    return Response(to_json(whole), media_type="application/json", headers=answer.headers)


def _stream(frames: Iterable[bytes], answer: Answer) -> Response:
    return Response(
        b"".join(frames),
        media_type=EventSourceResponse.media_type,
        headers={**_HEADERS, **answer.headers},
    )


def _dumped(value: dict[str, Any]) -> str:
    return to_json(value).decode()
