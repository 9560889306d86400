"""How a hook stands: what its last run decided, beside what would decide now.

A run trains where the same data and job would not make a model that is there already. Where they
would, it asks the gate about that model if what decided about it is not what would decide now.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.core.hyperparameters import METHODS, method_name
from app.core.modalities import MODALITIES
from app.core.promotion.gate import PromotionGate
from app.http.dependencies import Services
from app.infra.auto_backbone import AUTO, auto_backbone
from app.infra.orm import (
    AliasRow,
    DatasetVersionRow,
    HookRow,
    HookRunRow,
    ModelRow,
    PromotionRow,
)
from app.infra.repositories import datasets
from app.infra.repositories.retraining import hook_runs

_FORCE = 'trigger it with {"force": true} to train all the same'


@dataclass(frozen=True)
class Settled:
    """Nothing is to be trained, and nothing to be asked: `why` says so."""

    why: str


@dataclass(frozen=True)
class Unasked:
    """A model of dataset version `version` that is there, and that the gate would see anew."""

    model: str
    version: int
    why: str


def of(
    session: Session, services: Services, hook: HookRow, version: DatasetVersionRow
) -> Settled | Unasked | None:
    """What is left to do short of training; None where a run has to train."""
    last = hook_runs.last_trained(session, hook)
    if last is None:
        return _of_alias(session, services, hook, version)
    newest = hook_runs.last_with_job(session, hook)
    if newest is None or newest.id != last.id or hook.trained != mark(session, hook, version):
        return None
    decided = hook_runs.last_decided(session, last)
    if decided is None or decided.status != "decided":
        return None
    if session.get(ModelRow, decided.candidate) is None:
        return None
    return _of_decision(session, hook, last, decided)


def _of_alias(
    session: Session, services: Services, hook: HookRow, version: DatasetVersionRow
) -> Settled | None:
    """Before the hook has made anything: whether the alias means just what it would make."""
    meant = _meant(session, hook)
    if meant is None or meant.version_id != version.id:
        return None
    if meant.method != _method(hook) or meant.backbone != _backbone(services, hook, meant):
        return None
    why = f"{hook.alias} was trained on version {version.number} already"
    return Settled(f"nothing has changed: {why}; {_FORCE}")


def _of_decision(
    session: Session, hook: HookRow, last: HookRunRow, decided: PromotionRow
) -> Settled | Unasked:
    """Whether the gate would be asked now what it was asked then."""
    number = int(last.dataset_version or 0)
    meant = _meant(session, hook)
    if meant is not None and meant.id == decided.candidate:
        why = f"{hook.alias} means what {last.id} trained on version {number}"
        return Settled(f"nothing has changed: {why}; {_FORCE}")
    changed = _changed(session, hook, decided, meant)
    if changed is not None:
        why = f"{changed} since {last.id} trained it on version {number}"
        return Unasked(decided.candidate, number, why)
    why = f"{last.id} trained on version {number} already"
    return Settled(f"nothing has changed: {why}; {_FORCE}")


def _changed(
    session: Session, hook: HookRow, decided: PromotionRow, meant: ModelRow | None
) -> str | None:
    """What would decide otherwise than the last decision's alias, gate and examples did."""
    if decided.alias != hook.alias:
        return f"the alias has changed from {decided.alias}"
    if _gate(decided.gate) != _gate(hook.gate):
        return "the gate has changed"
    if meant is None and (decided.verdict == "promoted" or decided.incumbent is not None):
        return f"{hook.alias} has come to mean no model"
    if decided.verdict != "promoted" and _has_grown(session, hook, decided):
        return "the evaluation set has another version"
    return None


def _gate(told: dict[str, Any]) -> PromotionGate:
    return PromotionGate.model_validate(told)


def _has_grown(session: Session, hook: HookRow, decided: PromotionRow) -> bool:
    """Whether the gate's own set is at another version than the one that was asked."""
    named = hook.gate.get("evaluation_set")
    asked = ((decided.evidence or {}).get("held_out") or {}).get("version")
    if named is None or asked is None:
        return False
    found = datasets.get(session, named, organisation_id=hook.organisation_id)
    return bool(found.version.number != asked)


def _meant(session: Session, hook: HookRow) -> ModelRow | None:
    alias = session.get(AliasRow, (hook.organisation_id, hook.alias))
    return session.get(ModelRow, alias.model_id) if alias is not None else None


def _backbone(services: Services, hook: HookRow, meant: ModelRow) -> str:
    """The backbone that the hook's job names, or what `auto` is here."""
    named = str(hook.job.get("model") or AUTO)
    if named != AUTO:
        return named
    depth = METHODS[method_name(_method(hook))].depth
    modality = MODALITIES[meant.modality].name
    return auto_backbone(modality, services.settings, depth=depth).spec.name


def _method(hook: HookRow) -> str:
    return str((hook.job.get("method") or {}).get("type", "auto"))


def mark(session: Session, hook: HookRow, version: DatasetVersionRow) -> str:
    """What a run trains on and how, as a SHA-256; the same again would make the same model."""
    told: list[Any] = [version.id, hook.job]
    validation = hook.job.get("validation_file")
    if validation is not None:
        found = datasets.get(session, validation, organisation_id=hook.organisation_id)
        told.append(found.version.id)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
