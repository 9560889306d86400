"""`POST /v1/predictions`: several models on the same inputs in one call.

Those on one backbone share its pass, so that a second opinion costs a head, not a network.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Input
from app.core.modalities import MODALITIES
from app.http.dependencies import Predicter, Services, ServicesDep
from app.http.openapi import Id, problems
from app.http.routes import StrictRoute
from app.http.strict_json import SHORT
from app.infra.repositories.targets import ResolvedModel
from app.predictions.inputs import from_document, is_json, parsed_document, read_inputs
from app.predictions.options import cached, options_of, preferring
from app.predictions.schemas import IMAGES, JSON_INPUTS, PARAMETERS, Predictions
from app.predictions.service import (
    PREDICTION,
    Inputs,
    Question,
    ask,
    counted_body,
    while_connected,
)

router = APIRouter(route_class=StrictRoute, tags=["predictions"])
MOST = 32
"""Models that one call may ask: each is a head in memory, and an answer for every input."""


class JointPredictions(BaseModel):
    """An answer a model, in the order in which they were asked."""

    id: str
    object: Literal["list"] = "list"
    data: list[Predictions]


_MEMBERS = frozenset({"models", "inputs"})
_NAMES = TypeAdapter(Annotated[list[Id], Field(min_length=1, max_length=MOST)])
_LISTED = _NAMES.json_schema()
_BODY = {
    "schema": {
        "type": "object",
        "required": ["models", "inputs"],
        "properties": {
            "models": {**_LISTED, "description": "Ids, aliases or jobs' ids, of one modality."},
            "inputs": JSON_INPUTS,
        },
    },
    "examples": {
        "text": {
            "value": {
                "models": ["intents@production", "urgency@production"],
                "inputs": [{"text": "my card has not arrived"}],
            }
        }
    },
}
_QUERY = {
    "name": "models",
    "in": "query",
    "description": "With images as the body; once a model.",
    "schema": _LISTED,
}
_OPENAPI: dict[str, Any] = {
    "parameters": [_QUERY, *(one for one in PARAMETERS if one["name"] != "explain")],
    "requestBody": {
        "required": True,
        "content": {**IMAGES, "application/json": _BODY},
    },
}


@router.post(
    "/v1/predictions",
    response_model=JointPredictions,
    responses=problems(
        "bad_request",
        "not_found",
        "not_ready",
        "unsupported_media_type",
        "invalid_json",
        "modality_mismatch",
        "image_invalid",
        "image_truncated",
        "not_finite",
        "weights_invalid",
        "model_corrupt",
        "backbone_unavailable",
        "overloaded",
        "predictor_unavailable",
        "deadline_exceeded",
    ),
    openapi_extra=_OPENAPI,
)
async def predict_jointly(caller: Predicter, services: ServicesDep, request: Request) -> Response:
    """Ask several models about the same inputs; those on one backbone share its pass.

    JSON has `models` beside `inputs`; with a raw image or a form of files they are in the query.
    """
    told = request.headers
    options = options_of(request.query_params, cached(told.get("x-headstart-cache", "")))
    body = await counted_body(services, caller.organisation_id, request.receive)
    names, inputs = await _asked(request, body, services)
    question = Question(
        id=new_id(PREDICTION),
        tenant=caller.organisation_id,
        model=names[0],
        others=tuple(names[1:]),
        options=preferring(options, told.get("prefer", "")),
        inputs=inputs,
        long=len(body) > SHORT and is_json(told.get("content-type", "")),
    )
    answer = await while_connected(request.receive, ask(services, question))
    joined = (
        answer.body
        if question.others
        else b'{"id":%s,"object":"list","data":[%b]}'
        % (
            to_json(question.id),
            answer.body,
        )
    )
    return Response(joined, media_type="application/json", headers=answer.headers)


async def _asked(request: Request, body: bytes, services: Services) -> tuple[list[str], Inputs]:
    """The models' names, and how the inputs are read once their modality is known."""
    kind, most = request.headers.get("content-type", ""), services.settings.max_predict_items
    document = await parsed_document(body) if is_json(kind) else {}

    def inputs(resolved: ResolvedModel) -> tuple[tuple[Input, ...], bool]:
        modality = MODALITIES[resolved.modality].name
        if is_json(kind):
            read = from_document(document, modality=modality, most=most, members=_MEMBERS)
            return read, False
        return read_inputs(body, kind, modality=modality, most=most)

    told = document.get("models") if isinstance(document, dict) else None
    return _names(told or request.query_params.getlist("models")), inputs


def _names(told: Any) -> list[str]:
    """Raises invalid_request."""
    try:
        return _NAMES.validate_python(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["models", *(str(part) for part in first["loc"])])
        why = f"{where}: {first['msg']}; name 1 to {MOST} models"
        raise HeadstartError("invalid_request", why, param=where) from error
