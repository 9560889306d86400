"""Drift as callers see it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_MODEL = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
_WINDOW: dict[str, Any] = {
    "id": "drift_01ke4f5m9q2s4u6w8y0a2c4e6g",
    "object": "drift.window",
    "number": 7,
    "size": 100,
    "drifted": True,
    "p": 0.0008,
    "inputs": {"p": 0.0002, "effect": 0.094},
    "outputs": {"p": 0.012, "effect": 0.021},
    "inputs_mean": {"p": 0.0002, "effect": 0.031},
    "outputs_mean": {"p": 0.0016, "effect": 0.12},
    "given_class": {"p": 0.31, "effect": 0.002, "labelled": [41, 26]},
    "labelled_mix": {"p": 0.004, "effect": 0.31, "labelled": [41, 26]},
    "change": "class_mix",
    "class_mix": [{"label": "RBC", "reference": 0.61, "window": 0.48}],
    "strangest": [
        {
            "id": "log_01ke4f4k8p1r3t5v7x9z1b3d5f",
            "prediction_id": "pred_01ke4f4k8p1r3t5v7x9z1b3d5f",
            "index": 0,
            "label": "RBC",
            "distance": 0.91,
        }
    ],
    "first_at": 1764000000,
    "last_at": 1764009000,
}


class DriftTest(BaseModel):
    """A two-sample test: its p by permutation, and how large the difference is."""

    p: float
    effect: float = Field(
        description="The energy distance as a part of twice the mean distance between the samples: "
        "0 where they have one distribution, 1 where they have nothing in common. Of `inputs_mean` "
        "the distances are squared, between inputs scaled to one variance in all directions; of "
        "`outputs_mean` it is the largest difference of a class's mean probability."
    )


class DriftLabelled(DriftTest):
    """A test on the inputs whose class audited feedback names."""

    labelled: list[int] = Field(description="Inputs of the reference and the window that count.")


class AnsweredShare(BaseModel):
    """What part of the answers a label was."""

    label: str
    reference: float
    window: float


class StrangeInput(BaseModel):
    """An input far from all of the reference."""

    id: str
    prediction_id: str
    index: int
    label: str
    distance: float = Field(description="The mean one to its five nearest of the reference.")


class DriftWindow(BaseModel):
    """So many inputs, tested once against the reference."""

    model_config = ConfigDict(json_schema_extra={"examples": [_WINDOW]})

    id: str
    object: Literal["drift.window"] = "drift.window"
    number: int
    size: int
    drifted: bool
    p: float = Field(description="Of the tests together (Bonferroni).")
    inputs: DriftTest = Field(description="On the backbone's embeddings.")
    outputs: DriftTest = Field(description="On the probabilities that the model gave.")
    inputs_mean: DriftTest | None = Field(
        None,
        description="On the mean of the embeddings: finds small changes that all inputs share, as "
        "of light. Null of windows that were tested before this test was.",
    )
    outputs_mean: DriftTest | None = Field(
        None,
        description="On each class's mean probability: finds another mix of classes. Null as of "
        "`inputs_mean`.",
    )
    outputs_mean_of_four: DriftTest | None = Field(
        None,
        description="As `outputs_mean`, of this window and the three before it together: finds a "
        "class that comes a little more often. Null but of every fourth window, and where the log "
        "has not kept their inputs.",
    )
    given_class: DriftLabelled | None = Field(
        description="Whether inputs of the same class differ, permuted within classes. Null where "
        "audited feedback names the class of fewer than 20 inputs of either: then another mix of "
        "the same classes is drift, too. Labels that come later are heeded."
    )
    labelled_mix: DriftLabelled | None = Field(
        None,
        description="Whether classes come as often as they did, by what audited feedback calls the "
        "inputs; `effect` is the largest difference of a class's share. Null as `given_class`.",
    )
    change: Literal["inputs", "class_mix", "both", "undecided"] | None = Field(
        None,
        description="Of a window that drifted and has labels enough: `inputs` of the same class "
        "are evidently others (p of `given_class` at most 0.01), the `class_mix` evidently is "
        "(that of `labelled_mix`), `both`, or `undecided`: more labels would decide.",
    )
    class_mix: list[AnsweredShare]
    strangest: list[StrangeInput]
    first_at: int
    last_at: int


class DriftReference(BaseModel):
    """The first inputs that the model was asked about under the alias."""

    size: int
    first_at: int
    last_at: int


class Drift(BaseModel):
    """Whether what a model is asked has changed since it was first asked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "model.drift",
                    "model": _MODEL,
                    "alias": "cells@production",
                    "status": "watching",
                    "drifted": True,
                    "reference": {
                        "size": 200,
                        "first_at": 1763000000,
                        "last_at": 1763100000,
                    },
                    "window_size": 100,
                    "waiting": 40,
                    "windows": [_WINDOW],
                    "method": "energy distance",
                    "false_alarms": "at most one in 500 windows",
                    "notes": [],
                }
            ]
        }
    )

    object: Literal["model.drift"] = "model.drift"
    model: str
    alias: str | None
    status: Literal["off", "collecting", "watching"] = Field(
        description="`off`: there is no log; `collecting`: the reference is not complete."
    )
    drifted: bool | None = Field(description="Of the latest window; null where there is none.")
    reference: DriftReference | None
    window_size: int | None
    waiting: int = Field(description="Inputs that no reference and no window has had yet.")
    windows: list[DriftWindow] = Field(description="The latest ones, newest first.")
    method: str
    false_alarms: str
    notes: list[str]
