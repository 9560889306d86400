"""The shapes of a prediction in the OpenAPI document; the predictor writes the bytes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.http.openapi import BINARY


class LabelProbability(BaseModel):
    """One class."""

    label: str
    probability: float = Field(ge=0, le=1)


class NearExample(BaseModel):
    """One training example near the input."""

    example_id: str
    label: str = Field(description="Of several labels, all of them with commas between.")
    labels: list[str] | None = None
    similarity: float


class PredictionItem(BaseModel):
    """One input's prediction."""

    index: int
    label: str
    probability: float = Field(ge=0, le=1)
    labels: list[str] | None = Field(
        default=None,
        description="Of a multi-label model: all labels whose probability is beyond their"
        " threshold, most probable first, or none.",
    )
    unknown: bool = Field(description="The input looks like none of the classes.")
    familiarity: float | None = Field(
        default=None,
        description="The share of known inputs that look stranger than this one. Of few examples "
        "the lowest shares are no more than guesses: 0 is stranger than all that is known.",
    )
    predictions: list[LabelProbability] = Field(description="Most probable first.")
    neighbours: list[NearExample] | None = None
    saliency: str | None = Field(default=None, description="A PNG as a `data:` URL.")


class ItemError(BaseModel):
    """Why one input has no prediction."""

    code: str
    message: str


class FailedItem(BaseModel):
    """One input without a prediction; the others have theirs."""

    index: int
    error: ItemError


class Predictions(BaseModel):
    """One answer an input, in the inputs' order."""

    id: str
    object: Literal["list"] = "list"
    model: str
    data: list[PredictionItem | FailedItem]


_FILES = {
    "schema": {
        "type": "object",
        "required": ["files"],
        "properties": {"files": {"type": "array", "items": BINARY}},
    }
}
_INPUT = {
    "oneOf": [
        {"type": "object", "required": [name], "properties": {name: {"type": "string"}}}
        for name in ("text", "image")
    ]
}
JSON_INPUTS: dict[str, Any] = {"type": "array", "minItems": 1, "items": _INPUT}
JSON_EXAMPLES: dict[str, Any] = {
    "text": {"value": {"inputs": [{"text": "my card has not arrived"}]}},
    "image": {"value": {"inputs": [{"image": "iVBORw0KGgo="}]}},
}
_JSON = {
    "schema": {
        "type": "object",
        "required": ["inputs"],
        "properties": {"inputs": JSON_INPUTS},
    },
    "examples": JSON_EXAMPLES,
}
RAW = {"schema": BINARY}
IMAGES: dict[str, Any] = {
    "image/*": RAW,
    "application/octet-stream": RAW,
    "application/dicom": RAW,
    "multipart/form-data": _FILES,
}
CACHE = {
    "name": "x-headstart-cache",
    "in": "header",
    "description": "`off` computes even what was computed before.",
    "schema": {"type": "string", "enum": ["on", "off"]},
}
PREFER = {
    "name": "prefer",
    "in": "header",
    "description": "`wait=N`: the request may wait N seconds for others before it, its timeout at"
    " most; by default one second. Who would wait longer is told `overloaded` at once (RFC 7240).",
    "schema": {"type": "string"},
    "example": "wait=5",
}
PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "top_k",
        "in": "query",
        "description": "How many classes to list; all by default.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100_000},
    },
    {
        "name": "unknown",
        "in": "query",
        "description": "Familiarity below which an input is `unknown`: the share of false alarms.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
    },
    {
        "name": "threshold",
        "in": "query",
        "description": "Probability from which a multi-label model says a label, instead of those"
        " that were chosen out of fold.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
    },
    {
        "name": "thresholds",
        "in": "query",
        "description": 'The same by label: a JSON object, as `{"crack": 0.3}`.',
        "schema": {"type": "string"},
    },
    {
        "name": "explain",
        "in": "query",
        "description": "Give the nearest training examples, a saliency map, or both.",
        "schema": {"type": "string", "enum": ["neighbours", "saliency", "neighbours,saliency"]},
    },
    {
        "name": "timeout",
        "in": "query",
        "description": "Seconds after which the answer is worth nothing.",
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 300, "default": 30},
    },
    CACHE,
    PREFER,
]
STICKY = {
    "name": "x-headstart-key",
    "in": "header",
    "description": "Of an alias that is split: requests with the same one are answered by the same "
    "model; without one, those of the same content.",
    "schema": {"type": "string", "maxLength": 200},
}
OPENAPI: dict[str, Any] = {
    "parameters": [*PARAMETERS, STICKY],
    "requestBody": {
        "required": True,
        "content": {**IMAGES, "application/json": _JSON},
    },
}
