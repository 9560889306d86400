"""What the fine-tuning routes take and answer: OpenAI's shapes, and members of our own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.core.backbones import MOST_MEMBERS
from app.core.job_state import JobStatus
from app.http.openapi import Id
from app.http.schemas import DatasetVersion, PredictionCost
from app.jobs.method_forms import as_meant

_JOB_ID = "ftjob-01ke4c0f6v6z2k8m9q3w5x7y1t"
_DATASET_ID = "ds_01ke4bz3r0h5d8g2j4n6p9s1v3"
_MODEL_ID = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"

MOST_METADATA = 16
_SUFFIX = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=512)],
    ],
    Field(max_length=MOST_METADATA),
]


BackboneName = Annotated[str, Field(min_length=1, max_length=200)]


def _named(given: object) -> object:
    """Raises ValueError for what is neither a name nor a list of some."""
    names = given if isinstance(given, list) and 1 <= len(given) <= MOST_MEMBERS else [given]
    if all(isinstance(name, str) and 1 <= len(name) <= 200 for name in names):
        return given
    raise ValueError(f"name a backbone, up to {MOST_MEMBERS} of them in a list, or `auto`")


ModelNames = Annotated[
    BackboneName | Annotated[list[BackboneName], Field(min_length=1, max_length=MOST_MEMBERS)],
    BeforeValidator(_named),
]


class MethodOptions(BaseModel):
    """How a method is to be used."""

    model_config = ConfigDict(extra="forbid")

    hyperparameters: dict[str, Any] | None = Field(
        None, description='As `GET /v1/methods` describes them; `"auto"` lets the service choose.'
    )
    from_model: Id | None = Field(
        None,
        description="A model (id or alias) on the same backbone to grow from: its hyperparameters "
        "are taken over where none are given; if its method was another one, those that mean the "
        "same to both. What it has embedded is not embedded again.",
    )


class NewMethod(BaseModel):
    """A method's name, and its options in the member of that name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, MethodOptions | None]

    type: str = Field(max_length=64, examples=["auto"])


def _suffix(given: object) -> object:
    """Raises ValueError for what a model's id cannot carry."""
    if isinstance(given, str) and not _SUFFIX.fullmatch(given):
        raise ValueError("a suffix has 1 to 64 letters (A to z), digits, dots, - and _")
    return given


class NewJob(BaseModel):
    """A fine-tuning job to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"model": "efficientnet_lite0", "training_file": _DATASET_ID, "suffix": "cells"},
                {
                    "model": "efficientnet_lite0",
                    "training_file": _DATASET_ID,
                    "seed": 7,
                    "method": {
                        "type": "linear",
                        "linear": {"hyperparameters": {"learning_rate": 0.01, "epochs": 20}},
                    },
                },
            ]
        },
    )

    model: ModelNames = Field(
        "auto",
        description="`auto`: the best that is here for what the dataset holds; a backbone; several "
        "as `a+b` or a list, each of which a prediction passes through; or the id of a model of "
        "yours to grow from.",
        examples=["auto", "efficientnet_lite0", "all-MiniLM-L6-v2+multilingual-e5-small"],
    )
    training_file: Id = Field(description="A dataset; its latest version is pinned now.")
    validation_file: Id | None = Field(
        None, description="A dataset to measure on; without it a split of the first, or folds."
    )
    method: Annotated[NewMethod | None, BeforeValidator(as_meant)] = Field(
        None,
        description="Its hyperparameters go into `method.<type>.hyperparameters`; the name alone, "
        'as in `"logistic"`, and `{"type": "linear", "hyperparameters": {…}}` are taken, too.',
    )
    hyperparameters: dict[str, Any] | None = Field(
        None,
        description="OpenAI's older place for them; means method `auto`.",
        json_schema_extra={"deprecated": True},
    )
    seed: int | None = Field(
        None, ge=0, lt=2**32, description="The same seed and data make the same model."
    )
    suffix: Annotated[str | None, BeforeValidator(_suffix)] = Field(
        None,
        pattern=_SUFFIX.pattern,
        description="Becomes part of the model's id.",
    )
    metadata: Metadata | None = None
    integrations: Annotated[list[dict[str, Any]], Field(max_length=0)] | None = Field(
        None, description="OpenAI's name; there are none here."
    )


class JobFault(BaseModel):
    """Why a job has failed."""

    code: str
    message: str
    param: str | None


class JobProgress(BaseModel):
    """How far the stage that the job is in has come."""

    model_config = ConfigDict(extra="allow")

    stage: str = Field(examples=["embedding", "fitting"])
    done: int = 0
    total: int = 0


class EmbeddingPasses(BaseModel):
    """Backbone passes that the job took (`new`), and those that the cache spared it."""

    new: int = 0
    cached: int | None = None


class JobTiming(BaseModel):
    """Seconds in a state, to the millisecond; null before it."""

    waited: float | None = Field(description="From the creation to the (latest) start.")
    ran: float | None = Field(description="From the start to the end.")
    estimated: float | None = Field(
        None, description="What `ran` was expected to be, by such jobs on this machine."
    )


class Job(BaseModel):
    """A fine-tuning job."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _JOB_ID,
                    "object": "fine_tuning.job",
                    "created_at": 1764000000,
                    "started_at": 1764000001,
                    "finished_at": 1764000001,
                    "model": "efficientnet_lite0",
                    "status": "succeeded",
                    "training_file": _DATASET_ID,
                    "validation_file": None,
                    "method": {"type": "auto", "auto": {"hyperparameters": {"views": "auto"}}},
                    "hyperparameters": {"views": ["squish", "mirror"]},
                    "organization_id": "default",
                    "result_files": [],
                    "seed": 1203837425,
                    "suffix": "cells",
                    "metadata": {},
                    "error": None,
                    "fine_tuned_model": _MODEL_ID,
                    "estimated_finish": None,
                    "trained_tokens": None,
                    "integrations": [],
                    "from_model": None,
                    "dataset": {"id": _DATASET_ID, "version": 1},
                    "validation_dataset": None,
                    "progress": {"stage": "fitting", "done": 50, "total": 50},
                    "embedding": {"new": 0, "cached": 50},
                    "views": ["squish", "mirror"],
                    "prediction": {
                        "backbones": ["efficientnet_lite0"],
                        "views": ["squish"],
                        "passes": 1,
                    },
                    "timing": {"waited": 0.021, "ran": 0.312},
                }
            ]
        }
    )

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    started_at: int | None
    finished_at: int | None
    model: str
    status: JobStatus
    training_file: str
    validation_file: str | None
    method: dict[str, Any] = Field(description="As asked: `{type, <type>: {hyperparameters}}`.")
    hyperparameters: dict[str, Any] = Field(description="As used, once that is decided.")
    organization_id: str
    result_files: list[str] = []
    seed: int
    suffix: str | None
    metadata: dict[str, str]
    error: JobFault | None
    fine_tuned_model: str | None
    estimated_finish: int | None = None
    trained_tokens: int | None = None
    integrations: list[dict[str, Any]] = []
    from_model: str | None
    dataset: DatasetVersion
    validation_dataset: DatasetVersion | None
    progress: JobProgress | None
    embedding: EmbeddingPasses | None
    views: list[str] | None = Field(description="The views that the fit has used.")
    prediction: PredictionCost | None = Field(
        None, description="What a prediction of its model takes, once it is fitted."
    )
    timing: JobTiming


class JobEvent(BaseModel):
    """One line of a job's history."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "ftevent-42",
                    "object": "fine_tuning.job.event",
                    "created_at": 1764000001,
                    "level": "info",
                    "type": "metrics",
                    "message": "Step 3: train_loss=0.41",
                    "data": {"step": 3, "train_loss": 0.41},
                }
            ]
        }
    )

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    type: Literal["message", "metrics"]
    message: str
    data: dict[str, Any] | None


class JobCheckpoint(BaseModel):
    """The metrics after one step; the model kept is the job's own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "ftckpt_01ke4c0g1d3f5h7k9m2p4r6t8v",
                    "object": "fine_tuning.job.checkpoint",
                    "created_at": 1764000001,
                    "fine_tuned_model_checkpoint": _MODEL_ID,
                    "fine_tuning_job_id": _JOB_ID,
                    "step_number": 3,
                    "metrics": {"step": 3, "train_loss": 0.41, "valid_loss": 0.48},
                }
            ]
        }
    )

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str | None = Field(
        description="The job's model: the best step's weights are the ones that are kept."
    )
    fine_tuning_job_id: str
    step_number: int
    metrics: dict[str, Any]
