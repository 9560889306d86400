"""The shapes of OpenAI's completions in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ClassFound(BaseModel):
    """What the model says of the turn, in a prediction's words; not OpenAI's."""

    label: str
    probability: float = Field(ge=0, le=1)
    unknown: bool = Field(description="The input looks like none of the classes.")
    familiarity: float | None = None


class ChatMessage(BaseModel):
    """The label, as the assistant says it."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    annotations: list[Any] = []
    tool_calls: list[dict[str, Any]] | None = Field(None, description="Where one was demanded.")
    function_call: dict[str, Any] | None = Field(None, description="The older form of it.")


class OtherToken(BaseModel):
    """A class that it could have been, and the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class LabelToken(OtherToken):
    """The label is one token."""

    top_logprobs: list[OtherToken]


class ChatLogprobs(BaseModel):
    """The label as a token; where it is inside JSON, that is certain and stands around it."""

    content: list[LabelToken]
    refusal: None = None


class ChatChoice(BaseModel):
    """One of `n` equal choices."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "tool_calls", "function_call"]
    prediction: ClassFound


class ChatUsage(BaseModel):
    """Tokens as the backbone's tokenizer counts them; a picture has none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class ChatCompletion(BaseModel):
    """A classification in the shape of a chat's completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = Field(description="The immutable model that answered.")
    service_tier: str
    system_fingerprint: str | None
    choices: list[ChatChoice]
    usage: ChatUsage


class ResponseText(BaseModel):
    """The label."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any]
    logprobs: list[LabelToken]


class ResponseMessage(BaseModel):
    """The one message that is put out."""

    id: str
    type: Literal["message"] = "message"
    status: Literal["completed"] = "completed"
    role: Literal["assistant"] = "assistant"
    content: list[ResponseText]


class ResponseUsage(BaseModel):
    """Tokens as the backbone's tokenizer counts them."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ModelResponse(BaseModel):
    """A classification in the shape of OpenAI's response."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["completed"] = "completed"
    model: str
    output: list[ResponseMessage]
    usage: ResponseUsage
    prediction: ClassFound
