"""`POST /v1/embeddings`: a backbone's own view of inputs, in OpenAI's shape."""

from __future__ import annotations

import struct
from base64 import b64decode
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from app.core import backbones
from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Call, Input, Options, Target
from app.dependencies import Predicter, Services, ServicesDep
from app.openapi import problems
from app.predictions.inputs import image_bytes, text_bytes
from app.predictions.service import resolver, while_connected
from app.strict_json import StrictRoute

router = APIRouter(route_class=StrictRoute, tags=["predictions"])

_OPTIONS = Options(cache=False)


class EmbeddingImage(BaseModel):
    """An image, as base64 or a `data:` URL."""

    model_config = ConfigDict(extra="forbid")

    image: str


class EmbeddingRequest(BaseModel):
    """`input` is one thing or many: texts for a text backbone, base64 images for an image one."""

    model: str = Field(examples=["all-MiniLM-L6-v2"], description="A backbone, or a model of it.")
    input: str | EmbeddingImage | Annotated[list[str | EmbeddingImage], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, description="Only the backbone's own.")
    user: str | None = None


class Embedding(BaseModel):
    """One input's embedding, of length one; base64 holds little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Nothing is counted in tokens here; the SDK wants the member."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class Embeddings(BaseModel):
    """As many embeddings as inputs, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage = Usage()


@router.post(
    "/v1/embeddings",
    responses=problems(
        "not_found", "invalid_json", "image_invalid", "overloaded", "predictor_unavailable"
    ),
)
async def embed(
    body: EmbeddingRequest, caller: Predicter, services: ServicesDep, request: Request
) -> Embeddings:
    """The last layer's embedding of each input, L2-normalised."""
    tenant = caller.organisation_id
    services.predictor.admit(tenant)
    spec = await _backbone(request, services, tenant, body.model)
    if body.dimensions not in (None, spec.dim):
        raise HeadstartError("invalid_value", f"{spec.name} has {spec.dim}", param="dimensions")
    call = Call(
        id=new_id("emb_"),
        tenant=tenant,
        target=Target(model=body.model, backbone=spec.name, artifact="", sha256=""),
        options=_OPTIONS,
        inputs=_inputs(body.input, spec, services.settings.max_predict_items),
    )
    answer = await while_connected(request.receive, services.predictor.predict(call))
    data = [_embedding(item, body.encoding_format) for item in from_json(answer.body)["data"]]
    return Embeddings(data=data, model=body.model)


async def _backbone(request: Request, services: Services, tenant: str, name: str) -> BackboneSpec:
    """The backbone called `name`, or that of the model called so. Raises not_found."""
    weights_dir = services.settings.weights_dir
    known = await run_in_threadpool(backbones.registry, weights_dir)
    if name not in known:
        name = (await resolver(services, request.app.state).resolve(tenant, name)).backbone
    return known[name]


def _inputs(
    given: str | EmbeddingImage | list[str | EmbeddingImage], spec: BackboneSpec, most: int
) -> tuple[Input, ...]:
    items = given if isinstance(given, list) else [given]
    if len(items) > most:
        raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param="input")
    return tuple(_input(item, place, spec) for place, item in enumerate(items))


def _input(item: str | EmbeddingImage, place: int, spec: BackboneSpec) -> Input:
    if spec.modality == "image":
        return image_bytes(item if isinstance(item, str) else item.image)
    if isinstance(item, str):
        return text_bytes(item)
    raise HeadstartError("modality_mismatch", f"{spec.name} reads texts", param=f"input.{place}")


def _embedding(item: dict[str, Any], encoding: str) -> Embedding:
    """One item of the predictor's answer. Raises its error: OpenAI's shape has no place for it."""
    index = item["index"]
    if "error" in item:
        error = item["error"]
        raise HeadstartError(error["code"], error["message"], param=f"input.{index}")
    encoded: str = item["embedding"]
    if encoding == "base64":
        return Embedding(index=index, embedding=encoded)
    raw = b64decode(encoded)
    return Embedding(index=index, embedding=list(struct.unpack(f"<{len(raw) // 4}f", raw)))
