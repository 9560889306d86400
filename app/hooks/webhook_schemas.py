"""Webhooks and their deliveries as callers see them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EventType = Literal[
    "*",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "dataset.ready",
    "dataset.failed",
    "model.promoted",
    "model.refused",
    "model.inconclusive",
    "model.rolled_back",
    "hook.run.ended",
    "drift.detected",
    "webhook.test",
]
Url = Annotated[str, Field(min_length=1, max_length=2000)]
EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=20)]
Description = Annotated[str, Field(max_length=200)]
_NEW: dict[str, Any] = {
    "url": "https://example.com/headstart",
    "events": ["job.succeeded", "model.promoted", "model.refused"],
    "description": "release bot",
}


class NewWebhook(BaseModel):
    """Where events are to be sent to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_NEW]})

    url: Url = Field(description="A public http or https address.")
    events: EventTypes = Field(default=["*"], description="`*` is all of them.")
    description: Description = ""


class WebhookChange(BaseModel):
    """What of a webhook is to be different."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": True}]})

    url: Url | None = None
    events: EventTypes | None = None
    description: Description | None = None
    enabled: bool | None = None


class WebhookEndpoint(BaseModel):
    """Where events are sent to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _NEW
                | {
                    "id": "we_01ke4db16v8x0z2b4d6f8h0k2m",
                    "object": "webhook",
                    "enabled": True,
                    "disabled_reason": None,
                    "created_at": 1764000000,
                    "updated_at": 1764000000,
                }
            ]
        }
    )

    id: str
    object: Literal["webhook"] = "webhook"
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None = Field(description="Why the service has disabled it.")
    created_at: int
    updated_at: int


class WebhookWithSecret(WebhookEndpoint):
    """A webhook and, once, the secret that its deliveries are signed with."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class DeliveryAttempt(BaseModel):
    """One try."""

    at: float
    status: int | None = Field(None, description="What the receiver answered.")
    error: str | None = None
    seconds: float


class WebhookDelivery(BaseModel):
    """One event on its way to one webhook."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "dlv_01ke4dc27x9z1b3d5f7h9k1m3p",
                    "object": "webhook.delivery",
                    "webhook": "we_01ke4db16v8x0z2b4d6f8h0k2m",
                    "event": "evt_01ke4dc27x9z1b3d5f7h9k1m3n",
                    "type": "model.promoted",
                    "status": "succeeded",
                    "attempts": [
                        {"at": 1764000002.1, "status": 200, "error": None, "seconds": 0.041}
                    ],
                    "next_at": None,
                    "payload": {"type": "model.promoted", "timestamp": "…", "data": {}},
                    "created_at": 1764000002,
                    "finished_at": 1764000002,
                }
            ]
        }
    )

    id: str
    object: Literal["webhook.delivery"] = "webhook.delivery"
    webhook: str
    event: str = Field(description="The `webhook-id`, the same in every try.")
    type: str
    status: Literal["pending", "succeeded", "failed"]
    attempts: list[DeliveryAttempt]
    next_at: int | None = Field(description="When it is tried next.")
    payload: dict[str, Any]
    created_at: int
    finished_at: int | None
