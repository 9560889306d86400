"""What the batch routes take and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Json
from pydantic.config import JsonDict

from app.core.batch import Smoothing
from app.core.job_state import TERMINAL, JobStatus
from app.core.json_objects import said_once
from app.core.manifest import LabelMode, Problem
from app.core.times import whole
from app.http.front import link
from app.http.openapi import Id
from app.http.schemas import DatasetVersion, Interval
from app.infra.orm import BatchRow
from app.uploads.form import ENCODING, HEADER, Printable, TextEncoding
from app.uploads.intake.limits import Header

PATH = "/v1/batch_predictions"
WAITS = (
    "What keeps a batch waiting that has not ended, such as a store or a predictor that is away:"
    " `{code, message}`. It is tried again by itself; null as soon as that is due."
)
NO_WAITS: Mapping[str, dict[str, Any]] = {}
ID = "batch_01ke4c0f6v6z2k8m9q3w5x7y1t"
_MODEL = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
_DATASET = "ds_01ke4bz3r0h5d8g2j4n6p9s1v3"
_HALF: JsonDict = {"value": 0.98, "low": 0.93, "high": 1.0}
_BATCH: JsonDict = {
    "id": ID,
    "object": "batch_prediction",
    "status": "succeeded",
    "model": _MODEL,
    "dataset": {"id": _DATASET, "version": 1},
    "filename": None,
    "top_k": 5,
    "unknown": None,
    "progress": {"done": 50, "total": 50, "failed": 0},
    "embedding": {"new": 0},
    "evaluation": [
        {
            "split": "test",
            "num_examples": 50,
            "left_out": 0,
            "seen_in_training": 0,
            "accuracy": _HALF,
            "balanced_accuracy": _HALF,
            "per_class": [],
            "confusion_matrix": {"labels": ["RBC", "WBC"], "counts": [[24, 1], [0, 25]]},
        }
    ],
    "problems": [],
    "error": None,
    "waits_for": None,
    "results": {
        "jsonl": f"{PATH}/{ID}/results?format=jsonl",
        "csv": f"{PATH}/{ID}/results?format=csv",
    },
    "created_at": 1764000000,
    "started_at": 1764000001,
    "finished_at": 1764000002,
}


Levels = Annotated[
    dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]], Field(max_length=10_000)
]


class BatchOptions(BaseModel):
    """What every batch can be told."""

    model: Id = Field(description="A model's id, an alias or a job's id; what it means is pinned.")
    top_k: Annotated[int, Field(ge=1, le=1000)] = Field(
        5, description="How many classes to list for each input, most probable first."
    )
    unknown: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Threshold of familiarity below which an input is `unknown`."
    )
    threshold: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Probability from which a multi-label model says a label."
    )
    use_unlabelled: bool = Field(
        False,
        description="Let inputs that look alike help each other: gains one to two points where the"
        " model learned from one or two examples a class, less at 5 to 10, nothing beyond. Answers"
        " then depend on the rest of the batch; inputs are taken in parts of some hundreds, in"
        " their order. Left off, and the batch says so, for parts of few inputs or of unevenly"
        " predicted classes. Not for multi-label models.",
    )

    @property
    def levels(self) -> dict[str, float]:
        """The same by label."""
        return {}


class NewBatch(BatchOptions):
    """Predictions for all examples of a dataset."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"model": _MODEL, "dataset": _DATASET}]},
    )

    dataset: Id
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None, description="The latest one, if left out; pinned now."
    )
    thresholds: Levels = Field({}, description="Probability by label; `threshold` for the others.")

    @property
    def levels(self) -> dict[str, float]:
        """The thresholds by label."""
        return self.thresholds


class BatchForm(BatchOptions):
    """The fields that come with an uploaded archive or table."""

    model_config = ConfigDict(extra="forbid")

    text_column: Annotated[Printable, Field(max_length=200)] | None = None
    header: Header | None = HEADER
    encoding: TextEncoding | None = ENCODING
    thresholds: Annotated[Json[Levels] | None, BeforeValidator(said_once)] = Field(
        None, description='Probability by label, as a JSON object: `{"crack": 0.3}`.'
    )

    @property
    def levels(self) -> dict[str, float]:
        """The thresholds by label."""
        return self.thresholds or {}


class BatchProgress(BaseModel):
    """How many inputs are done, and how many of those have an error instead of a prediction."""

    done: int
    total: int
    failed: int


class Passes(BaseModel):
    """Backbone passes that the batch took; what was embedded before cost nothing."""

    new: int


class Matrix(BaseModel):
    """A row of `counts` for each true class."""

    labels: list[str]
    counts: list[list[int]]


class ClassAgreement(BaseModel):
    """One class."""

    label: str
    support: int
    precision: Interval
    recall: Interval
    f1: Interval


class Agreement(BaseModel):
    """How the predictions agree with the labels of one split of the dataset."""

    split: Literal["train", "val", "test"]
    label_mode: LabelMode = "single_label"
    num_examples: int
    smoothed: int = Field(
        0, description="Examples whose predictions leant on the rest of the batch."
    )
    left_out: int = Field(description="Examples of labels that the model does not know.")
    seen_in_training: int | None = Field(
        None,
        description="Examples whose content the model was trained on; with any, the figures have no"
        " intervals, as they say nothing of new examples. Null where the training data is deleted.",
    )
    accuracy: Interval = Field(
        description="Of several labels, the share of examples whose labels are all right."
    )
    balanced_accuracy: Interval = Field(description="The mean recall of labels.")
    micro_f1: Interval | None = Field(None, description="Of several labels, all together.")
    macro_f1: Interval | None = Field(
        None, description="The mean over labels; it has no interval of its own."
    )
    per_class: list[ClassAgreement]
    confusion_matrix: Matrix | None = Field(
        description="Null for more than 200 classes, and of several labels."
    )


class BatchFault(BaseModel):
    """Why a batch has failed."""

    code: str
    message: str
    param: str | None


class Results(BaseModel):
    """Where the results are; those of a failed or cancelled batch are what there was by then."""

    jsonl: str
    csv: str


class Batch(BaseModel):
    """Predictions of one model for many inputs."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BATCH]})

    id: str
    object: Literal["batch_prediction"] = "batch_prediction"
    status: JobStatus
    model: str = Field(description="The immutable model, whatever its alias means by now.")
    dataset: DatasetVersion | None
    filename: str | None = Field(description="The uploaded archive's name.")
    top_k: int
    unknown: float | None
    threshold: float | None = Field(None, description="Of a multi-label model, if it was asked.")
    thresholds: dict[str, float] = Field({}, description="By label, if they were asked.")
    use_unlabelled: bool = False
    smoothing: Smoothing | None = Field(
        None, description="Of a batch with `use_unlabelled`, once a part of it is done."
    )
    progress: BatchProgress
    embedding: Passes
    evaluation: list[Agreement] | None = Field(
        description="Of a labelled dataset: figures by split. What the model was trained on "
        "flatters it; `val` and `test` do not."
    )
    problems: list[Problem] = Field(description="Files of the upload that are no inputs, and such.")
    error: BatchFault | None
    waits_for: dict[str, Any] | None = Field(None, description=WAITS)
    results: Results | None = Field(description="Once it has ended.")
    created_at: int
    started_at: int | None
    finished_at: int | None


def batch_of(row: BatchRow, waits: Mapping[str, dict[str, Any]] = NO_WAITS) -> Batch:
    """The batch as its caller sees it; `waits` is what keeps batches waiting, by id."""
    dataset = row.dataset_id and DatasetVersion(id=row.dataset_id, version=row.version)
    return Batch(
        id=row.id,
        status=cast(JobStatus, row.status),
        model=row.model_id,
        dataset=dataset or None,
        filename=row.filename,
        **_told(row.options),
        progress=BatchProgress(done=row.done, total=row.total, failed=row.failed),
        smoothing=Smoothing.model_validate(row.smoothing) if row.smoothing else None,
        embedding=Passes(new=row.passes),
        evaluation=[Agreement.model_validate(one) for one in row.evaluation or []] or None,
        problems=[Problem.model_validate(problem) for problem in row.problems],
        error=BatchFault.model_validate(row.error) if row.error else None,
        waits_for=waits.get(row.id),
        results=_results(row) if row.status in TERMINAL else None,
        created_at=int(row.created_at),
        started_at=whole(row.started_at),
        finished_at=whole(row.finished_at),
    )


def _told(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "top_k": options["top_k"],
        "unknown": options["unknown"],
        "threshold": options.get("threshold"),
        "thresholds": options.get("thresholds", {}),
        "use_unlabelled": options.get("use_unlabelled", False),
    }


def _results(row: BatchRow) -> Results:
    path = link(f"{PATH}/{row.id}/results?format=")
    return Results(jsonl=path + "jsonl", csv=path + "csv")
