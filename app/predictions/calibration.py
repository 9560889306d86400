"""`/v1/models/{model}/calibrate`: what is unknown at a new source, from unlabelled inputs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Input, Options
from app.core.modalities import MODALITIES
from app.http.dependencies import ServicesDep, Writer
from app.http.openapi import path_id, problems
from app.http.routes import StrictRoute
from app.http.schemas import Calibration
from app.infra.repositories.targets import ResolvedModel
from app.predictions import recalibrating, schemas
from app.predictions.inputs import from_document, is_json, parsed_document, read_inputs
from app.predictions.options import refuse_members
from app.predictions.recalibrating import Sent
from app.predictions.service import PREDICTION, Question, ask, counted_body, while_connected

router = APIRouter(route_class=StrictRoute, tags=["models"])

_PATH = "/v1/models/{model}/calibrate"
_EXAMPLE = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
Name = Annotated[str, path_id("The model's id, or an alias.", _EXAMPLE)]
_PROBLEMS = problems(
    "bad_request", "not_found", "in_flight", "not_ready", "unsupported_media_type", "invalid_json",
    "invalid_request", "model_corrupt", "backbone_unavailable", "overloaded",
    "predictor_unavailable", "deadline_exceeded", "storage_unavailable",
)  # fmt: skip
_MEMBERS = frozenset({"inputs", "known"})
_ZIP = b"PK\x03\x04"
_JSON: dict[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "inputs": schemas.JSON_INPUTS,
        "known": {"type": "boolean", "default": False, "description": "As in the query."},
    },
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": schemas.IMAGES["multipart/form-data"],
            "application/json": {"schema": _JSON, "examples": schemas.JSON_EXAMPLES},
        },
    }
}


@router.post(_PATH, responses=_PROBLEMS, openapi_extra=_BODY)
async def calibrate_model(
    model: Name,
    caller: Writer,
    services: ServicesDep,
    request: Request,
    *,
    known: Annotated[
        bool, Query(description="Say that all inputs are of the model's classes, however strange.")
    ] = False,
) -> Calibration:
    """Set the thresholds of `unknown` by unlabelled inputs of a new source, thirty or more.

    The model keeps its id, its weights and its probabilities; what it calls unknown changes for
    all who ask it, its exports too, until this is undone. Inputs are taken to be of its classes:
    where most of them look like nothing it has learned, nothing is set unless `known=true` is said.
    Copies of an input count once, and what was calibrated before does not count at all.
    The accuracy on them is estimated from how sure the model is, beside the evaluation's own.
    """
    body = await counted_body(services, caller.organisation_id, request.receive)
    kind = request.headers.get("content-type", "")

    document = await parsed_document(body) if is_json(kind) else {}
    known, count = _said(document, known=known), 0

    def inputs(resolved: ResolvedModel) -> tuple[tuple[Input, ...], bool]:
        nonlocal count
        modality = MODALITIES[resolved.modality].name
        most = services.settings.max_predict_items
        if is_json(kind):
            found = from_document(document, modality=modality, most=most, members=_MEMBERS)
        else:
            found = read_inputs(body, kind, modality=modality, most=most)[0]
            _refuse_archives(found)
        count = len(found)
        return _different(found), False

    question = Question(
        id=new_id(PREDICTION),
        tenant=caller.organisation_id,
        model=model,
        options=Options(top_k=1, score=True),
        inputs=inputs,
        long=True,
    )
    answer = await while_connected(request.receive, ask(services, question))
    told = await to_thread.run_sync(from_json, answer.body)
    sent = Sent(count=count, answers=told["data"])
    made = await to_thread.run_sync(
        lambda: recalibrating.calibrate(
            services, caller.organisation_id, told["model"], sent, known=known
        )
    )
    services.resolver.forget()
    return made


def _said(document: Any, *, known: bool) -> bool:
    """Whether the inputs are said to be known, in the query or in the document.

    Raises invalid_request, for what nobody reads too.
    """
    if not isinstance(document, dict):
        return known
    refuse_members(document, _MEMBERS)
    told = document.get("known", known)
    if not isinstance(told, bool):
        raise HeadstartError("invalid_request", "known is true or false", param="known")
    return told or known


def _different(inputs: Sequence[Input]) -> tuple[Input, ...]:
    """The first of each content: copies say nothing more of a source."""
    return tuple({_content(one): one for one in reversed(inputs)}.values())[::-1]


def _content(one: Input) -> str:
    data = bytes(one.data)
    known = MODALITIES[one.kind].identity(data) if one.kind != "error" else None
    return known or sha256(data).hexdigest()


def _refuse_archives(inputs: Sequence[Input]) -> None:
    """A zip is what everybody has: say what to send in its place."""
    if any(bytes(one.data[:4]) == _ZIP for one in inputs):
        why = (
            "a zip is not unpacked here: send its pictures as files of a form, as in "
            "curl -F files=@1.jpg -F files=@2.jpg"
        )
        raise HeadstartError("invalid_request", why, param="inputs")


@router.delete(
    _PATH, responses=problems("not_found", "in_flight", "model_corrupt", "storage_unavailable")
)
async def undo_calibration(model: Name, caller: Writer, services: ServicesDep) -> Calibration:
    """Put back the thresholds that the model was made with; answers what is undone."""
    undone = await to_thread.run_sync(recalibrating.undo, services, caller.organisation_id, model)
    services.resolver.forget()
    return undone
