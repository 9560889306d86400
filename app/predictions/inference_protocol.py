"""The Open Inference Protocol, version 2 (`/v2`): Triton's and KServe's clients work unchanged.

A model reads one BYTES tensor, `image` (files, or base64 in JSON) or `text`, of shape [n] or
[n, 1], and gives `label` BYTES [n], `probability` FP32 [n], `unknown` BOOL [n] and `probabilities`
FP32 [n, k]; one that says several labels, also `labels` BYTES [n], a JSON array each.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Input
from app.core.openai.inputs import image_bytes, text_bytes
from app.http.dependencies import Asker, Predicter, Services, ServicesDep
from app.http.openapi import Responses, files, path_id, problems
from app.http.routes import StrictRoute
from app.http.strict_json import SHORT, parsed
from app.infra.database import reading
from app.infra.repositories import models
from app.infra.repositories.targets import ResolvedModel
from app.predictions import tensors
from app.predictions.options import (
    options_of,
    preferring,
    read_options,
    refuse_members,
    refuse_parameters,
)
from app.predictions.protocol_schemas import (
    INFER,
    OUTPUTS,
    SEVERAL,
    InferenceAnswer,
    Liveness,
    ModelMetadata,
    ModelReadiness,
    Readiness,
    ServerMetadata,
)
from app.predictions.service import Question, ask, counted_body, storable, while_connected
from app.predictions.tensors import Output

router = APIRouter(route_class=StrictRoute, prefix="/v2", tags=["open inference protocol"])
Name = Annotated[
    str,
    path_id("A model's id, or an alias.", "ft:efficientnet_lite0:default::01ke4c0f6v6z2k8m9q3w5x"),
]
_MEMBERS = frozenset(["id", "inputs", "outputs", "parameters", "model_name", "model_version"])
_HEEDED = frozenset({"threshold", "thresholds"})
"""The request's parameters that are read here."""
_EXTENSIONS = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"]
_PROBLEMS = problems("not_found", "not_ready", "predictor_unavailable")
_INFER_PROBLEMS = problems(
    "not_found",
    "not_ready",
    "invalid_json",
    "encoding",
    "text_too_long",
    "image_invalid",
    "image_truncated",
    "model_corrupt",
    "backbone_unavailable",
    "overloaded",
    "predictor_unavailable",
    "deadline_exceeded",
)
_ANSWERS: Responses = {
    200: files("application/octet-stream"),
    **_INFER_PROBLEMS,
}


@router.get("", response_model=ServerMetadata)
def server() -> dict[str, Any]:
    """What this server is."""
    return {"name": "headstart", "version": "0.1.0", "extensions": _EXTENSIONS}


@router.get("/health/live", response_model=Liveness)
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@router.get("/health/ready", response_model=Readiness, responses=problems("predictor_unavailable"))
async def ready(services: ServicesDep) -> dict[str, bool]:
    """The predictor has its backbone."""
    if not await services.predictor.ready():
        raise HeadstartError("predictor_unavailable", "the predictor is not ready", retry_after=1)
    return {"ready": True}


@router.get("/models/{model}", response_model=ModelMetadata, responses=problems("not_found"))
@router.get(
    "/models/{model}/versions/1", response_model=ModelMetadata, responses=problems("not_found")
)
def metadata(model: Name, caller: Asker, services: ServicesDep) -> dict[str, Any]:
    """What the model reads and gives; `probabilities` are in the order of `labels`."""
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=caller.organisation_id, name=model)
        labels, modality = sorted(row.card.get("labels", [])), row.modality
        thresholds = _thresholds(row.card)
    return {
        "name": model,
        "versions": ["1"],
        "platform": "headstart",
        "inputs": [{"name": modality, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probability", "datatype": "FP32", "shape": [-1]},
            {"name": "unknown", "datatype": "BOOL", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(labels)]},
            *([{"name": SEVERAL, "datatype": "BYTES", "shape": [-1]}] if thresholds else []),
        ],
        "parameters": {"labels": labels, **thresholds},
    }


@router.get("/models/{model}/ready", response_model=ModelReadiness, responses=_PROBLEMS)
@router.get("/models/{model}/versions/1/ready", response_model=ModelReadiness, responses=_PROBLEMS)
async def model_ready(model: Name, caller: Asker, services: ServicesDep) -> dict[str, Any]:
    """The model exists and the predictor answers."""
    await services.resolver.resolve(caller.organisation_id, model)
    return {"name": model, **(await ready(services))}


@router.post(
    "/models/{model}/infer", response_model=InferenceAnswer, responses=_ANSWERS, openapi_extra=INFER
)
@router.post(
    "/models/{model}/versions/1/infer",
    response_model=InferenceAnswer,
    responses=_ANSWERS,
    openapi_extra=INFER,
)
async def infer(
    model: Name, caller: Predicter, services: ServicesDep, request: Request
) -> Response:
    """Predict the elements of one BYTES tensor."""
    whose, begun = (caller.organisation_id, model), time.perf_counter_ns()
    body = await counted_body(services, caller.organisation_id, request.receive)
    length = tensors.header_length(request.headers.get("inference-header-content-length"), body)
    document = await _document(body[:length])
    outputs = tensors.wanted_outputs(document, (*OUTPUTS, SEVERAL))
    told = request.headers
    usual = preferring(read_options("", told.get("x-headstart-cache", "")), told.get("prefer", ""))
    question = Question(
        id=new_id("pred_"),
        tenant=caller.organisation_id,
        model=model,
        options=replace(usual, **_levels(document)),
        inputs=lambda resolved: (_inputs(document, body[length:], resolved, services), False),
        long=len(body) > SHORT,
        store=storable(request.headers.get("cache-control", "")),
    )
    try:
        answer = await while_connected(request.receive, ask(services, question))
        data = from_json(answer.body)["data"]
        response = _respond(document, model, data, outputs)
    except HeadstartError as error:
        if error.code != "not_found":
            services.statistics.failed(whose, ns=time.perf_counter_ns() - begun)
        raise
    taken = time.perf_counter_ns() - begun
    services.statistics.succeeded(whose, inputs=len(data), ns=taken, timing=answer.timing)
    response.headers.update(answer.headers)
    return response


def _thresholds(card: Mapping[str, Any]) -> dict[str, Any]:
    """`{"thresholds": {label: probability}}` of a model that says several labels."""
    config = card.get("config", {})
    if "thresholds" not in config:
        return {}
    return {"thresholds": dict(zip(config["classes"], config["thresholds"], strict=True))}


def _levels(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the request's parameters say of thresholds: a number, an object or its JSON.

    Raises invalid_request.
    """
    told = document.get("parameters") or {}
    refuse_parameters(told, _HEEDED)
    by_label = told.get("thresholds")
    if isinstance(by_label, dict):
        by_label = json.dumps(by_label)
    query = {"threshold": told.get("threshold"), "thresholds": by_label}
    texts = {name: str(value) for name, value in query.items() if value is not None}
    read = options_of(texts, cache=True)
    return {"level": read.level, "levels": read.levels}


async def _document(body: bytes) -> dict[str, Any]:
    try:
        document = await parsed(body)
    except (json.JSONDecodeError, RecursionError) as error:
        raise HeadstartError("invalid_json", str(error)) from error
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or not all(isinstance(tensor, dict) for tensor in inputs):
        raise HeadstartError("invalid_request", "inputs is a list of tensors", param="inputs")
    assert isinstance(document, dict)
    refuse_members(document, _MEMBERS)
    return document


def _inputs(
    document: dict[str, Any], raw: bytes, resolved: ResolvedModel, services: Services
) -> tuple[Input, ...]:
    """The one tensor's elements. Raises invalid_request."""
    given = document["inputs"]
    pieces = tensors.raw_tensors(given, raw)
    if len(given) != 1 or given[0].get("name") != resolved.modality:
        wanted = f"the model reads one tensor, {resolved.modality}"
        raise HeadstartError("invalid_request", wanted, param="inputs")
    most = services.settings.max_predict_items
    tensor, elements = given[0], _elements(given[0], pieces[0], most)
    count = len(elements)
    if tensor.get("datatype") != "BYTES" or tensor.get("shape") not in ([count], [count, 1]):
        raise HeadstartError(
            "invalid_request",
            f"{resolved.modality} is BYTES of shape [n] or [n, 1]",
            param="inputs.0",
        )
    if not 1 <= count <= most:
        raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param="inputs.0")
    return tuple(_input(element, resolved.modality) for element in elements)


def _elements(tensor: dict[str, Any], raw: bytes | None, most: int) -> Sequence[bytes | str]:
    if raw is not None:
        return tensors.split_bytes(raw, name=str(tensor.get("name")), most=most)
    data = tensor.get("data")
    flat = (
        [x for row in data for x in (row if isinstance(row, list) else [row])]
        if isinstance(data, list)
        else None
    )
    if flat is None or not all(isinstance(element, str) for element in flat):
        raise HeadstartError("invalid_request", "data is a list of strings", param="inputs.0.data")
    return flat


def _input(element: bytes | str, modality: str) -> Input:
    """Raw images are files and JSON ones base64; a text is a text either way."""
    return _READ[modality](element)


def _image(element: bytes | str) -> Input:
    return Input("image", element) if isinstance(element, bytes) else image_bytes(element)


def _text(element: bytes | str) -> Input:
    if isinstance(element, str):
        return text_bytes(element)
    try:
        return text_bytes(element.decode())
    except UnicodeDecodeError as error:
        raise HeadstartError("encoding", "a text is not UTF-8", param="inputs.0") from error


_READ = {"image": _image, "text": _text}


def _respond(
    document: dict[str, Any],
    model: str,
    data: Sequence[dict[str, Any]],
    wanted: Sequence[tuple[str, bool]],
) -> Response:
    """The tensors asked for. Raises the first bad element's error: no tensor has a place for it."""
    for item in data:
        if "error" in item:
            error = item["error"]
            raise HeadstartError(error["code"], error["message"], param=f"inputs.0.{item['index']}")
    made = {output.name: output for output in _outputs(data)}
    if not document.get("outputs"):
        wanted = [one for one in wanted if one[0] in made]
    if any(name not in made for name, _ in wanted):
        why = f"{SEVERAL}: the model is single_label, and says the most probable class"
        raise HeadstartError("invalid_request", why, param="outputs")
    head = {"model_name": model, "model_version": "1"}
    if isinstance(document.get("id"), str):
        head["id"] = document["id"]
    body, length = tensors.encode_answer(
        head, [made[name] for name, _ in wanted], binary=[raw for _, raw in wanted]
    )
    if length is None:
        return Response(body, media_type="application/json")
    headers = {"inference-header-content-length": str(length)}
    return Response(body, media_type="application/octet-stream", headers=headers)


def _outputs(data: Sequence[dict[str, Any]]) -> list[Output]:
    labels = sorted(entry["label"] for entry in data[0]["predictions"])
    rows = [{e["label"]: e["probability"] for e in item["predictions"]} for item in data]
    count = len(data)
    return [
        Output("label", "BYTES", [count], [item["label"] for item in data]),
        Output("probability", "FP32", [count], [item["probability"] for item in data]),
        Output("unknown", "BOOL", [count], [item["unknown"] for item in data]),
        Output(
            "probabilities",
            "FP32",
            [count, len(labels)],
            [row[label] for row in rows for label in labels],
        ),
        *([Output(SEVERAL, "BYTES", [count], _several(data))] if "labels" in data[0] else []),
    ]


def _several(data: Sequence[dict[str, Any]]) -> list[str]:
    """The labels of each input as a JSON array: no tensor has rows of different lengths."""
    return [json.dumps(item["labels"], ensure_ascii=False) for item in data]
