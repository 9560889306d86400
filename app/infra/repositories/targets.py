"""What predictions must know of models, for many names in one query each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app.core.live.rule import CurrentLog, PredictionLog
from app.infra.orm import AliasRow, JobRow, ModelRow
from app.infra.repositories.models import is_model_id

Name = tuple[str, str]
"""(organisation, id or alias or job id)."""

_COLUMNS = (
    ModelRow.id,
    ModelRow.backbone,
    ModelRow.modality,
    ModelRow.artifact,
    ModelRow.sha256,
)


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """The immutable model behind a name."""

    id: str
    backbone: str
    modality: str
    artifact: str
    sha256: str
    alias: str = ""
    """The alias that was asked for, if it was one."""
    pinned: bool = False
    """Whether that alias keeps its head in memory."""
    split: tuple[tuple[float, ResolvedModel], ...] = ()
    """Other models that answer a part of the alias's requests, by weight."""
    shadow: ResolvedModel | None = None
    """A model that answers them unseen."""
    log: CurrentLog | None = None
    """What of the alias's predictions is written down, and where."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """A job's name: `status` says why it has no model."""

    status: str


def find_all(session: Session, names: Collection[Name]) -> dict[Name, ResolvedModel | NotReady]:
    """What each name means now; names that mean nothing are left out."""
    resolved: dict[Name, ResolvedModel | NotReady] = {}
    ids = {name for name in names if is_model_id(name[1])}
    jobs = {name for name in names if name[1].startswith("ftjob-")}
    resolved.update(_keep(session, _by_id(_second(ids)), ids))
    resolved.update(_of_aliases(session, set(names) - ids))
    if jobs:
        resolved.update(_by_job(session, jobs))
    return resolved


def _second(names: Iterable[Name]) -> set[str]:
    return {name for _, name in names}


def _by_id(ids: set[str]) -> Any:
    return select(ModelRow.organisation_id, ModelRow.id, *_COLUMNS).where(ModelRow.id.in_(ids))


def _by_alias(names: set[Name]) -> Any:
    return (
        select(
            AliasRow.organisation_id,
            AliasRow.name,
            *_COLUMNS,
            AliasRow.name,
            AliasRow.pinned,
            AliasRow.split,
            AliasRow.shadow,
            AliasRow.prediction_log,
            AliasRow.log_id,
        )
        .join(ModelRow, AliasRow.model_id == ModelRow.id)
        .where(tuple_(AliasRow.organisation_id, AliasRow.name).in_(sorted(names)))
    )


def _of_aliases(session: Session, names: set[Name]) -> dict[Name, ResolvedModel]:
    """What aliases mean, and the models that answer beside what they mean."""
    if not names:
        return {}
    rows = [row for row in session.execute(_by_alias(names)) if (row[0], row[1]) in names]
    beside = {(row[0], one) for row in rows for one in _beside(row)}
    others = _keep(session, _by_id(_second(beside)), beside) if beside else {}
    return {(row[0], row[1]): _of_alias(row, others) for row in rows}


def _beside(row: Any) -> list[str]:
    shares = [str(share["model"]) for share in row.split or []]
    return [*shares, row.shadow] if row.shadow else shares


def _of_alias(row: Any, others: Mapping[Name, ResolvedModel]) -> ResolvedModel:
    """A model that answers beside it and is gone answers nothing: its part is the alias's own."""
    shares = [
        (float(share["weight"]), others[row[0], share["model"]])
        for share in row.split or []
        if (row[0], share["model"]) in others
    ]
    shadow = others.get((row[0], row.shadow)) if row.shadow else None
    rule = PredictionLog.model_validate(row.prediction_log) if row.prediction_log else None
    log = CurrentLog(row.log_id, rule) if rule is not None else None
    return replace(ResolvedModel(*row[2:9]), split=tuple(shares), shadow=shadow, log=log)


def _keep(session: Session, statement: Any, wanted: set[Name]) -> dict[Name, ResolvedModel]:
    """The rows asked for: another organisation's of the same name are dropped."""
    if not wanted:
        return {}
    rows = session.execute(statement)
    return {(row[0], row[1]): ResolvedModel(*row[2:]) for row in rows if (row[0], row[1]) in wanted}


def _by_job(session: Session, jobs: set[Name]) -> dict[Name, ResolvedModel | NotReady]:
    """A job's id means its model once it has one, and nothing when that has been deleted."""
    statement = (
        select(JobRow.organisation_id, JobRow.id, JobRow.status, *_COLUMNS)
        .outerjoin(ModelRow, JobRow.model_id == ModelRow.id)
        .where(JobRow.id.in_(_second(jobs)))
    )
    resolved: dict[Name, ResolvedModel | NotReady] = {}
    for row in session.execute(statement):
        organisation_id, job_id, status = row[:3]
        columns = row[3:]
        if (organisation_id, job_id) not in jobs:
            continue
        if columns[0] is not None:
            resolved[organisation_id, job_id] = ResolvedModel(*columns)
        elif status != "succeeded":
            resolved[organisation_id, job_id] = NotReady(status)
    return resolved
