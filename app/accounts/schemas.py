"""What the key routes take and answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.core.identity import ORGANISATION, Scope
from app.core.texts import PRINTABLE
from app.infra.orm import ApiKeyRow

_CREATED: JsonDict = {
    "id": "key_01jd3v6s0q8m4f2k9x7c5b1n3a",
    "object": "api_key",
    "name": "nightly retraining",
    "prefix": "hs_1f0c9a2b3d4e",
    "scopes": ["read", "write"],
    "organization_id": "default",
    "created_at": 1764000000,
    "expires_at": 1795536000,
    "last_used_at": 1764000600,
}


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "nightly retraining", "scopes": ["read"]}]},
    )

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)]
    organization: Annotated[
        str | None,
        Field(
            pattern=ORGANISATION,
            description="Another tenant, made if it is new; needs the scope `operator`.",
        ),
    ] = None
    expires_at: Annotated[
        int | None,
        Field(gt=0, lt=2**53, description="When it stops to open anything; null: never."),
    ] = None


class KeyRotation(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"overlap_seconds": 86400}]}
    )

    overlap_seconds: Annotated[
        int, Field(ge=0, le=30 * 86_400, description="How long the former key goes on.")
    ] = 0


class ApiKey(BaseModel):
    """A key without its secret part."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CREATED]})

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    prefix: str = Field(description="The first characters, to recognise the key by.")
    scopes: list[Scope]
    organization_id: str
    created_at: int
    expires_at: int | None = Field(default=None, description="Null: it does not expire.")
    last_used_at: int | None = Field(default=None, description="To the minute; null: never yet.")


class CreatedKey(ApiKey):
    """A new key with its secret, which is told only here."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CREATED | {"key": "hs_1f0c9a…"}]})

    key: str


class RevokedKey(BaseModel):
    """A key that no longer opens anything."""

    id: str
    object: Literal["api_key"] = "api_key"
    deleted: Literal[True] = True


class QuotaNumbers(BaseModel):
    """Bounds of an organisation; 0 is none."""

    model_config = ConfigDict(extra="forbid")

    stored_bytes: Annotated[
        int | None,
        Field(
            ge=0,
            strict=True,
            description="Bytes of uploads, and of inputs that prediction logs and feedback keep.",
        ),
    ] = None
    examples: Annotated[
        int | None,
        Field(ge=0, strict=True, description="Examples of the datasets' latest versions."),
    ] = None
    jobs: Annotated[
        int | None, Field(ge=0, strict=True, description="Jobs and batches that have not ended.")
    ] = None
    keys: Annotated[
        int | None, Field(ge=0, strict=True, description="Keys that are not revoked.")
    ] = None
    requests_per_minute: Annotated[
        int | None, Field(ge=0, strict=True, description="Requests that predict or embed.")
    ] = None


class OrganisationChange(BaseModel):
    """Bounds of its own; those left out or null are everybody's."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"quotas": {"jobs": 20}}]}
    )

    quotas: QuotaNumbers


class Organisation(BaseModel):
    """A tenant: what it may hold and ask for, and what it holds."""

    id: str
    object: Literal["organization"] = "organization"
    created_at: int
    quotas: QuotaNumbers
    usage: dict[str, int] = Field(description="What is counted, by the names of the quotas.")


class Caller(ApiKey):
    """The key that asks, and so what it may do for whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CREATED]})


def key_of(row: ApiKeyRow) -> ApiKey:
    """The row as callers see it."""
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        organization_id=row.organisation_id,
        created_at=int(row.created_at),
        expires_at=None if row.expires_at is None else int(row.expires_at),
        last_used_at=None if row.last_used_at is None else int(row.last_used_at),
    )
