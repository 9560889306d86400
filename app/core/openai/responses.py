"""`/v1/responses`: the label is the one message that is put out, its stream typed events.

Shapes as the API reference has them (platform.openai.com/docs/api-reference/responses).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.core.openai.chat import MOST_LOGPROBS, form_of
from app.core.openai.lenient import LenientRequest
from app.core.openai.question import ModelQuestion, ModelReply, Told, options, told
from app.core.openai.schema import Wording
from app.core.openai.turns import last_turn

LOGPROBS = "message.output_text.logprobs"
_MODEL = "ft:all-MiniLM-L6-v2:default:intents:01ke4c0f6v6z2k8m9q3w5x7y1t"


class ResponseRequest(LenientRequest):
    """A text, or items of which the user's last turn is to be classified. Nothing is stored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": _MODEL, "input": "where is my card?"}]}
    )

    model: str = Field(min_length=1, max_length=200, description="A model's id, alias or job id.")
    input: str | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)] = Field(
        description="A text, or messages: what the user said since the assistant last spoke is "
        "classified. A picture is an `input_image` with a data: URL."
    )
    instructions: str | list[dict[str, Any]] | None = Field(None, description="Not read.")
    include: list[str] | None = Field(None, description=f"`{LOGPROBS}` gives probabilities.")
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    stream: bool | None = None
    text: dict[str, Any] | None = Field(None, description="Its `format`, as of a chat's answer.")
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    background: bool | None = None

    def check(self) -> None:
        """Raise ValueError for what would need stored responses."""
        if self.previous_response_id is not None:
            raise ValueError("previous_response_id: no response is kept; send the turns as input")
        if self.background:
            raise ValueError("background: an answer takes milliseconds, or is a batch's")


def question(asked: ResponseRequest) -> ModelQuestion:
    """What the request asks. Raises invalid_request."""
    said = asked.input
    items = [{"role": "user", "content": said}] if isinstance(said, str) else said
    turn = last_turn(items, param="input")
    form = form_of((asked.text or {}).get("format"), "text.format", inside=None)
    return ModelQuestion(
        model=asked.model,
        options=options(form=form, top=asked.top_logprobs or 1),
        inputs=lambda modality: (turn.input(modality),),
        answer=partial(whole, asked, form),
    )


def whole(asked: ResponseRequest, form: Wording, reply: ModelReply) -> dict[str, Any]:
    """The whole answer. Raises the item's error."""
    answer = told(reply, form)
    prompt, label = answer.tokens
    return {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created,
        "status": "completed",
        "completed_at": reply.created,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": None,
        "model": reply.model,
        "output": [_message(asked, answer, reply)],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 0.0,
        "text": asked.text or {"format": {"type": "text"}},
        "tool_choice": "none",
        "tools": [],
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": label,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + label,
        },
        "user": None,
        "metadata": asked.metadata or {},
        "prediction": answer.prediction,
    }


def _message(asked: ResponseRequest, answer: Told, reply: ModelReply) -> dict[str, Any]:
    wanted = LOGPROBS in (asked.include or ()) or asked.top_logprobs is not None
    logprobs = answer.logprobs(asked.top_logprobs or 0) if wanted else []
    text = {"type": "output_text", "text": answer.content, "annotations": [], "logprobs": logprobs}
    return {
        "id": f"msg_{reply.id.removeprefix('resp_')}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [text],
    }


def events(finished: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The stream's events, numbered, from the response's beginning to its whole."""
    for number, event in enumerate(_events(finished)):
        yield {**event, "sequence_number": number}


def _events(finished: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    begun = {**finished, "status": "in_progress", "output": [], "usage": None}
    begun |= {"completed_at": None, "prediction": None}
    (item,) = finished["output"]
    (part,) = item["content"]
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    opened = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": 0, "item": opened}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    empty = {**part, "text": "", "logprobs": []}
    yield {"type": "response.content_part.added", **at, "part": empty}
    text, logprobs = part["text"], part["logprobs"]
    yield {"type": "response.output_text.delta", **at, "delta": text, "logprobs": logprobs}
    yield {"type": "response.output_text.done", **at, "text": text, "logprobs": logprobs}
    yield {"type": "response.content_part.done", **at, "part": part}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": finished}
