"""A batch's lines: what each asks, what is wrong with it, and how its answer is written.

Shapes as the API reference has them (platform.openai.com/docs/api-reference/batch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.json_objects import DoubledNameError, check_names
from app.core.openai import chat, embeddings, responses
from app.core.openai.chat import ChatRequest
from app.core.openai.embeddings import EmbeddingRequest
from app.core.openai.problems import STATUSES, as_openai
from app.core.openai.question import ModelQuestion
from app.core.openai.responses import ResponseRequest

Endpoint = Literal["/v1/chat/completions", "/v1/embeddings", "/v1/responses"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
MOST_REQUESTS = 50_000
MOST_ID = 512
_PREFIXES = {"/v1/chat/completions": "chatcmpl-", "/v1/embeddings": "emb_"}
EXPIRED = HeadstartError(
    "deadline_exceeded", "the completion window was over before this request was asked"
)


@dataclass(frozen=True)
class LineFault:
    """Why a file of requests is refused, in OpenAI's words; lines are counted from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def stored(self) -> dict[str, Any]:
        """As an item of the batch's `errors`."""
        return {
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "line": self.line,
        }


@dataclass(frozen=True)
class BatchedRequest:
    """One line: the caller's name for it, and the body that is asked."""

    custom_id: str
    body: dict[str, Any]


def parse(line: bytes, number: int, *, endpoint: str) -> BatchedRequest | LineFault:
    """The request on a line, or what is wrong with it."""
    try:
        value = from_json(line, allow_inf_nan=False)
        check_names(line)
    except DoubledNameError as error:
        return LineFault("invalid_json_line", str(error), number)
    except ValueError as error:
        return LineFault("invalid_json_line", f"it is not JSON: {error}", number)
    if not isinstance(value, dict):
        return LineFault("invalid_json_line", "it is not a JSON object", number)
    fault = _fault(value, endpoint)
    if fault is not None:
        param, why = fault
        code = "missing_required_parameter" if param not in value else "invalid_parameter"
        return LineFault(code, why, number, param)
    return BatchedRequest(value["custom_id"], value["body"])


def _fault(value: Mapping[str, Any], endpoint: str) -> tuple[str, str] | None:
    """The first member that is not what it has to be, and what that is."""
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MOST_ID:
        return "custom_id", f"custom_id is a text of 1 to {MOST_ID} characters"
    if value.get("method") != "POST":
        return "method", "method is POST"
    if value.get("url") != endpoint:
        return "url", f"url is {endpoint}, as of the whole batch"
    if not isinstance(value.get("body"), dict):
        return "body", "body is an object"
    return None


def question(request: BatchedRequest, *, endpoint: str, most: int) -> ModelQuestion:
    """What a line asks. Raises invalid_request."""
    try:
        return _QUESTIONS[endpoint](request.body, most)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        message = first["msg"].removeprefix("Value error, ")
        told = f"{param}: {message}" if param else message
        raise HeadstartError("invalid_request", told, param=param) from error


def _chat(body: dict[str, Any], _most: int) -> ModelQuestion:
    return chat.question(ChatRequest.model_validate(_whole(body)))


def _response(body: dict[str, Any], _most: int) -> ModelQuestion:
    return responses.question(ResponseRequest.model_validate(_whole(body)))


def _embedding(body: dict[str, Any], most: int) -> ModelQuestion:
    return embeddings.question(EmbeddingRequest.model_validate(body), most=most)


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    """The body, which a file cannot be answered to in pieces. Raises invalid_request."""
    if body.get("stream"):
        raise HeadstartError("invalid_request", "stream: a batch has none", param="stream")
    return body


_QUESTIONS: Mapping[str, Callable[[dict[str, Any], int], ModelQuestion]] = {
    "/v1/chat/completions": _chat,
    "/v1/embeddings": _embedding,
    "/v1/responses": _response,
}


def answer_id(endpoint: str) -> str:
    """A new id for the body of one answer."""
    return new_id(_PREFIXES.get(endpoint, "resp_"))


def answer_line(request: BatchedRequest, body: Mapping[str, Any]) -> bytes:
    """A line of the output file."""
    return _line(request, {"status_code": 200, "request_id": new_id("req_"), "body": body}, None)


def error_line(request: BatchedRequest, error: HeadstartError) -> bytes:
    """A line of the error file: as the route would have refused the request."""
    status, told = STATUSES[error.code], {"error": as_openai(error)}
    response = {"status_code": status, "request_id": new_id("req_"), "body": told}
    return _line(request, response, None)


def expired_line(request: BatchedRequest) -> bytes:
    """A line of the error file for what was not asked in time."""
    return _line(request, None, {"code": "batch_expired", "message": EXPIRED.message})


def _line(
    request: BatchedRequest, response: Mapping[str, Any] | None, error: Mapping[str, Any] | None
) -> bytes:
    line = {
        "id": new_id("batch_req_"),
        "custom_id": request.custom_id,
        "response": response,
        "error": error,
    }
    return to_json(line) + b"\n"
