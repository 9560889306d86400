"""Aliases as callers see them: what they mean, how they came to, and what their gate decided."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.core.live.rule import PredictionLog
from app.core.promotion.gate import PromotionGate, in_the_gate
from app.http.openapi import Id

_MODEL = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"
_CANDIDATE = "ft:efficientnet_lite0:default:cells:01ke4d7h2q4s6u8w0y1a3c5e7g"
_ALIAS: dict[str, Any] = {
    "id": "cells@production",
    "object": "alias",
    "name": "cells@production",
    "model": _MODEL,
    "pinned": False,
    "split": [],
    "shadow": None,
    "prediction_log": None,
    "updated_at": 1764000002,
}
_PROMOTION: dict[str, Any] = {
    "id": "prom_01ke4d8m3r5t7v9x1z2b4d6f8h",
    "object": "promotion",
    "alias": "cells@production",
    "candidate": _CANDIDATE,
    "incumbent": _MODEL,
    "status": "decided",
    "verdict": "promoted",
    "reason": "accuracy is 0.0300 better on 500 held-out examples, so it is not worse by 0.02 or "
    "more (p = 2.1e-05, level 0.03)",
    "evidence": {
        "examples": 500,
        "discordant": {"candidate_right": 20, "incumbent_right": 5},
        "difference": {"accuracy": {"value": 0.03, "low": 0.01, "high": 0.05}},
        "p_value": 2.1e-05,
        "level": 0.03,
        "alpha": {"total": 0.05, "look": 1.0, "level": 0.03, "spent": 0.03, "left": 0.02},
    },
    "forced": False,
    "gate": {"rule": "non_inferior", "margin": 0.02, "alpha": 0.05},
    "requested_by": "key_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "note": None,
    "run": None,
    "error": None,
    "created_at": 1764000001,
    "decided_at": 1764000002,
}
MOST_SHARES = 10


def _no_job(name: str) -> str:
    if name.startswith("ftjob-"):
        raise ValueError("an alias cannot look like a job's id")
    return name


AliasName = Annotated[
    str,
    Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"),
    AfterValidator(_no_job),
]


class NewAlias(BaseModel):
    """What an alias is to mean."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"model": _MODEL}]})

    model: Id = Field(description="A model's id; or another alias, whose model is meant.")
    pinned: bool = Field(
        default=False, description="Keep the model in the predictors' memory, used or not."
    )


class TrafficShare(BaseModel):
    """A model, and what part of an alias's requests it answers."""

    model_config = ConfigDict(extra="forbid")

    model: Id = Field(description="A model's id, or an alias, whose model is meant.")
    weight: float = Field(gt=0, le=1)


class AliasChange(BaseModel):
    """Who else answers for an alias; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"split": [{"model": _CANDIDATE, "weight": 0.1}]}]},
    )

    split: Annotated[list[TrafficShare], Field(max_length=MOST_SHARES)] | None = Field(
        None,
        description="Other models and their parts of the requests; what they leave of 1, the "
        "alias's own model answers. Requests with the same `x-headstart-key`, or else of the same "
        "content, go to the same model. `[]` ends it.",
    )
    classes: Literal["kept", "any"] = Field(
        "kept",
        description="Whether models of the split must have every class of the alias's own model, "
        "as the gate of a promotion has it, or may lack some.",
    )
    shadow: Id | None = Field(
        None,
        description="A model that answers the same inputs unseen, while agreement is counted. "
        "`null` ends it.",
    )
    prediction_log: PredictionLog | None = Field(
        None,
        description="Write down what the alias is asked and says, for feedback, audits, "
        "suggestions and drift; requests with `Cache-Control: no-store` never. Off by default; "
        "`null` ends it and deletes what was written down.",
    )


class Alias(BaseModel):
    """A stable name that points to a model."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ALIAS]})

    id: str
    object: Literal["alias"] = "alias"
    name: str
    model: str
    pinned: bool
    split: list[TrafficShare] = Field(
        [], description="Other models that answer a part of the requests."
    )
    shadow: str | None = Field(None, description="A model that answers unseen.")
    prediction_log: PredictionLog | None = Field(
        None, description="What of its predictions is written down."
    )
    updated_at: int


class AliasMove(BaseModel):
    """One line of an alias's history."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "move_01ke4d8m3r5t7v9x1z2b4d6f8h",
                    "object": "alias.move",
                    "alias": "cells@production",
                    "cause": "promotion",
                    "model": _CANDIDATE,
                    "from_model": _MODEL,
                    "by": "hook_01ke4d9n4s6u8w0y2a3c5e7g9j",
                    "reason": _PROMOTION["reason"],
                    "promotion": _PROMOTION["id"],
                    "evidence": _PROMOTION["evidence"],
                    "created_at": 1764000002,
                }
            ]
        }
    )

    id: str
    object: Literal["alias.move"] = "alias.move"
    alias: str
    cause: Literal["put", "promotion", "rollback", "traffic", "deleted"] = Field(
        description="`traffic`: its split or shadow changed, not what it means."
    )
    model: str | None = Field(description="What it has meant since; null: nothing.")
    from_model: str | None = Field(description="What it meant before.")
    by: str = Field(description="The id of the key or the hook that moved it.")
    reason: str | None
    promotion: str | None
    evidence: dict[str, Any] | None = Field(
        description="What was known then: of a promotion the comparison, else the evaluation."
    )
    created_at: int


class NewPromotionRequest(BaseModel):
    """A candidate for an alias."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"candidate": _CANDIDATE},
                {
                    "candidate": _CANDIDATE,
                    "gate": {
                        "evaluation_set": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3",
                        "rule": "superior",
                        "floors": {"WBC": 0.8},
                    },
                    "reason": "weekly release",
                },
            ]
        },
    )

    candidate: Id = Field(description="A model's id, an alias of one, or the job that made it.")
    gate: PromotionGate = PromotionGate()
    force: bool = Field(
        False, description="Move the alias without asking the gate; it is recorded as forced."
    )
    reason: str | None = Field(None, max_length=1000, description="Why, for the history.")

    @model_validator(mode="before")
    @classmethod
    def _in_place(cls, given: object) -> object:
        return in_the_gate(given)


class Promotion(BaseModel):
    """What the gate says of a candidate, with the reason in words and numbers."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROMOTION]})

    id: str
    object: Literal["promotion"] = "promotion"
    alias: str
    candidate: str
    incumbent: str | None = Field(description="What the alias meant; null: it was new.")
    status: Literal["waiting", "decided", "failed"]
    verdict: Literal["promoted", "refused", "inconclusive"] | None = Field(
        description="Null while it waits. With `refused` and `inconclusive` the incumbent stays."
    )
    reason: str | None
    evidence: dict[str, Any] | None = Field(
        description="`examples`, `discordant` pairs, `difference` of each figure with its 95% "
        "interval, `p_value` and `level`, `floors`, `classes`, what was `left_out` of `held_out`, "
        "the `alpha` that is spent and left, and how many `more_labels` would decide."
    )
    forced: bool
    gate: dict[str, Any] = Field(title="Rules")
    requested_by: str = Field(description="The id of the key or the hook that asked.")
    note: str | None = Field(description="Why it was asked for.")
    run: str | None = Field(description="The hook's run that asked.")
    error: dict[str, Any] | None = Field(description="Why it could not be decided.")
    created_at: int
    decided_at: int | None


class NewRollback(BaseModel):
    """Why an alias goes back."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "complaints from line 3"}]}
    )

    reason: str | None = Field(None, max_length=1000)


class ShadowAgreement(BaseModel):
    """How often a shadow says what the model says that it stands beside."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "alias.shadow",
                    "alias": "cells@production",
                    "model": _MODEL,
                    "shadow": _CANDIDATE,
                    "compared": 1000,
                    "agreed": 962,
                    "agreement": {"value": 0.962, "low": 0.948, "high": 0.972},
                    "differences": [{"label": "RBC", "shadow_label": "WBC", "count": 38}],
                }
            ]
        }
    )

    object: Literal["alias.shadow"] = "alias.shadow"
    alias: str
    model: str
    shadow: str
    compared: int = Field(description="Inputs that both have answered.")
    agreed: int = Field(
        description="Inputs for which both answer the same label, or that they are `unknown`; of"
        " several, the same `labels`."
    )
    agreement: dict[str, float | None] = Field(description="With its 95% interval.")
    differences: list[LabelDifference] = Field(description="Most frequent first.")


class LabelDifference(BaseModel):
    """Two labels for the same inputs; of several labels, one that only one of both answers."""

    label: str | None = Field(
        description="null: the model does not answer `shadow_label`, or says `unknown`."
    )
    shadow_label: str | None = Field(
        description="null: the shadow does not answer `label`, or says `unknown`."
    )
    count: int


ShadowAgreement.model_rebuild()
