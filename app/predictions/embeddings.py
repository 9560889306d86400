"""`POST /v1/embeddings`: a backbone's own view of inputs, in OpenAI's shape."""

from __future__ import annotations

import struct
from base64 import b64decode
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from app.core.backbones import BackboneSpec, combined, member_names
from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.messages import Call, Input, Options, Target
from app.core.modalities import IMAGE
from app.core.openai.inputs import image_bytes
from app.http.body import Receive
from app.http.dependencies import Predicter, Services, ServicesDep
from app.http.dependencies import services as services_of
from app.http.openapi import problems
from app.http.routes import StrictRoute
from app.http.strict_json import SHORT
from app.infra import weights
from app.predictions.inputs import READ
from app.predictions.service import counted_body, replayed, while_connected


class CountedRoute(StrictRoute):
    """A route whose bodies take the room in the predictor's queue that their inputs will."""

    async def opened(self, request: Request) -> Receive:
        """The whole body, counted as it came; refused from the head where there is no room."""
        tenant = request.state.identity.organisation_id
        body = await counted_body(services_of(request), tenant, request.receive)
        return replayed(body, request.receive)


router = APIRouter(route_class=CountedRoute, tags=["predictions"])

_OPTIONS = Options(cache=False)
_ENOUGH = 10_000
"""Inputs that are looked at before too many are refused; how many are too many is a setting."""


class EmbeddingImage(BaseModel):
    """An image, as base64 or a `data:` URL."""

    model_config = ConfigDict(extra="forbid")

    image: str


def _shape(given: object) -> str:
    """Which of the three was meant, so that a fault is named by that one alone."""
    return "list" if isinstance(given, list) else "text" if isinstance(given, str) else "image"


class EmbeddingRequest(BaseModel):
    """`input` is one thing or many: texts for a text backbone, base64 images for an image one."""

    model: str = Field(examples=["all-MiniLM-L6-v2"], description="A backbone, or a model of it.")
    input: Annotated[
        Annotated[str, Tag("text")]
        | Annotated[EmbeddingImage, Tag("image")]
        | Annotated[
            list[str | EmbeddingImage],
            Field(max_length=_ENOUGH, fail_fast=True, json_schema_extra={"minItems": 1}),
            Tag("list"),
        ],
        Discriminator(_shape),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1, description="Only the backbone's own.")
    user: str | None = None


class EmbeddingItem(BaseModel):
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
    data: list[EmbeddingItem]
    model: str
    usage: Usage = Usage()


@router.post(
    "/v1/embeddings",
    responses=problems(
        "not_found",
        "invalid_json",
        "invalid_value",
        "modality_mismatch",
        "text_too_long",
        "image_invalid",
        "image_truncated",
        "backbone_unavailable",
        "overloaded",
        "predictor_unavailable",
        "deadline_exceeded",
    ),
)
async def embed(
    body: EmbeddingRequest,
    caller: Predicter,
    services: ServicesDep,
    request: Request,
    response: Response,
) -> Embeddings:
    """The last layer's embedding of each input, L2-normalised.

    Long texts are read in windows, as far as the backbone's `reads` says.
    """
    tenant = caller.organisation_id
    spec = await _backbone(services, tenant, body.model)
    if body.dimensions not in (None, spec.dim):
        raise HeadstartError("invalid_value", f"{spec.name} has {spec.dim}", param="dimensions")
    wanted = (body.input, spec, services.settings.max_predict_items)
    long = len(await request.body()) > SHORT
    call = Call(
        id=new_id("emb_"),
        tenant=tenant,
        target=Target(model=body.model, backbone=spec.name, artifact="", sha256=""),
        options=_OPTIONS,
        inputs=await run_in_threadpool(_inputs, *wanted) if long else _inputs(*wanted),
    )
    answer = await while_connected(request.receive, services.predictor.predict(call))
    response.headers.update(answer.headers)
    data = [_embedding(item, body.encoding_format) for item in from_json(answer.body)["data"]]
    return Embeddings(data=data, model=body.model)


async def _backbone(services: Services, tenant: str, name: str) -> BackboneSpec:
    """The backbone called `name`, or of the model so called. Raises not_found and its like."""
    weights_dir = services.settings.weights_dir
    known = await run_in_threadpool(weights.registry, weights_dir)
    if not set(member_names(name)) <= known.keys():
        name = (await services.resolver.resolve(tenant, name)).backbone
    if name in known:
        return known[name]
    if not set(member_names(name)) <= known.keys():
        why = f"the model's backbone {name} is gone: put its folder back into WEIGHTS_DIR"
        raise HeadstartError("backbone_unavailable", why, param="model")
    return combined([known[one] for one in member_names(name)])


def _inputs(
    given: str | EmbeddingImage | list[str | EmbeddingImage], spec: BackboneSpec, most: int
) -> tuple[Input, ...]:
    items = given if isinstance(given, list) else [given]
    if not 1 <= len(items) <= most:
        raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param="input")
    return tuple(_input(item, place, spec) for place, item in enumerate(items))


def _input(item: str | EmbeddingImage, place: int, spec: BackboneSpec) -> Input:
    if isinstance(item, str):
        return READ[spec.modality](item)
    if spec.reads is IMAGE:
        return image_bytes(item.image)
    raise HeadstartError("modality_mismatch", f"{spec.name} reads texts", param=f"input.{place}")


def _embedding(item: dict[str, Any], encoding: str) -> EmbeddingItem:
    """One item of the predictor's answer. Raises its error: OpenAI's shape has no place for it."""
    index = item["index"]
    if "error" in item:
        error = item["error"]
        raise HeadstartError(error["code"], error["message"], param=f"input.{index}")
    encoded: str = item["embedding"]
    if encoding == "base64":
        return EmbeddingItem(index=index, embedding=encoded)
    raw = b64decode(encoded)
    return EmbeddingItem(index=index, embedding=list(struct.unpack(f"<{len(raw) // 4}f", raw)))
