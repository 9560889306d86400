"""What Triton's tools ask beside the protocol: the repository's index, configurations, statistics.

`tritonclient` and `perf_analyzer` begin with these.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.http.dependencies import Asker, Services, ServicesDep
from app.http.openapi import path_id, problems
from app.http.routes import StrictRoute
from app.infra.database import reading
from app.infra.inference_statistics import Duration, ModelTally
from app.infra.repositories import aliases, models

router = APIRouter(route_class=StrictRoute, prefix="/v2", tags=["open inference protocol"])
Name = Annotated[
    str,
    path_id("A model's id, or an alias.", "ft:efficientnet_lite0:default::01ke4c0f6v6z2k8m9q3w5x"),
]


class IndexRequest(BaseModel):
    """Which models to list."""

    ready: bool = Field(False, description="Only those that are ready: all of them are.")


class IndexedModel(BaseModel):
    """One name that may be asked for."""

    name: str
    version: Literal["1"] = "1"
    state: Literal["READY"] = "READY"
    reason: str = ""


class ConfiguredTensor(BaseModel):
    """A tensor as a configuration has it; -1 is any length."""

    name: str
    data_type: str = Field(examples=["TYPE_STRING"])
    dims: list[int]


class ModelConfiguration(BaseModel):
    """Triton's model configuration, as far as it means something here."""

    name: str
    platform: Literal["headstart"] = "headstart"
    backend: Literal["headstart"] = "headstart"
    max_batch_size: Literal[0] = Field(
        0, description="A tensor's first dimension counts the inputs: batches are made here."
    )
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]


class Durations(BaseModel):
    """How often, and nanoseconds in all."""

    count: int = 0
    ns: int = 0


class InferenceDurations(BaseModel):
    """Requests and the stages that they went through."""

    success: Durations = Durations()
    fail: Durations = Durations()
    queue: Durations = Durations()
    compute_input: Durations = Durations()
    compute_infer: Durations = Durations()
    compute_output: Durations = Durations()


class ModelStatistics(BaseModel):
    """One model's requests over `/v2` since the process that answers began."""

    name: str
    version: Literal["1"] = "1"
    last_inference: int = Field(description="Milliseconds since 1970; 0 if there was none.")
    inference_count: int = Field(description="Inputs.")
    execution_count: int = Field(description="Requests that a network was run for.")
    inference_stats: InferenceDurations
    batch_stats: list[dict[str, Any]] = []


class RepositoryStatistics(BaseModel):
    """The models asked about."""

    model_stats: list[ModelStatistics]


@router.post("/repository/index")
def repository_index(
    caller: Asker, services: ServicesDep, body: IndexRequest | None = None
) -> list[IndexedModel]:
    """The organisation's models and aliases; registered is ready."""
    _ = body
    with reading(services.sessions) as session:
        rows = models.listing(session, organisation_id=caller.organisation_id)
        ids = [row.id for row in rows]
        named = aliases.names_of(session, ids, organisation_id=caller.organisation_id)
    names = [name for one in ids for name in (one, *named[one])]
    return [IndexedModel(name=name) for name in names]


@router.get("/models/{model}/config", responses=problems("not_found"))
@router.get("/models/{model}/versions/1/config", responses=problems("not_found"))
def model_config_of(model: Name, caller: Asker, services: ServicesDep) -> ModelConfiguration:
    """What Triton's tools read before they send the first request."""
    with reading(services.sessions) as session:
        row = models.find(session, organisation_id=caller.organisation_id, name=model)
        labels, modality = row.card.get("labels", []), row.modality
    return ModelConfiguration(
        name=model,
        input=[ConfiguredTensor(name=modality, data_type="TYPE_STRING", dims=[-1])],
        output=[
            ConfiguredTensor(name="label", data_type="TYPE_STRING", dims=[-1]),
            ConfiguredTensor(name="probability", data_type="TYPE_FP32", dims=[-1]),
            ConfiguredTensor(name="unknown", data_type="TYPE_BOOL", dims=[-1]),
            ConfiguredTensor(name="probabilities", data_type="TYPE_FP32", dims=[-1, len(labels)]),
        ],
    )


@router.get("/models/stats")
async def statistics(caller: Asker, services: ServicesDep) -> RepositoryStatistics:
    """Of every name that was asked for."""
    names = services.statistics.names(caller.organisation_id)
    return _statistics(services, caller.organisation_id, names)


@router.get("/models/{model}/stats", responses=problems("not_found", "not_ready"))
@router.get("/models/{model}/versions/1/stats", responses=problems("not_found", "not_ready"))
async def model_statistics(
    model: Name, caller: Asker, services: ServicesDep
) -> RepositoryStatistics:
    """Requests of the model over `/v2`, since the process that answers began."""
    await services.resolver.resolve(caller.organisation_id, model)
    return _statistics(services, caller.organisation_id, [model])


def _statistics(services: Services, organisation_id: str, names: list[str]) -> RepositoryStatistics:
    told = [_told(name, services.statistics.of(organisation_id, name)) for name in names]
    return RepositoryStatistics(model_stats=told)


def _told(name: str, tally: ModelTally) -> ModelStatistics:
    stages = {stage: Durations(count=one.count, ns=one.ns) for stage, one in tally.stages.items()}
    return ModelStatistics(
        name=name,
        last_inference=tally.last,
        inference_count=tally.inferences,
        execution_count=tally.stages.get("compute_infer", Duration()).count,
        inference_stats=InferenceDurations(**stages),
    )
