"""MLflow's scoring server: `/invocations`, `/ping`, `/health`, `/version`.

It serves one model: `/mlflow/{model}` is the address to give its clients; paths without a model
mean the alias that the setting DEFAULT_MODEL names.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.compat.asking import PREDICTS, PROBLEMS, Default, Name, predictions, summary
from app.compat.kserve import KServePredictions
from app.core.errors import HeadstartError
from app.http.dependencies import ServicesDep
from app.http.openapi import files, problems
from app.http.routes import StrictRoute
from app.predictions.embeddings import CountedRoute

router = APIRouter(route_class=CountedRoute, tags=["mlflow"])
probes = APIRouter(route_class=StrictRoute, tags=["mlflow"])
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
Column = Annotated[list[Any], Field(min_length=1)]


class SplitFrame(BaseModel):
    """A table of one column, as pandas splits it."""

    model_config = ConfigDict(extra="forbid")

    columns: list[str | int] = Field(min_length=1, max_length=1, examples=[["text"]])
    data: list[Annotated[list[str], Field(min_length=1, max_length=1)]]
    index: list[Any] | None = None


class MlflowParams(BaseModel):
    """How the answer is to be."""

    model_config = ConfigDict(extra="forbid")

    top_k: int | None = Field(None, ge=1, le=100_000, description="Classes to list.")


class MlflowRequest(BaseModel):
    """One of the four forms: each row is one text, or one image as base64."""

    model_config = ConfigDict(extra="forbid")

    dataframe_split: SplitFrame | None = None
    dataframe_records: Annotated[list[dict[str, str]], Field(min_length=1)] | None = None
    instances: Column | None = None
    inputs: str | Column | dict[str, Column] | None = Field(
        None, examples=[["my card has not arrived"]]
    )
    params: MlflowParams | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in _FORMS) != 1:
            raise ValueError(f"send one of {', '.join(_FORMS)}")
        return self

    @property
    def values(self) -> list[Any]:
        """The rows. Raises invalid_request for a table of several columns."""
        if self.dataframe_split is not None:
            return [row[0] for row in self.dataframe_split.data]
        given = self.dataframe_records or self.instances or self.inputs
        if isinstance(given, dict):
            if len(given) != 1:
                raise HeadstartError("invalid_request", "inputs has one column", param="inputs")
            (given,) = given.values()
        rows = [given] if isinstance(given, str) else given or []
        return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in rows]


async def _invoke(
    body: MlflowRequest, model: str, request: Request, response: Response
) -> KServePredictions:
    top_k = body.params.top_k if body.params else None
    answered = await predictions(request, model, body.values, top_k=top_k)
    response.headers.update(answered.headers)
    return KServePredictions.model_validate({"predictions": map(summary, answered.items)})


@router.post(
    "/invocations", responses=PROBLEMS, dependencies=[PREDICTS], response_model_exclude_none=True
)
async def mlflow_invoke(
    body: MlflowRequest,
    model: Default,
    request: Request,
    response: Response,
) -> KServePredictions:
    """Predict with the default model."""
    return await _invoke(body, model, request, response)


@router.post(
    "/mlflow/{model}/invocations",
    responses=PROBLEMS,
    dependencies=[PREDICTS],
    response_model_exclude_none=True,
)
async def mlflow_invoke_with(
    body: MlflowRequest,
    model: Name,
    request: Request,
    response: Response,
) -> KServePredictions:
    """Predict each row, in the shape of MLflow's scoring server."""
    return await _invoke(body, model, request, response)


_TEXT: dict[int | str, dict[str, Any]] = {200: files("text/plain")}


@probes.get(
    "/ping", response_class=Response, responses={**_TEXT, **problems("predictor_unavailable")}
)
@probes.get(
    "/health", response_class=Response, responses={**_TEXT, **problems("predictor_unavailable")}
)
async def mlflow_health(services: ServicesDep) -> Response:
    """Predictions work; an empty line, as MLflow and Text Embeddings Inference have it."""
    if not await services.predictor.ready():
        raise HeadstartError("predictor_unavailable", "the predictor is not ready", retry_after=1)
    return Response("\n", media_type="text/plain")


@probes.get("/version", response_class=Response, responses=_TEXT)
async def mlflow_version() -> Response:
    """The version of this service."""
    return Response("0.1.0", media_type="text/plain")
