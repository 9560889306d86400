"""KServe's first protocol: `/v1/models/{model}:predict`. Its second is `/v2`, in `predictions`.

A model's readiness, `GET /v1/models/{model}` with `name` and `ready`, is in OpenAI's object.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.compat.asking import PREDICTS, PROBLEMS, Name, predictions, summary
from app.predictions.embeddings import CountedRoute
from app.predictions.options import refuse_parameters

router = APIRouter(route_class=CountedRoute, tags=["kserve"])
Instance = str | dict[str, Any]
Instances = Annotated[list[Instance], Field(min_length=1)]


class KServeRequest(BaseModel):
    """`instances`, or `inputs`: texts, or images as base64, each bare or as an object's member."""

    model_config = ConfigDict(extra="forbid")

    instances: Instances | None = Field(None, examples=[["my card has not arrived"]])
    inputs: Instances | None = Field(None, examples=[[{"image": {"b64": "iVBORw0KGgo="}}]])

    signature_name: str | None = Field(None, description="Taken, and without meaning here.")
    id: str | None = Field(None, description="Taken, and without meaning here.")
    parameters: dict[str, Any] | None = Field(
        None, description="Such as change no answer: thresholds are read in `/v2`."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.instances is None) == (self.inputs is None):
            raise ValueError("send instances, or inputs")
        return self

    @property
    def values(self) -> list[Instance]:
        """What is to be predicted."""
        return self.instances or self.inputs or []


class LabelledPrediction(BaseModel):
    """One prediction as one object."""

    label: str
    probability: float
    labels: list[str] | None = Field(None, description="All, of a model that says several.")
    unknown: bool
    probabilities: dict[str, float]


class KServePredictions(BaseModel):
    """One prediction an instance, in their order."""

    predictions: list[LabelledPrediction]


@router.post(
    "/v1/models/{model}:predict",
    responses=PROBLEMS,
    dependencies=[PREDICTS],
    response_model_exclude_none=True,
)
async def kserve_predict(
    body: KServeRequest,
    model: Name,
    request: Request,
    response: Response,
) -> KServePredictions:
    """Predict instances, in the shape of KServe's and TensorFlow Serving's first protocol."""
    refuse_parameters(body.parameters)
    answered = await predictions(request, model, body.values)
    response.headers.update(answered.headers)
    return KServePredictions.model_validate({"predictions": map(summary, answered.items)})
