"""Hooks: what they need, and what of it is gone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.texts import few
from app.infra.orm import DatasetRow, HookRow, ModelRow

_NAMED = 10


def of_hook(hook: HookRow) -> dict[str, str]:
    """The datasets that a hook names, by the field that names them."""
    told = {
        "dataset": hook.dataset_id,
        "gate.evaluation_set": hook.gate.get("evaluation_set"),
        "job.validation_file": hook.job.get("validation_file"),
    }
    return {field: dataset_id for field, dataset_id in told.items() if dataset_id}


def refuse_if_named(session: Session, dataset_id: str, *, organisation_id: str) -> None:
    """Raises in_use where an enabled hook trains on the dataset or compares on it."""
    enabled = select(HookRow).where(HookRow.organisation_id == organisation_id, HookRow.enabled)
    named = [row for row in session.scalars(enabled) if dataset_id in of_hook(row).values()]
    if named:
        raise HeadstartError("in_use", _said(named))


def _said(named: Sequence[HookRow]) -> str:
    some = few([f"{row.id} ({row.name})" for row in named], _NAMED)
    many = len(named) > 1
    return (
        f"the hook{'s' * many} {some} need{'' if many else 's'} this dataset: "
        f"disable or delete {'them' if many else 'it'}, or name another dataset there, first"
    )


def lost(session: Session, hook: HookRow) -> dict[str, str]:
    """Of the datasets and the model that a hook names, those that are gone, by their fields."""
    whose = hook.organisation_id
    named, base = of_hook(hook), _base(hook)
    there = select(DatasetRow.id).where(
        DatasetRow.organisation_id == whose, DatasetRow.id.in_(named.values())
    )
    known = set(session.scalars(there))
    gone = {field: dataset_id for field, dataset_id in named.items() if dataset_id not in known}
    statement = select(ModelRow.id).where(ModelRow.organisation_id == whose, ModelRow.id == base)
    if base is not None and session.scalar(statement) is None:
        gone["job.model"] = base
    return gone


def _base(hook: HookRow) -> str | None:
    """The model that a hook's job grows from, where it names one by its id."""
    method = hook.job.get("method") or {}
    options = [one for one in method.values() if isinstance(one, dict)]
    named = [hook.job.get("model"), *(one.get("from_model") for one in options)]
    return next((str(name) for name in named if name and str(name).startswith("ft:")), None)
