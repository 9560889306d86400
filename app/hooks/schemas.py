"""Hooks and their runs as callers see them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.core.promotion.gate import PromotionGate, in_the_gate
from app.http.openapi import Id

_JOB: dict[str, Any] = {"model": "efficientnet_lite0", "method": {"type": "auto"}}
_TRIGGERS = [
    {"type": "labels", "count": 20},
    {"type": "schedule", "cron": "0 3 * * *", "timezone": "Europe/Berlin"},
    {"type": "inbound"},
]
_NEW: dict[str, Any] = {
    "name": "nightly",
    "dataset": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "alias": "cells@production",
    "job": _JOB,
    "gate": {"evaluation_set": "ds_01ke4c9v5x7z1b3d5f7h9k1m3p", "margin": 0.02},
    "triggers": _TRIGGERS,
}
MOST_TRIGGERS = 10
_AliasName = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")
]
HookName = Annotated[str, Field(min_length=1, max_length=200)]


def _by_name(given: object) -> object:
    """A method's name alone stands for the method with its own defaults."""
    return {"type": given} if isinstance(given, str) else given


class HookJob(BaseModel):
    """The job that a hook asks for: a fine-tuning job's body, but for its `training_file`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_JOB]})

    model: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="As a job's; left out, what a job without one takes: `auto`."
    )
    method: Annotated[dict[str, Any] | None, BeforeValidator(_by_name)] = Field(
        None, description="As a job's."
    )
    hyperparameters: dict[str, Any] | None = Field(None, description="As a job's.")
    validation_file: Id | None = None
    seed: int | None = Field(None, ge=0, lt=2**32)
    suffix: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,64}$")
    metadata: dict[str, str] | None = Field(None, max_length=14)


class LabelsTrigger(BaseModel):
    """So many labels of the dataset are new or corrected since the last run."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["labels"]
    count: int = Field(20, ge=1, le=1_000_000)


class ScheduleTrigger(BaseModel):
    """A time has come."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["schedule"]
    cron: str = Field(max_length=200, description="Minute, hour, day, month, weekday.")
    timezone: str = Field("UTC", max_length=64, description="A name of the IANA data base.")


class InboundTrigger(BaseModel):
    """Somebody calls the hook, with a key or with the hook's signature."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["inbound"]


class DriftTrigger(BaseModel):
    """The alias's inputs or answers have drifted; its prediction log must be on."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["drift"]


class QualityTrigger(BaseModel):
    """The accuracy of audited feedback has evidently fallen below a limit."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["quality"]
    below: float = Field(gt=0, le=1)


HookTrigger = Annotated[
    LabelsTrigger | ScheduleTrigger | InboundTrigger | DriftTrigger | QualityTrigger,
    Field(discriminator="type"),
]
HookTriggers = Annotated[list[HookTrigger], Field(min_length=1, max_length=MOST_TRIGGERS)]


class _Rules(BaseModel):
    """How often a hook may run."""

    debounce_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="A run begins so long after its first trigger; those in between join it.",
    )
    max_runs_per_day: int = Field(
        24, ge=1, le=1440, description="Runs that train within 24 hours; others are skipped."
    )
    apply_feedback: bool = Field(
        True, description="Make a version of the dataset with the alias's labelled feedback first."
    )
    audited_only: bool = Field(
        False,
        description="Of feedback, apply only what is audited: keys that may only `predict` cannot "
        "say that, and so do not change what is trained on.",
    )
    enabled: bool = True


class NewHook(_Rules):
    """What to retrain, when, and through which gate."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_NEW]})

    name: HookName
    dataset: Id
    alias: _AliasName = Field(description="What the model is promoted to; it may be new.")
    job: HookJob = Field(HookJob(), description="Left out: a job with every default.")
    gate: PromotionGate = PromotionGate()
    triggers: HookTriggers

    @model_validator(mode="before")
    @classmethod
    def _in_place(cls, given: object) -> object:
        return in_the_gate(given)


class HookChange(BaseModel):
    """What of a hook is to be different."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": False}]})

    name: HookName | None = None
    dataset: Id | None = None
    alias: _AliasName | None = None
    job: HookJob | None = None
    gate: PromotionGate | None = None
    triggers: HookTriggers | None = None
    debounce_seconds: float | None = Field(None, ge=0, le=86_400)
    max_runs_per_day: int | None = Field(None, ge=1, le=1440)
    apply_feedback: bool | None = None
    audited_only: bool | None = None
    enabled: bool | None = None


class Hook(BaseModel):
    """What retrains by itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _NEW
                | {
                    "id": "hook_01ke4d9n4s6u8w0y2a3c5e7g9j",
                    "object": "hook",
                    "debounce_seconds": 60.0,
                    "max_runs_per_day": 24,
                    "apply_feedback": True,
                    "audited_only": False,
                    "enabled": True,
                    "notes": [],
                    "trained_version": 1,
                    "next_due": 1764039600,
                    "created_at": 1764000000,
                    "updated_at": 1764000000,
                }
            ]
        }
    )

    id: str
    object: Literal["hook"] = "hook"
    name: str
    dataset: str
    alias: str
    job: dict[str, Any] = Field(title="Spec")
    gate: dict[str, Any] = Field(title="Rules")
    triggers: list[HookTrigger]
    debounce_seconds: float
    max_runs_per_day: int
    apply_feedback: bool
    audited_only: bool
    enabled: bool
    notes: list[str] = Field([], description="What of the hook has no effect now, and why.")
    trained_version: int | None = Field(
        description="The dataset's version since which labels are counted."
    )
    next_due: int | None = Field(description="When its schedules are due next.")
    created_at: int
    updated_at: int


class HookWithSecret(Hook):
    """A hook and, once, the secret that signs calls to it (Standard Webhooks)."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class HookRun(BaseModel):
    """What came of a trigger."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "run_01ke4da05t7v9x1z3b4d6f8h0k",
                    "object": "hook.run",
                    "hook": "hook_01ke4d9n4s6u8w0y2a3c5e7g9j",
                    "cause": {"type": "labels", "count": 23, "dataset_version": 4},
                    "status": "succeeded",
                    "reason": "promoted: accuracy is 0.0300 better on 500 held-out examples",
                    "joined": None,
                    "triggers": 1,
                    "dataset_version": 4,
                    "job": "ftjob-01ke4c0f6v6z2k8m9q3w5x7y1t",
                    "promotion": "prom_01ke4d8m3r5t7v9x1z2b4d6f8h",
                    "created_at": 1764000001,
                    "started_at": 1764000002,
                    "finished_at": 1764000004,
                }
            ]
        }
    )

    id: str
    object: Literal["hook.run"] = "hook.run"
    hook: str
    cause: dict[str, Any] = Field(description="`type` of the trigger, and what it saw.")
    status: Literal["waiting", "running", "succeeded", "skipped", "failed"] = Field(
        description="`succeeded`: the gate has decided, one way or the other."
    )
    reason: str | None = Field(description="Why it was skipped or failed; or the gate's verdict.")
    joined: str | None = Field(description="The waiting run that answers this trigger too.")
    triggers: int = Field(description="How many triggers this run answers.")
    dataset_version: int | None
    job: str | None
    promotion: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None


class TriggerCall(BaseModel):
    """Why a hook is called; the body may also be anything else that a sender has to send."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"reason": "labels exported"}]}
    )

    reason: str | None = Field(None, max_length=1000)
    force: bool = Field(False, description="Train although nothing has changed.")
