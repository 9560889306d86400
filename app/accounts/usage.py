"""`/v1/usage`: what an organisation has used, day by day; what all have, for the operator."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import ORGANISATION
from app.http.dependencies import Admin, Reader, Reading
from app.http.openapi import ID_PATTERN, problems
from app.http.pages import Limit, Page, page
from app.http.routes import StrictRoute
from app.infra.database import now
from app.infra.repositories import usage
from app.infra.repositories.usage import Kind, Period

router = APIRouter(route_class=StrictRoute, prefix="/v1/usage", tags=["organizations"])

_EPOCH = date(1970, 1, 1)
_DEFAULT_DAYS = 30
_MOST_DAYS = 366
_MOST_MODELS = 1000
_Row = tuple[int, Kind, str, float]


class UsageAmounts(BaseModel):
    """What was used in some time; what is asked again is counted again."""

    requests: int = Field(default=0, description="Answered requests that predict or embed.")
    predictions: int = Field(default=0, description="Their inputs, and those of batches.")
    embedded_images: int = Field(default=0, description="Embeddings of images that were stored.")
    embedded_texts: int = Field(default=0, description="Embeddings of texts that were stored.")
    job_seconds: float = Field(default=0, description="Of fine-tuning jobs with a worker.")
    worker_seconds: float = Field(default=0, description="Of all work with a worker, jobs too.")
    stored_bytes: int = Field(
        default=0, description="The most at once: uploads, embeddings, models, predictions kept."
    )


class UsageDay(UsageAmounts):
    """What was used on one day by UTC."""

    date: date


class UsageOfModel(BaseModel):
    """How often one model was asked, or one backbone to embed."""

    model: str
    requests: int
    predictions: int


_AMOUNTS: JsonDict = {
    "requests": 40,
    "predictions": 1200,
    "embedded_images": 300,
    "embedded_texts": 0,
    "job_seconds": 12.5,
    "worker_seconds": 31.2,
    "stored_bytes": 73400320,
}
_MODEL = "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t"


class UsageReport(BaseModel):
    """What an organisation has used, in all and day by day."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "object": "usage",
                    "organization_id": "default",
                    "from": "2026-11-27",
                    "to": "2026-11-27",
                    "total": _AMOUNTS,
                    "days": [{"date": "2026-11-27", **_AMOUNTS}],
                    "models": [{"model": _MODEL, "requests": 40, "predictions": 1200}],
                }
            ]
        },
    )

    object: Literal["usage"] = "usage"
    organization_id: str
    first: date = Field(alias="from", serialization_alias="from")
    to: date
    total: UsageAmounts
    days: list[UsageDay] = Field(description="Those on which anything was used.")
    models: list[UsageOfModel] = Field(description="The most used first, a thousand at most.")


class UsageOfOrganisation(BaseModel):
    """What one of all organisations has used."""

    object: Literal["organization.usage"] = "organization.usage"
    organization_id: str
    total: UsageAmounts


From = Annotated[
    date | None,
    Query(alias="from", description="The first day by UTC; else 29 before the last."),
]
To = Annotated[date | None, Query(description="The last day by UTC; else today.")]


@router.get("", responses=problems("invalid_value"))
def get_usage(
    caller: Reader,
    session: Reading,
    *,
    first: From = None,
    to: To = None,
    model: Annotated[
        str | None,
        Query(max_length=200, pattern=ID_PATTERN, description="Requests to this model alone."),
    ] = None,
    organization: Annotated[
        str | None,
        Query(pattern=ORGANISATION, description="Another tenant; needs the scope `operator`."),
    ] = None,
) -> UsageReport:
    """What the organisation has used: predictions, embeddings, seconds of work, bytes.

    It is some seconds behind; of a process that is killed, those seconds are missing.
    """
    wanted = organization or caller.organisation_id
    if wanted != caller.organisation_id:
        caller.require("operator")
    period = _period(session, first, to)
    rows = usage.by_day(session, period, organisation_id=wanted, model=model)
    models = usage.by_model(session, period, organisation_id=wanted, limit=_MOST_MODELS)
    return UsageReport(
        organization_id=wanted,
        first=_date(period.first),
        to=_date(period.last),
        total=_amounts(rows),
        days=_days(rows),
        models=[
            UsageOfModel(model=name, requests=requests, predictions=predictions)
            for name, requests, predictions in models
            if model is None or name == model
        ],
    )


@router.get("/organizations", responses=problems("invalid_value"))
def list_usage_of_organizations(
    caller: Admin,
    session: Reading,
    *,
    first: From = None,
    to: To = None,
    after: Annotated[
        str | None,
        Query(pattern=ORGANISATION, description="The last organisation of the page before."),
    ] = None,
    limit: Limit = 20,
) -> Page[UsageOfOrganisation]:
    """What each organisation has used, by their names; needs the scope `operator`."""
    caller.require("operator")
    period = _period(session, first, to)
    found = usage.of_all(session, period, after=after, limit=limit + 1)
    return page(list(found.items()), limit, _of_organisation)


def _of_organisation(of: tuple[str, list[_Row]]) -> UsageOfOrganisation:
    return UsageOfOrganisation(organization_id=of[0], total=_amounts(of[1]))


def _period(session: Session, first: date | None, to: date | None) -> Period:
    """The days that are asked for. Raises invalid_value."""
    last = to or datetime.fromtimestamp(now(session), UTC).date()
    first = first or max(_EPOCH, last) - timedelta(days=_DEFAULT_DAYS - 1)
    days = (last - first).days + 1
    if not 1 <= days <= _MOST_DAYS:
        why = f"from: it is after `to`, or more than {_MOST_DAYS} days before"
        raise HeadstartError("invalid_value", why, param="from")
    return Period((first - _EPOCH).days, (last - _EPOCH).days)


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def _days(rows: Iterable[_Row]) -> list[UsageDay]:
    by_day: dict[int, list[_Row]] = {}
    for row in rows:
        by_day.setdefault(row[0], []).append(row)
    return [UsageDay(date=_date(day), **vars(_amounts(some))) for day, some in by_day.items()]


def _amounts(rows: Iterable[_Row]) -> UsageAmounts:
    """The sums, and of what is stored the most of any day."""
    sums: dict[str, float] = {}
    stored: dict[int, float] = {}
    for day, kind, subject, amount in rows:
        if kind == "stored_bytes":
            stored[day] = stored.get(day, 0) + amount
            continue
        sums[kind] = sums.get(kind, 0) + amount
        if (kind, subject) == ("worker_seconds", "fine_tune"):
            sums["job_seconds"] = sums.get("job_seconds", 0) + amount
    told: dict[str, float] = {
        name: round(amount, 3) if name.endswith("_seconds") else int(amount)
        for name, amount in sums.items()
    }
    return UsageAmounts(**told, stored_bytes=int(max(stored.values(), default=0)))
