"""What every other service's shape asks of ours: inputs as its clients write them, and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic_core import from_json

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.manifest import Modality
from app.core.messages import Input, Options
from app.core.modalities import MODALITIES
from app.core.openai.inputs import READ
from app.http.dependencies import caller
from app.http.dependencies import services as services_of
from app.http.openapi import Responses, path_id, problems
from app.infra.repositories.targets import ResolvedModel
from app.predictions.inputs import matching
from app.predictions.options import cached, preferring
from app.predictions.service import PREDICTION, Question, ask, storable, while_connected

Name = Annotated[
    str,
    path_id(
        "A model's id, an alias, or the id of the job that made it.",
        "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t",
    ),
]
PROBLEMS: Responses = problems(
    "not_found",
    "not_ready",
    "invalid_json",
    "modality_mismatch",
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
PREDICTS = Depends(caller("predict"))
"""Of a route that answers predictions, whoever asks."""
_SMALLEST = 1e-38
"""A probability that rounds to nothing has still a logarithm."""


def _default(request: Request) -> str:
    return services_of(request).settings.default_model


Default = Annotated[str, Depends(_default)]
"""The alias that a path without a model means: services of one model have no place for its name."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The predictor's items in the inputs' order, none of them an error, and its headers."""

    model: str
    items: list[dict[str, Any]]
    headers: dict[str, str]
    modality: Modality


async def predictions(
    request: Request, model: str, values: Sequence[Any], *, top_k: int | None = None
) -> Answered:
    """One item for each of `values`: texts, base64 or bytes of images, or objects of one member.

    Raises the first bad input's own error, named by its place: these shapes have none for it.
    """
    held, tenant = services_of(request), request.state.identity.organisation_id
    most = held.settings.max_predict_items
    if not 1 <= len(values) <= most:
        raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param="inputs")

    modality: Modality = "image"

    def inputs(resolved: ResolvedModel) -> tuple[tuple[Input, ...], bool]:
        nonlocal modality
        modality = MODALITIES[resolved.modality].name
        read = [_input(value, place, modality) for place, value in enumerate(values)]
        return tuple(read), False

    told = request.headers
    options = Options(top_k=top_k, cache=cached(told.get("x-headstart-cache", "")))
    question = Question(
        id=new_id(PREDICTION),
        tenant=tenant,
        model=model,
        options=preferring(options, told.get("prefer", "")),
        inputs=inputs,
        long=not all(isinstance(value, bytes) for value in values),
        store=_may_store(request),
    )
    answer = await while_connected(request.receive, ask(held, question))
    found = from_json(answer.body)
    for item in found["data"]:
        if "error" in item:
            error = item["error"]
            raise HeadstartError(error["code"], error["message"], param=f"inputs.{item['index']}")
    return Answered(found["model"], found["data"], answer.headers, modality)


def scores(item: Mapping[str, Any], *, raw: bool = False) -> list[dict[str, Any]]:
    """`[{label, score}]`, most probable first; `raw` scores are logarithms, which softmax undoes,
    or, of several labels, of the odds, which sigmoid undoes.
    """
    told = (_log_odds if "labels" in item else _log) if raw else float
    return [
        {"label": one["label"], "score": told(one["probability"])} for one in item["predictions"]
    ]


def summary(item: Mapping[str, Any]) -> dict[str, Any]:
    """A prediction as one object, for services whose answers are whatever a model says."""
    kept = [name for name in ("label", "probability", "labels", "unknown") if name in item]
    listed = {one["label"]: one["probability"] for one in item["predictions"]}
    return {**{name: item[name] for name in kept}, "probabilities": listed}


def _may_store(request: Request) -> bool:
    """Whether the caller has not refused, in a header or, as Custom Vision's do, in the path."""
    told = storable(request.headers.get("cache-control", ""))
    return told and not request.url.path.lower().endswith("/nostore")


def _log(probability: float) -> float:
    return log(max(probability, _SMALLEST))


def _log_odds(probability: float) -> float:
    return _log(probability) - _log(1.0 - probability)


def _input(value: Any, place: int, modality: Modality) -> Input:
    """A text, or an image as bytes or base64; an object of one member is that member's value.

    Raises invalid_request.
    """
    while isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, bytes):
        return matching(Input("image", value), modality)
    if isinstance(value, str):
        return READ[modality](value)
    why = f"an input is one string: a text, or an image as base64; the model reads {modality}s"
    raise HeadstartError("invalid_request", why, param=f"inputs.{place}")
