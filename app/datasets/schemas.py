"""What the dataset routes take and answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict, JsonValue

from app.core.manifest import Example, LabelMode, Modality, Problem, Split
from app.core.times import whole
from app.http.schemas import Deletion
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.problems import SHOWN

Status = Literal["processing", "ready", "failed"]

PROBLEM = "problem_"
ID = "ds_01jd3v6s0q8m4f2k9x7c5b1n3a"
_CLASSES: JsonValue = [{"label": "crack", "count": 12}, {"label": "ok", "count": 20}]
_PROBLEM: JsonDict = {
    "code": "image_truncated",
    "message": "crack/007.jpg: the image is cut short",
    "path": "crack/007.jpg",
    "example_id": "ex_5b7e0a1c94d23f6688aa01bc",
    "excluded": True,
}
_BRIEF: JsonDict = {
    "id": ID,
    "object": "dataset",
    "name": "castings",
    "filename": "castings.zip",
    "modality": "image",
    "label_mode": "single_label",
    "bytes": 482133,
    "status": "ready",
    "version": 1,
    "backbone": "efficientnet_lite0",
    "num_examples": 32,
    "num_negatives": 0,
    "classes": _CLASSES,
    "num_problems": 1,
    "error": None,
    "waits_for": None,
    "created_at": 1764000000,
    "ready_at": 1764000001,
    "num_erased": 0,
    "erased_at": None,
}


_SHOWN = (
    f"What was rejected or is doubtful: the first {SHOWN} of `num_problems`; "
    "`…/problems` lists them all."
)


_MODE = (
    "multi_label: each example has `labels`, several or none, and its models answer each class for"
    " itself."
)
_ERASED = "Examples that the version had once, and that were erased from all versions."
_WAITS = (
    "What keeps a version that is `processing` waiting, such as a store that is away:"
    " `{code, message}`. It is tried again by itself; null as soon as that is due."
)
_NONE = "Of them, those of a multi-label dataset that belong to no class."


class ClassCount(BaseModel):
    """How many usable examples a label has."""

    label: str
    count: int


class BlackAndWhite(BaseModel):
    """The values that are black and white in every picture of the version, and of its models."""

    low: float
    high: float


class VersionBrief(BaseModel):
    """One version of a dataset, its problems counted but not listed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {name: _BRIEF[name] for name in _BRIEF if name not in ("name", "filename", "bytes")}
                | {"id": "dsv_01jd3v6s0q8m4f2k9x7c5b1n3b", "object": "dataset.version"}
                | {"dataset_id": ID}
            ]
        }
    )

    id: str
    object: Literal["dataset.version"] = "dataset.version"
    dataset_id: str
    version: int
    modality: Modality
    label_mode: LabelMode = "single_label"
    status: Status
    backbone: str = Field(description="The backbone that embeds the version as it becomes ready.")
    num_examples: int = Field(description="Usable ones.")
    num_negatives: int = Field(0, description=_NONE)
    classes: list[ClassCount]
    num_problems: int
    pixel_scale: BlackAndWhite | None = Field(
        default=None,
        description="Black and white of pictures with more than eight bits a sample; null where"
        " there are none.",
    )
    error: dict[str, Any] | None = Field(description="Why it failed: `{code, message, param}`.")
    waits_for: dict[str, Any] | None = Field(None, description=_WAITS)
    created_at: int
    ready_at: int | None
    num_erased: int = Field(0, description=_ERASED)
    erased_at: int | None = Field(None, description="When that was the last time.")


class VersionDetail(VersionBrief):
    """One version of a dataset."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    problems: list[Problem] = Field(description=_SHOWN)


class DatasetBrief(BaseModel):
    """A dataset at its latest version, its problems counted but not listed."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BRIEF]})

    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    filename: str
    modality: Modality
    label_mode: LabelMode = Field("single_label", description=_MODE)
    bytes: int = Field(description="What was uploaded, all versions together.")
    status: Status
    version: int
    backbone: str
    num_examples: int
    num_negatives: int = Field(0, description=_NONE)
    classes: list[ClassCount]
    num_problems: int
    pixel_scale: BlackAndWhite | None = None
    error: dict[str, Any] | None
    waits_for: dict[str, Any] | None = Field(None, description=_WAITS)
    created_at: int
    ready_at: int | None
    num_erased: int = Field(0, description=_ERASED)
    erased_at: int | None = Field(None, description="When that was the last time.")
    expires_at: int | None = Field(None, description="When it is deleted, if it ever is so.")
    target: float | None = Field(
        None, description="The accuracy from which on a model of it is good enough."
    )


class Dataset(DatasetBrief):
    """A dataset at its latest version."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BRIEF | {"problems": [_PROBLEM]}]})

    problems: list[Problem] = Field(description=_SHOWN)


class DatasetProblem(Problem):
    """One problem of a version, in the order in which they were found."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [_PROBLEM | {"id": f"{PROBLEM}{0:09}", "object": "dataset.problem"}]
        }
    )

    id: str
    object: Literal["dataset.problem"] = "dataset.problem"


class ExampleItem(BaseModel):
    """One example of a version."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "ex_5b7e0a1c94d23f6688aa01bc",
                    "object": "dataset.example",
                    "label": "crack",
                    "labels": None,
                    "group": None,
                    "split": "train",
                    "path": "crack/007.jpg",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "bytes": 14210,
                    "excluded": False,
                }
            ]
        }
    )

    id: str
    object: Literal["dataset.example"] = "dataset.example"
    label: str = Field(description="Of several labels, all of them with commas between.")
    labels: list[str] | None = Field(
        None, description="All that it has, of a multi-label dataset; null of another."
    )
    group: str | None
    split: Split
    path: str
    sha256: str
    bytes: int
    excluded: bool = Field(description="A problem of the version keeps it from being used.")
    confirmed: bool = Field(
        False, description="Somebody has said that the label is right; no advice doubts it again."
    )


class DeletedDataset(BaseModel):
    """The dataset is gone."""

    id: str
    object: Literal["dataset"] = "dataset"
    deleted: Literal[True] = True
    deletion: Deletion = Field(description="How far its removal from storage is.")


def dataset_of(snapshot: DatasetSnapshot) -> Dataset:
    """The dataset with its problems."""
    brief = dataset_brief_of(snapshot)
    return Dataset.model_construct(**vars(brief), problems=list(snapshot.problems))


def dataset_brief_of(snapshot: DatasetSnapshot) -> DatasetBrief:
    """The dataset without its problems."""
    row = snapshot.dataset
    shown = {
        name: getattr(row, name)
        for name in ("id", "name", "filename", "bytes", "modality", "label_mode")
    }
    times = {
        "created_at": int(row.created_at),
        "ready_at": whole(snapshot.version.ready_at),
        "expires_at": whole(row.expires_at),
    }
    shown["target"] = row.target
    return DatasetBrief(**shown, **_state(snapshot), **times)


def version_of(snapshot: DatasetSnapshot) -> VersionDetail:
    """The version with its problems."""
    brief = version_brief_of(snapshot)
    return VersionDetail.model_construct(**vars(brief), problems=list(snapshot.problems))


def version_brief_of(snapshot: DatasetSnapshot) -> VersionBrief:
    """The version without its problems."""
    row = snapshot.version
    times = {"created_at": int(row.created_at), "ready_at": whole(row.ready_at)}
    return VersionBrief(
        id=row.id,
        dataset_id=snapshot.dataset.id,
        modality=snapshot.dataset.modality,
        label_mode=snapshot.dataset.label_mode,
        **_state(snapshot),
        **times,
    )


def example_of(example: Example, *, excluded: bool) -> ExampleItem:
    """The example as callers see it."""
    told = example.model_dump(exclude={"pack", "offset", "length", "identity"})
    told["label"] = example.caption
    return ExampleItem(**told, bytes=example.length, excluded=excluded)


def problem_of(row: tuple[int, Problem]) -> DatasetProblem:
    """The problem at its place."""
    place, problem = row
    return DatasetProblem(id=f"{PROBLEM}{place:09}", **dict(problem))


def _state(snapshot: DatasetSnapshot) -> dict[str, Any]:
    row = snapshot.version
    return {
        "status": row.status,
        "version": row.number,
        "backbone": row.backbone,
        "num_examples": row.num_examples,
        "num_negatives": row.negatives,
        "classes": row.classes,
        "num_problems": snapshot.num_problems,
        "pixel_scale": row.pixel_scale or None,
        "error": row.error,
        "waits_for": snapshot.waits_for,
        "num_erased": row.erased or 0,
        "erased_at": whole(row.erased_at),
    }
