"""The Open Inference Protocol's shapes in the OpenAPI document; `inference_protocol` reads them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from app.http.openapi import BINARY
from app.predictions.schemas import CACHE

OUTPUTS = ("label", "probability", "unknown", "probabilities")
SEVERAL = "labels"
"""Of multi-label models alone."""


class ServerMetadata(BaseModel):
    """What this server is."""

    name: str = Field(examples=["headstart"])
    version: str = Field(examples=["0.1.0"])
    extensions: list[str] = Field(examples=[["binary_tensor_data"]])


class Liveness(BaseModel):
    """The process answers."""

    live: bool


class Readiness(BaseModel):
    """The predictor has its backbone."""

    ready: bool


class ModelReadiness(Readiness):
    """The model exists and the predictor answers."""

    name: str


class TensorMetadata(BaseModel):
    """A tensor that a model reads or gives; -1 is any length."""

    name: str = Field(examples=["text"])
    datatype: str = Field(examples=["BYTES"])
    shape: list[int] = Field(examples=[[-1]])


class ModelMetadata(BaseModel):
    """What a model reads and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, Any] = Field(
        description="`labels`: the classes, in the order of `probabilities`; `thresholds`: those"
        " of a multi-label model, by label.",
        examples=[{"labels": ["RBC", "WBC"]}],
    )


class OutputTensor(TensorMetadata):
    """One output; without `data`, its bytes follow the document."""

    data: list[str | float | bool] | None = None
    parameters: dict[str, Any] | None = None


class InferenceAnswer(BaseModel):
    """The outputs that were asked for, an element for each input."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string", "enum": ["image", "text"]},
        "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        "datatype": {"type": "string", "enum": ["BYTES"]},
        "data": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "parameters": {"type": "object"},
    },
}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "enum": [*OUTPUTS, SEVERAL]},
        "parameters": {"type": "object"},
    },
}
_DOCUMENT = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": _OUTPUT},
        "parameters": {
            "type": "object",
            "description": "`threshold`, `thresholds`: as in the query of `…/predictions`.",
        },
    },
}
_TEXTS = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["my card has not arrived"]}
_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Bytes of the JSON document that raw tensors follow; all of it, if left out.",
    "schema": {"type": "integer", "minimum": 1},
}
INFER: dict[str, Any] = {
    "parameters": [_LENGTH, CACHE],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _DOCUMENT, "example": {"inputs": [_TEXTS]}},
            "application/octet-stream": {
                "schema": BINARY
                | {
                    "description": "The document, of `Inference-Header-Content-Length` bytes, and "
                    "then raw tensors of `binary_data_size` bytes each."
                }
            },
        },
    },
}
