"""What every route's OpenAPI shares: the problem document, the key, ids in paths."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import FastAPI, Path, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import Response

from app.core.errors import TITLES
from app.core.openai.problems import STATUSES
from app.http.schemas import Deletion

Responses = dict[int | str, dict[str, Any]]

ID_PATTERN = r"^[A-Za-z0-9._:@-]+$"
Id = Annotated[str, Field(min_length=1, max_length=200, pattern=ID_PATTERN)]
"""An id, or a name that stands for one, in a body."""
_COMMON = ("invalid_request", "internal", "database_unavailable", "database_busy", "overloaded")
_KEYED = ("unauthenticated", "forbidden")
_WITH_BODY = ("payload_too_large", "unsupported_media_type")
_OPEN_PATHS = frozenset(
    {"/livez", "/readyz", "/ping", "/health", "/version", "/v2/health/live", "/v2/health/ready"}
)
_PREFIXES = 8
"""Only trusted proxies name one (`front`): under so many the document is kept."""
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_REF = "#/components/schemas/"
_SCHEMA = {"$ref": f"{_REF}ProblemDocument"}
_NAMES = {"Problem": "FoundProblem", "ProblemDocument": "Problem"}
"""What a shape is called outside, where that is not its class' name."""
_LONG = 4096
"""Characters of a query's value."""
BINARY = {"type": "string", "format": "binary"}
_LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


class OpenAIError(BaseModel):
    """The problem in OpenAI's words, which most SDKs read."""

    model_config = ConfigDict(extra="allow")

    message: str = Field(examples=["there is no such model"])
    type: str = Field(examples=["invalid_request_error"])
    code: str = Field(examples=["not_found"])
    param: str | None = Field(examples=["model"])


class ProblemItem(BaseModel):
    """One of the things that are wrong with an upload."""

    code: str = Field(examples=["image_invalid"])
    message: str = Field(examples=["cat/7.png: the content is no image that is understood"])
    param: str | None = Field(examples=["cat/7.png"])


class ProblemDocument(BaseModel):
    """RFC 9457: what went wrong. `code` is stable; `message` repeats `detail` for SDKs."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:headstart:problem:not_found"])
    title: str = Field(examples=["No such resource"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no such model"])
    message: str = Field(examples=["there is no such model"])
    code: str = Field(examples=["not_found"])
    param: str | None = Field(examples=["model"])
    request_id: str = Field(examples=["req_01ke4c0f6v6z2k8m9q3w5x7y1t"])
    error: OpenAIError | str | None = Field(
        default=None, description="Under /v1 as OpenAI has it, under /v2 as Triton has it."
    )
    errors: list[ProblemItem] | None = Field(
        default=None,
        description="Of a refused upload: all that is wrong with it, up to 100, the first of "
        "which is the problem itself.",
    )


class DeletedObject(BaseModel):
    """What has been deleted."""

    id: str
    object: str
    deleted: Literal[True] = True
    deletion: Deletion | None = Field(
        default=None,
        description="How far its removal from storage is; null where it had nothing there.",
    )


def path_id(description: str, example: str, *, max_length: int = 200) -> Any:
    """The declaration of an id in a path."""
    return Path(
        description=description, examples=[example], max_length=max_length, pattern=ID_PATTERN
    )


def links(parameter: str, *, member: str = "id", **operations: str) -> dict[str, Any]:
    """An answer's links: `name=operationId`, each of which takes the answer's `member`."""
    parameters = {parameter: f"$response.body#/{member}"}
    return {
        name: {"operationId": operation, "parameters": parameters}
        for name, operation in operations.items()
    }


def files(*media_types: str) -> dict[str, Any]:
    """The content of an answer that is a file of one of these types."""
    return {
        "content": {
            name: {"schema": {"type": "string"} if name.startswith("text/") else BINARY}
            for name in media_types
        }
    }


def problems(*codes: str) -> Responses:
    """A route's own error answers; `complete` adds those that any route may give."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUSES[code], []).append(code)
    if "invalid_request" not in by_status.get(422, ["invalid_request"]):
        by_status[422].append("invalid_request")
    return {status: _answer(named) for status, named in by_status.items()}


def _answer(codes: list[str]) -> dict[str, Any]:
    said = "; ".join(f"`{code}`: {TITLES[code].lower()}" for code in codes)
    return {"description": said, "content": {"application/problem+json": {"schema": _SCHEMA}}}


CANCEL_PROBLEMS = problems(
    "not_found", "invalid_transition", "invalid_json", "idempotency_mismatch", "bad_request"
)


def complete(app: FastAPI) -> None:
    """Let `app` describe itself with our problem document and key in place of FastAPI's own.

    The document takes a second to make, once a prefix: nobody else waits for it, nor a thread for
    each who asks meanwhile.
    """
    one_at_a_time = asyncio.Lock()
    document = lru_cache(_PREFIXES)(partial(_document, app))

    async def served(request: Request) -> Response:
        async with one_at_a_time:
            body = await to_thread.run_sync(document, request.scope["root_path"])
        return Response(body, media_type="application/json")

    app.add_route("/openapi.json", served, include_in_schema=False)

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    license_info=_LICENCE,
                    routes=app.routes,
                    servers=app.servers,
                )
            )
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _document(app: FastAPI, prefix: str) -> bytes:
    """What is served: its server is where the request has found it, below a prefix or not."""
    return to_json({**app.openapi(), "servers": [{"url": prefix or "/"}]})


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for ours in ("HTTPValidationError", "ValidationError"):
        schemas.pop(ours, None)
    problem = ProblemDocument.model_json_schema(ref_template=f"{_REF}{{model}}")
    schemas |= problem.pop("$defs")
    schemas["ProblemDocument"] = problem
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operation in _operations(document):
        _add_common(operation, keyed=path not in _OPEN_PATHS)
    components["schemas"] = {
        _NAMES.get(name, name): _with_nulls({**schema, "title": _NAMES.get(name, schema["title"])})
        for name, schema in schemas.items()
    }
    renamed: dict[str, Any] = _renamed(document)
    return renamed


def _with_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema's examples the nulls back that FastAPI has left out."""
    nulls = dict.fromkeys(schema.get("required", ()))
    if "examples" in schema:
        schema["examples"] = [nulls | example for example in schema["examples"]]
    return schema


def _renamed(node: Any) -> Any:
    """A copy of `node` whose references name each schema as it is called outside."""
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    name = str(node.get("$ref", "")).removeprefix(_REF)
    if name in _NAMES:
        return {**node, "$ref": f"{_REF}{_NAMES[name]}"}
    return {key: _renamed(value) for key, value in node.items()}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, operation


def _add_common(operation: dict[str, Any], *, keyed: bool) -> None:
    operation["security"] = [{"key": []}] if keyed else []
    codes = (*_COMMON, *(_KEYED if keyed else ()))
    if "requestBody" in operation:
        codes += _WITH_BODY
    if any(_may_be_long(parameter) for parameter in operation.get("parameters", ())):
        codes += ("head_too_large",)
    answers = operation["responses"]
    if "422" in answers and "application/json" in answers["422"].get("content", {}):
        del answers["422"]
    for status, answer in problems(*codes).items():
        answers.setdefault(str(status), answer)


def _may_be_long(parameter: dict[str, Any]) -> bool:
    """Whether a value that the schema allows makes a head that is refused before it is read."""
    schema = parameter["schema"]
    longest = [one.get("maxLength", 0) for one in (schema, *schema.get("anyOf", ()))]
    return bool(parameter["in"] == "query" and max(longest) > _LONG)
