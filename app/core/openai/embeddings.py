"""`/v1/embeddings`: a backbone's own view of inputs, as numbers or as base64 of them."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.manifest import Modality
from app.core.messages import Input, Options
from app.core.openai.inputs import READ, image_bytes
from app.core.openai.question import ModelQuestion, ModelReply

_OPTIONS = Options(cache=False, tokens=True)
_ENOUGH = 10_000
"""Inputs that are looked at before too many are refused; how many are too many is a setting."""


class EmbeddingImage(BaseModel):
    """An image, as base64 or a `data:` URL."""

    model_config = ConfigDict(extra="forbid")

    image: str


def _shape(given: object) -> str:
    """Which of the three was meant, so that a fault is named by that one alone."""
    return "list" if isinstance(given, list) else "text" if isinstance(given, str) else "image"


def _no_tokens(given: object) -> object:
    """Refuse what clients that tokenize for themselves send: the numbers are another model's."""
    first = given[0] if isinstance(given, list) and given else None
    first = first[0] if isinstance(first, list) and first else first
    if isinstance(first, int):
        said = "tokens are not read, send texts (LangChain: check_embedding_ctx_length=False)"
        raise PydanticCustomError("tokens", said)
    return given


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
        BeforeValidator(_no_tokens),
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
    """Tokens, counted by a text backbone's own tokenizer; a picture has none."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class Embeddings(BaseModel):
    """As many embeddings as inputs, in their order."""

    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str
    usage: Usage = Usage()


def question(asked: EmbeddingRequest, *, most: int) -> ModelQuestion:
    """What the request asks; at most `most` inputs."""
    return ModelQuestion(
        model=asked.model,
        options=_OPTIONS,
        inputs=partial(_inputs, asked.input, most=most),
        answer=partial(_answer, asked),
        check=partial(_check, asked),
        backbone=True,
    )


def _check(asked: EmbeddingRequest, spec: BackboneSpec) -> None:
    """Raise invalid_value where another number of dimensions is wanted than there is."""
    if asked.dimensions not in (None, spec.dim):
        why = f"the embeddings of {spec.name} have {spec.dim} dimensions, and no other number"
        raise HeadstartError("invalid_value", why, param="dimensions")


def _inputs(
    given: str | EmbeddingImage | list[str | EmbeddingImage], modality: Modality, *, most: int
) -> tuple[Input, ...]:
    items = given if isinstance(given, list) else [given]
    if not 1 <= len(items) <= most:
        raise HeadstartError("invalid_request", f"send 1 to {most} inputs", param="input")
    return tuple(_input(item, place, modality) for place, item in enumerate(items))


def _input(item: str | EmbeddingImage, place: int, modality: Modality) -> Input:
    if isinstance(item, str):
        return READ[modality](item)
    if READ[modality] is image_bytes:
        return image_bytes(item.image)
    raise HeadstartError("modality_mismatch", "the model reads texts", param=f"input.{place}")


def _answer(asked: EmbeddingRequest, reply: ModelReply) -> dict[str, Any]:
    data = [_embedding(item, asked.encoding_format) for item in reply.items]
    tokens = sum(int(item.get("tokens", 0)) for item in reply.items)
    usage = Usage(prompt_tokens=tokens, total_tokens=tokens)
    return Embeddings(data=data, model=asked.model, usage=usage).model_dump()


def _embedding(item: Mapping[str, Any], encoding: str) -> EmbeddingItem:
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
