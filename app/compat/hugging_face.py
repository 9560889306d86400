"""Hugging Face's text and image classification: `/models/{model}`, as their inference API has it.

`InferenceClient(model="<address>/models/<name>", token="hs_…")` works unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.compat.asking import PREDICTS, PROBLEMS, Name, predictions, scores
from app.core import image_header
from app.core.errors import HeadstartError
from app.core.manifest import Modality
from app.predictions.embeddings import CountedRoute
from app.predictions.inputs import is_json, parsed_document
from app.predictions.schemas import RAW

router = APIRouter(route_class=CountedRoute, tags=["hugging face"])


class HuggingFaceParameters(BaseModel):
    """How the answer is to be."""

    model_config = ConfigDict(extra="forbid")

    top_k: int | None = Field(None, ge=1, le=100_000, description="Classes to list.")
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = Field(
        None,
        description="What the model's scores are of: `softmax`, and `sigmoid` where it has several "
        "labels. `none` gives what they are made of.",
    )


class HuggingFaceRequest(BaseModel):
    """`inputs`: a text or many; for a model of images, base64."""

    model_config = ConfigDict(extra="forbid")

    inputs: str | Annotated[list[str], Field(min_length=1)] = Field(
        examples=["my card has not arrived"]
    )
    parameters: HuggingFaceParameters | None = None
    options: dict[str, Any] | None = Field(None, description="Taken, and without meaning here.")


class HuggingFaceScore(BaseModel):
    """One class."""

    label: str
    score: float


_FUNCTIONS = ("softmax", "sigmoid", "none")
_BARE: Mapping[Modality, bool] = {"image": True, "text": False}
"""Whether the answer to one input is its list, and not a list of one list: as they have it."""
_EMBEDDING = frozenset({"normalize", "prompt_name", "truncate", "truncation_direction"})
"""What only their clients' feature extraction says."""
Classes = list[HuggingFaceScore] | list[list[HuggingFaceScore]]
_DOCUMENT = {
    "schema": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": {
                "oneOf": [
                    {"type": "string"},
                    {"type": "array", "minItems": 1, "items": {"type": "string"}},
                ],
                "description": "A text or many; for a model of images, base64.",
            },
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "top_k": {"type": "integer", "minimum": 1, "maximum": 100_000},
                    "function_to_apply": {"type": "string", "enum": list(_FUNCTIONS)},
                },
            },
            "options": {"type": "object"},
        },
    },
    "example": {"inputs": "my card has not arrived", "parameters": {"top_k": 3}},
}
_OPENAPI = {
    "requestBody": {
        "required": True,
        "content": {"application/json": _DOCUMENT, "image/*": RAW, "application/octet-stream": RAW},
    }
}


@router.post(
    "/models/{model}",
    response_model=Classes,
    responses=PROBLEMS,
    dependencies=[PREDICTS],
    openapi_extra=_OPENAPI,
)
async def hugging_face_classify(
    model: Name,
    request: Request,
    response: Response,
) -> Any:
    """Classify an image (raw, or base64 in JSON) or texts.

    An image and one of base64 give a list of classes; texts a list for each, one text included.
    """
    body = await request.body()
    if _is_image(request.headers.get("content-type", ""), body):
        answered = await predictions(request, model, [body])
        response.headers.update(answered.headers)
        return scores(answered.items[0])
    return await _document(body, model, request, response)


async def _document(body: bytes, model: str, request: Request, response: Response) -> Any:
    asked = _asked(await parsed_document(body))
    values = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
    wanted = asked.parameters or HuggingFaceParameters()
    answered = await predictions(request, model, values, top_k=wanted.top_k)
    response.headers.update(answered.headers)
    _check(wanted, several=any("labels" in item for item in answered.items))
    raw = wanted.function_to_apply == "none"
    listed = [scores(item, raw=raw) for item in answered.items]
    bare = isinstance(asked.inputs, str) and _BARE[answered.modality]
    return listed[0] if bare else listed


def _check(wanted: HuggingFaceParameters, *, several: bool) -> None:
    """Raises invalid_request where the scores are those of another function than is asked for."""
    theirs, asked = "sigmoid" if several else "softmax", wanted.function_to_apply
    if asked not in (None, "none", theirs):
        labels = "several labels" if several else "one label"
        why = f"this model says {labels} of an input: its scores are of {theirs}, not of {asked}"
        raise HeadstartError("invalid_request", why, param="parameters.function_to_apply")


def _is_image(content_type: str, body: bytes) -> bool:
    """Whether the body is a picture itself; their clients name no type where they know none."""
    if is_json(content_type):
        return False
    if content_type:
        return True
    try:
        image_header.sniff(body[:64])
    except HeadstartError:
        return not body.lstrip().startswith(b"{")
    return True


def _asked(document: Any) -> HuggingFaceRequest:
    """The document, checked. Raises invalid_request, for a question of another task, too."""
    other = sorted(_EMBEDDING & document.keys()) if isinstance(document, dict) else []
    if other:
        why = f"{other[0]}: classes are answered here; /embed and /v1/embeddings give embeddings"
        raise HeadstartError("invalid_request", why, param=other[0])
    try:
        return HuggingFaceRequest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise HeadstartError("invalid_request", f"{where}: {first['msg']}", param=where) from error
