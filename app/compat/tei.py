"""Text Embeddings Inference's `/predict`, `/embed` and `/info`.

It serves one model: `/tei/{model}` is the address to give its clients; paths without a model mean
the alias that the setting DEFAULT_MODEL names.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.compat.asking import PREDICTS, PROBLEMS, Default, Name, predictions, scores
from app.core.errors import HeadstartError
from app.core.openai.embeddings import EmbeddingRequest
from app.http.dependencies import Asker, Predicter, Services, ServicesDep
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.infra import weights
from app.infra.database import reading
from app.infra.repositories import models
from app.predictions.embeddings import CountedRoute
from app.predictions.embeddings import embed as embeddings

TAGS: list[str | Enum] = ["text embeddings inference"]
router = APIRouter(route_class=CountedRoute, tags=TAGS)
about = APIRouter(route_class=StrictRoute, tags=TAGS)
Texts = Annotated[list[str], Field(min_length=1, max_length=2)]


class TeiPredictRequest(BaseModel):
    """`inputs` is a text, or a batch of texts, each in a list of its own."""

    model_config = ConfigDict(extra="forbid")

    inputs: str | Texts | Annotated[list[Texts], Field(min_length=1)] = Field(
        examples=["my card has not arrived"]
    )
    raw_scores: bool = Field(
        False, description="Logarithms of the probabilities; of several labels, of their odds."
    )
    truncate: bool = Field(
        False, description="Long texts are read in windows, as far as the backbone reads."
    )
    truncation_direction: Annotated[str, Field(pattern="^[Rr]ight$")] | None = None


class TeiScore(BaseModel):
    """One class."""

    score: float
    label: str


class TeiEmbedRequest(BaseModel):
    """One text or many; of an image backbone, images as base64."""

    model_config = ConfigDict(extra="forbid")

    inputs: str | list[str] = Field(examples=["my card has not arrived"])
    truncate: bool = False
    truncation_direction: Annotated[str, Field(pattern="^[Rr]ight$")] | None = None
    normalize: Literal[True] = Field(True, description="Embeddings are of length one here.")
    dimensions: int | None = Field(None, ge=1, description="Only the backbone's own.")
    prompt_name: None = Field(None, description="A backbone has one prompt, its own.")


class TeiLabels(BaseModel):
    """The classes by their number and their numbers by class."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class TeiModelType(BaseModel):
    """What the model is."""

    classifier: TeiLabels


class TeiInfo(BaseModel):
    """The model that the address means."""

    model_id: str
    model_sha: str
    model_dtype: str
    model_type: TeiModelType
    max_concurrent_requests: int
    max_input_length: int = Field(description="Tokens of a text that are read.")
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str


Prediction = list[TeiScore] | list[list[TeiScore]]


async def _predict(
    body: TeiPredictRequest, model: str, request: Request, response: Response
) -> Any:
    values, single = _texts(body.inputs)
    answered = await predictions(request, model, values)
    response.headers.update(answered.headers)
    listed = [scores(item, raw=body.raw_scores) for item in answered.items]
    return listed[0] if single else listed


def _texts(given: str | list[Any]) -> tuple[list[str], bool]:
    """The texts, and whether it is one by itself. Raises invalid_request for a pair."""
    single = isinstance(given, str) or isinstance(given[0], str)
    rows = [given if isinstance(given, list) else [given]] if single else given
    for place, row in enumerate(rows):
        if len(row) != 1:
            why = "a model here reads one text and no pairs; a batch is [[text], [text]]"
            raise HeadstartError("invalid_request", why, param=f"inputs.{place}")
    return [row[0] for row in rows], single


@router.post("/predict", response_model=Prediction, responses=PROBLEMS, dependencies=[PREDICTS])
async def tei_predict(
    body: TeiPredictRequest,
    model: Default,
    request: Request,
    response: Response,
) -> Any:
    """Classify with the default model."""
    return await _predict(body, model, request, response)


@router.post(
    "/tei/{model}/predict", response_model=Prediction, responses=PROBLEMS, dependencies=[PREDICTS]
)
async def tei_predict_with(
    body: TeiPredictRequest,
    model: Name,
    request: Request,
    response: Response,
) -> Any:
    """Classify one text or a batch; every class with its score, most probable first."""
    return await _predict(body, model, request, response)


async def _embed(
    body: TeiEmbedRequest,
    model: str,
    caller: Predicter,
    services: Services,
    *,
    request: Request,
    response: Response,
) -> list[list[float]]:
    asked = EmbeddingRequest(model=model, input=body.inputs, dimensions=body.dimensions)
    made = await embeddings(asked, caller, services, request, response)
    return [item.embedding for item in made.data if isinstance(item.embedding, list)]


@router.post("/embed", responses=PROBLEMS)
async def tei_embed(
    body: TeiEmbedRequest,
    model: Default,
    caller: Predicter,
    *,
    services: ServicesDep,
    request: Request,
    response: Response,
) -> list[list[float]]:
    """Embeddings of the default model's backbone."""
    return await _embed(body, model, caller, services, request=request, response=response)


@router.post("/tei/{model}/embed", responses=PROBLEMS)
async def tei_embed_with(
    body: TeiEmbedRequest,
    model: Name,
    caller: Predicter,
    *,
    services: ServicesDep,
    request: Request,
    response: Response,
) -> list[list[float]]:
    """Embeddings of the model's backbone, or of the backbone so called, each of length one."""
    return await _embed(body, model, caller, services, request=request, response=response)


@about.get("/info", responses=problems("not_found"))
def tei_info(model: Default, caller: Asker, services: ServicesDep) -> TeiInfo:
    """What the default model is."""
    return _info(services, caller.organisation_id, model)


@about.get("/tei/{model}/info", responses=problems("not_found"))
def tei_info_of(model: Name, caller: Asker, services: ServicesDep) -> TeiInfo:
    """What the model is, and what one request may hold."""
    return _info(services, caller.organisation_id, model)


def _info(services: Services, organisation_id: str, model: str) -> TeiInfo:
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=organisation_id, name=model)
        name, sha256, backbone, card = row.id, row.sha256, row.backbone, row.card
    labels = card.get("labels", [])
    spec = weights.known(backbone, services.settings.weights_dir)
    reads = spec.input_size if spec is not None else 0
    most = services.settings.max_predict_items
    numbered = TeiLabels(
        id2label={str(place): label for place, label in enumerate(labels)},
        label2id={label: place for place, label in enumerate(labels)},
    )
    return TeiInfo(
        model_id=name,
        model_sha=sha256,
        model_dtype=str((card.get("backbone") or {}).get("precision", "")),
        model_type=TeiModelType(classifier=numbered),
        max_concurrent_requests=services.settings.predictor_queue,
        max_input_length=reads,
        max_batch_tokens=most * reads,
        max_batch_requests=None,
        max_client_batch_size=most,
        auto_truncate=True,
        tokenization_workers=1,
        version="0.1.0",
    )
