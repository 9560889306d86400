"""`/v1/chat/completions`: the label is the message, its probabilities the logprobs.

Shapes as the API reference has them (platform.openai.com/docs/api-reference/chat).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.core.errors import HeadstartError
from app.core.openai.lenient import LenientRequest
from app.core.openai.question import ModelQuestion, ModelReply, Told, options, told
from app.core.openai.schema import Wording
from app.core.openai.turns import last_turn

MOST_CHOICES = 128
MOST_LOGPROBS = 1000
_MODEL = "ft:all-MiniLM-L6-v2:default:intents:01ke4c0f6v6z2k8m9q3w5x7y1t"


class ChatRequest(LenientRequest):
    """A conversation whose last turn is to be classified.

    Members of OpenAI's that say how to write (temperature, max_tokens, seed, stop …) are accepted
    and mean nothing: a classifier answers with its most probable label, whole.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": _MODEL,
                    "messages": [{"role": "user", "content": "where is my card?"}],
                    "logprobs": True,
                    "top_logprobs": 3,
                }
            ]
        }
    )

    model: str = Field(min_length=1, max_length=200, description="A model's id, alias or job id.")
    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)] = Field(
        description="What the user said since the assistant last spoke is classified; system and "
        "developer messages are not read. A picture is an `image_url` with a data: URL."
    )
    n: int = Field(1, ge=1, le=MOST_CHOICES, description="So many equal choices.")
    logprobs: bool | None = None
    top_logprobs: int | None = Field(
        None, ge=0, le=MOST_LOGPROBS, description="The other classes, with `logprobs`."
    )
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = Field(
        None, description="`json_schema` whose enum has the label, `json_object`, or `text`."
    )
    tools: list[dict[str, Any]] | None = Field(
        None, description="Only one that `tool_choice` demands is called, with the label in it."
    )
    tool_choice: str | dict[str, Any] | None = None
    functions: list[dict[str, Any]] | None = Field(None, description="The older form of `tools`.")
    function_call: str | dict[str, Any] | None = Field(
        None, description="The older form of `tool_choice`."
    )

    def check(self) -> None:
        """Raise ValueError where members contradict each other."""
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs: it needs logprobs to be true")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options: it needs stream to be true")


def question(asked: ChatRequest) -> ModelQuestion:
    """What the request asks. Raises invalid_request."""
    turn = last_turn(asked.messages, param="messages")
    form, tool = _form(asked)
    top = max(asked.top_logprobs or 0, 1)
    return ModelQuestion(
        model=asked.model,
        options=options(form=form, top=top),
        inputs=lambda modality: (turn.input(modality),),
        answer=partial(completion, asked, form, tool),
    )


def completion(
    asked: ChatRequest, form: Wording, tool: str | None, reply: ModelReply
) -> dict[str, Any]:
    """The whole answer. Raises the item's error."""
    answer = told(reply, form)
    return {
        **_head(reply, "chat.completion"),
        "choices": [_choice(asked, answer, tool, place) for place in range(asked.n)],
        "usage": usage(answer, asked.n),
    }


def chunks(asked: ChatRequest, whole: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same answer in pieces: who speaks, what, why it ends, and what it took, if asked."""
    counted = bool((asked.stream_options or {}).get("include_usage"))
    head = {key: one for key, one in whole.items() if key not in ("choices", "usage")}
    head |= {"object": "chat.completion.chunk"} | ({"usage": None} if counted else {})
    for choice in whole["choices"]:
        for piece in _pieces(choice):
            yield {**head, "choices": [piece]}
    if counted:
        yield {**head, "choices": [], "usage": whole["usage"]}


def usage(answer: Told, times: int = 1) -> dict[str, Any]:
    """Tokens, counted by the backbone's own tokenizer."""
    prompt, label = answer.tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": label * times,
        "total_tokens": prompt + label * times,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _form(asked: ChatRequest) -> tuple[Wording, str | None]:
    """How the label is written, and the tool that is called with it. Raises invalid_request."""
    if isinstance(asked.function_call, dict):
        return _function(asked.function_call, asked.functions or ())
    name = _demanded(asked)
    if name is None:
        return form_of(asked.response_format, "response_format", inside="json_schema"), None
    for tool in asked.tools or ():
        function = _object(tool.get("function"))
        if tool.get("type") == "function" and name in ("", function.get("name")):
            return Wording(_object(function.get("parameters")), "tools"), str(function.get("name"))
    raise HeadstartError("invalid_request", "tool_choice: no such tool", param="tool_choice")


def _function(
    wanted: Mapping[str, Any], functions: Sequence[Mapping[str, Any]]
) -> tuple[Wording, str]:
    for function in functions:
        if function.get("name") == wanted.get("name"):
            form = Wording(_object(function.get("parameters")), "functions")
            return form, str(function.get("name"))
    raise HeadstartError("invalid_request", "function_call: no such function", param="functions")


def _demanded(asked: ChatRequest) -> str | None:
    """The name of the tool that has to be called; "" for the first; None where none has to."""
    choice = asked.tool_choice
    if isinstance(choice, dict):
        return str(_object(choice.get("function")).get("name", ""))
    return "" if choice == "required" else None


def form_of(wanted: object, param: str, *, inside: str | None) -> Wording:
    """The form that `response_format` or `text.format` asks for. Raises invalid_request."""
    told = _object(wanted)
    kind = told.get("type", "text" if wanted is None else None)
    if kind == "text":
        return Wording(None, param)
    if kind == "json_object":
        return Wording(_object(told.get("schema")), param)
    schema = (_object(told.get(inside)) if inside else told).get("schema")
    if kind != "json_schema" or not isinstance(schema, Mapping):
        why = f"{param}: it is of type text, json_object, or json_schema with its schema"
        raise HeadstartError("invalid_request", why, param=param)
    return Wording(schema, param)


def _object(given: object) -> Mapping[str, Any]:
    """What is given, if it is an object; else an empty one."""
    return given if isinstance(given, Mapping) else {}


def _head(reply: ModelReply, kind: str) -> dict[str, Any]:
    return {
        "id": reply.id,
        "object": kind,
        "created": reply.created,
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _choice(asked: ChatRequest, answer: Told, tool: str | None, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content, "refusal": None}
    message |= {"annotations": []}
    reason = "stop"
    if tool is not None:
        older = isinstance(asked.function_call, dict)
        reason = "function_call" if older else "tool_calls"
        call = _call(answer, tool, index)
        message |= {"content": None, reason: call["function"] if older else [call]}
    logprobs = {"content": answer.logprobs(asked.top_logprobs or 0), "refusal": None}
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs if asked.logprobs else None,
        "finish_reason": reason,
        "prediction": answer.prediction,
    }


def _call(answer: Told, tool: str, index: int) -> dict[str, Any]:
    function = {"name": tool, "arguments": answer.content}
    return {"id": f"call_{index}", "type": "function", "function": function}


def _pieces(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    message, index = choice["message"], choice["index"]
    start = {"role": "assistant", "content": "", "refusal": None}
    said: dict[str, Any] = {"content": message["content"]}
    if "function_call" in message:
        start["content"] = None
        said = {"function_call": message["function_call"]}
    if "tool_calls" in message:
        start["content"] = None
        said = {
            "tool_calls": [
                {"index": place, **one} for place, one in enumerate(message["tool_calls"])
            ]
        }
    for delta, logprobs, reason in (
        (start, None, None),
        (said, choice["logprobs"], None),
        ({}, None, choice["finish_reason"]),
    ):
        piece = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        yield piece if reason is None else piece | {"prediction": choice["prediction"]}
