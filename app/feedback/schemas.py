"""Feedback and what is made of it, as callers see it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.core.held_out import ClassShare
from app.datasets.schemas import VersionBrief
from app.http.openapi import Id
from app.http.schemas import Interval
from app.uploads.form import Stripped

_MODEL = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
_PREDICTION = "pred_01ke4e2b7c9d1f3g5h7j9k1m3n"
_PREDICTED: dict[str, Any] = {"label": "RBC", "probability": 0.71, "unknown": False}
_SUBJECT: dict[str, Any] = {"prediction_id": _PREDICTION, "index": 0}
_FEEDBACK: dict[str, Any] = {
    "id": "fb_01ke4e3c8d0e2g4h6j8k0m2n4p",
    "object": "feedback",
    "model": _MODEL,
    "alias": "cells@production",
    **_SUBJECT,
    "predicted": _PREDICTED,
    "label": "WBC",
    "labels": None,
    "correct": False,
    "unknown": False,
    "audited": True,
    "content": True,
    "applied": None,
    "notes": [],
    "source": "api",
    "created_by": "key_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "created_at": 1764000000,
    "updated_at": 1764000000,
}
LabelText = Annotated[Stripped, Field(max_length=256)]


class FeedbackInput(BaseModel):
    """The input itself: a text, or an image as base64 or a `data:` URL."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "late"}]})

    image: str | None = None
    text: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.image is None) == (self.text is None):
            raise ValueError('input: send {"text": "…"} or {"image": "<base64>"}')
        return self

    @property
    def told(self) -> tuple[Literal["image", "text"], str]:
        """Its kind and its value."""
        return ("text", self.text) if self.text is not None else ("image", self.image or "")


class NewFeedback(BaseModel):
    """What is right about one prediction: one of `label`, `labels`, `correct` and `unknown`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"prediction_id": _PREDICTION, "label": "WBC"}]},
    )

    prediction_id: Id | None = Field(
        None,
        description="An answer's `id` (`x-headstart-prediction-id`), if the alias's log has it.",
    )
    index: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Which of the answer's inputs; needed where it had several.",
    )
    input: FeedbackInput | None = Field(None, description="Or the input itself.")
    label: LabelText | None = Field(None, description="The right label; it may be a new one.")
    labels: Annotated[list[LabelText], Field(max_length=1000)] | None = Field(
        None, description="All right labels, of a model that says several; `[]`: none."
    )
    correct: bool | None = Field(
        None,
        description="Whether the answer is right; true says its label, or of one that is `unknown`"
        " that the input is of no class; false says no other.",
    )
    unknown: bool = Field(False, description="The input belongs to none of the classes.")
    audited: bool = Field(
        False,
        description="The input was drawn at random, as `GET …/audit` draws. Accuracy is of these "
        "alone: what people report by themselves is mostly errors. It needs the scope `write`, and "
        "holds against whatever is said of the answer without it.",
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.prediction_id is None) == (self.input is None):
            raise ValueError("name a prediction_id, or send the input")
        if self.input is not None and self.index:
            raise ValueError("index: an input that is sent is one")
        said = [self.label is not None, self.labels is not None, self.unknown]
        if sum(said) > 1 or not (any(said) or self.correct is not None):
            raise ValueError("say one of label, labels, correct and unknown")
        if any(said) and self.correct is True:
            raise ValueError("correct: true says that the answer itself is right")
        return self


class PredictedAnswer(BaseModel):
    """What the model said."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PREDICTED]})

    label: str
    probability: float
    labels: list[str] | None = None
    unknown: bool = False
    familiarity: float | None = None


class FeedbackApplied(BaseModel):
    """Which version of which dataset has it; or why it is in none."""

    dataset: str
    version: int | None
    reason: str | None = Field(
        None,
        description="`superseded`: the example was corrected in the dataset, or deleted from it, "
        "after the feedback was given, or an audited label on the input holds; or the code "
        "of what is wrong with the input.",
    )


class Feedback(BaseModel):
    """What somebody says of a prediction. Of one input the last word holds, or an audited one."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FEEDBACK]})

    id: str
    object: Literal["feedback"] = "feedback"
    model: str = Field(description="The model that gave the answer.")
    alias: str | None = Field(description="The alias under which it was given.")
    prediction_id: str | None
    index: int
    predicted: PredictedAnswer
    label: str | None
    labels: list[str] | None
    correct: bool | None = Field(
        description="Whether the answer was right, as far as it tells: `unknown` is, of an input "
        "of no class or of one that the model does not have."
    )
    unknown: bool
    audited: bool
    content: bool = Field(description="The input is kept, so that a dataset can have it.")
    applied: FeedbackApplied | None = Field(description="The dataset's version that has it.")
    notes: list[str] = Field([], description="What of it may not be meant.")
    source: str = Field(description="`api`, or the labelling tool that it came from.")
    created_by: str
    created_at: int
    updated_at: int


class ClassRecall(BaseModel):
    """How many of a class's inputs were answered rightly."""

    label: str
    count: int
    recall: Interval


class LiveAccuracy(BaseModel):
    """How often a model in use is right, from inputs that were drawn at random alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "model.accuracy",
                    "model": _MODEL,
                    "alias": "cells@production",
                    "accuracy": {"value": 0.94, "low": 0.875, "high": 0.972},
                    "audited": 100,
                    "correct": 94,
                    "abstained": 2,
                    "per_class": [
                        {
                            "label": "WBC",
                            "count": 40,
                            "recall": {"value": 0.95, "low": 0.835, "high": 0.986},
                        }
                    ],
                    "volunteered": 31,
                    "basis": "100 audited inputs; 31 volunteered ones are not counted",
                }
            ]
        }
    )

    object: Literal["model.accuracy"] = "model.accuracy"
    model: str
    alias: str | None
    accuracy: Interval
    audited: int = Field(description="Inputs with audited feedback that tells right from wrong.")
    correct: int
    abstained: int = Field(
        0,
        description="Of those inputs the ones of the model's own classes that it called `unknown`: "
        "none of them is correct, and `correct` of the others says how good its answers are.",
    )
    per_class: list[ClassRecall] = Field(description="By the right label; of several, by each.")
    volunteered: int = Field(description="Feedback that no draw asked for; it is not counted.")
    basis: str = Field(description="What the figure is of, in words.")


class LoggedInput(BaseModel):
    """An input that was asked about, for somebody to label."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "log_01ke4e2b7c9d1f3g5h7j9k1m3n",
                    "object": "logged_prediction",
                    "model": _MODEL,
                    **_SUBJECT,
                    "predicted": _PREDICTED,
                    "predictions": [
                        {"label": "RBC", "probability": 0.71},
                        {"label": "WBC", "probability": 0.22},
                    ],
                    "content": f"/v1/models/{_MODEL}/logged/log_01ke4e2b7c9d1f3g5h7j9k1m3n/content",
                    "feedback": None,
                    "created_at": 1764000000,
                }
            ]
        }
    )

    id: str
    object: Literal["logged_prediction"] = "logged_prediction"
    model: str
    prediction_id: str
    index: int
    predicted: PredictedAnswer
    predictions: list[ClassShare] = Field([], description="The ten most probable classes.")
    content: str | None = Field(description="Where its bytes are; null where only a hash is kept.")
    feedback: str | None = Field(None, description="What volunteers have said of it.")
    created_at: int


class AuditDraw(BaseModel):
    """Inputs drawn at random from the log, the same until they have audited feedback."""

    object: Literal["list"] = "list"
    data: list[LoggedInput]
    has_more: bool
    logged: int = Field(description="Inputs that the log has.")
    method: str


class SuggestedInput(LoggedInput):
    """An input whose label would tell much, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    uncertainty: float
    novelty: float
    distance: float | None = Field(description="To the nearest one before it; null of the first.")
    because: Literal["uncertain", "novel"]


class SuggestionList(BaseModel):
    """The inputs most useful to label, best first."""

    object: Literal["list"] = "list"
    data: list[SuggestedInput]
    has_more: bool
    considered: int = Field(description="The latest inputs without feedback that were weighed.")
    method: str


class FeedbackApplication(BaseModel):
    """Which dataset is to have the feedback."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"dataset": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3"}]},
    )

    dataset: Id
    audited_only: bool = Field(
        False,
        description="Leave out what is not audited: keys that may only `predict` can say that.",
    )


class LeftOutFeedback(BaseModel):
    """Feedback that no version can have."""

    feedback: str
    code: str
    reason: str


class FeedbackCounts(BaseModel):
    """What became of the labels."""

    added: int = Field(description="Inputs that are new examples.")
    relabelled: int = Field(description="Examples that have another label now.")
    unchanged: int = Field(description="Labels that the dataset had already.")
    left_out: list[LeftOutFeedback]
    renamed: dict[str, str] = Field(
        {},
        description="Labels that were said and that the dataset calls otherwise now, as all of "
        "their examples are: what each is called. One that it has no more, and not otherwise, is "
        "left out (`label_dropped`), unless it was said since.",
    )


class FeedbackVersion(VersionBrief):
    """The dataset's version that has the feedback; where it brought nothing, the latest one."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    feedback: FeedbackCounts
