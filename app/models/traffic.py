"""Who answers for an alias beside the model it means: canaries, and a shadow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.ids import new_id
from app.core.promotion.classes import ClassChange
from app.http.dependencies import Services, writing
from app.infra import erasure
from app.infra.database import reading
from app.infra.erasure import Shortened
from app.infra.orm import AliasRow, ModelRow
from app.infra.repositories import aliases, deletions, models
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.live import forgetting
from app.infra.repositories.retraining import moves
from app.infra.repositories.retraining.moves import Move
from app.infra.repositories.targets import ResolvedModel
from app.models.alias_schemas import Alias, AliasChange
from app.models.alias_views import alias_of, sound_model
from app.uploads import deleting

_ROUNDING = 1e-9


def change(services: Services, caller: Identity, name: str, body: AliasChange) -> Alias:
    """Set what the body sets. Raises not_found, invalid_value, modality_mismatch,
    label_mode_mismatch, model_corrupt.
    """
    organisation_id = caller.organisation_id
    with reading(services.sessions) as session:
        aliases.find(session, organisation_id=organisation_id, name=name)
    own = sound_model(services, organisation_id, name)
    values: dict[str, Any] = {}
    if "split" in body.model_fields_set:
        values["split"] = _split(services, organisation_id, own, body) or None
    if "shadow" in body.model_fields_set:
        values["shadow"] = _shadow(services, organisation_id, own, body.shadow)
    ends = "prediction_log" in body.model_fields_set and body.prediction_log is None
    before = _shortened(services, organisation_id, name, own=own, values=values) if ends else None
    with writing(services) as session:
        row = aliases.find(session, organisation_id=organisation_id, name=name, lock=True)
        _check_still(row, own, values)
        aliases.hold(session, _named(values), organisation_id=organisation_id)
        _set(row, values)
        _set_log(row, body)
        if before is not None:
            _end_log(session, row, before)
        told = _recorded(session, row, caller)
    if before is not None:
        deleting.finish(services, organisation_id)
    return told


def _shortened(
    services: Services,
    organisation_id: str,
    name: str,
    *,
    own: ResolvedModel,
    values: dict[str, Any],
) -> Shortened:
    """Most of the log gone before the one commit that ends it and sets the rest, so that whoever is
    told to try again finds nothing done by halves.
    """
    with reading(services.sessions) as session:
        row = aliases.find(session, organisation_id=organisation_id, name=name)
        _check_still(row, own, values)
    return erasure.shorten_log(services.sessions, organisation_id=organisation_id, alias=name)


def _check_still(row: AliasRow, own: ResolvedModel, values: dict[str, Any]) -> None:
    """Raises in_flight where other models were checked against one that the alias has left; its
    log ends whatever it means.
    """
    if values and row.model_id != own.id:
        raise HeadstartError("in_flight", "the alias has just moved; try again", retry_after=1)


def _recorded(session: Session, row: AliasRow, caller: Identity) -> Alias:
    """The alias as it is now, which its history has."""
    move = Move(cause="traffic", actor=caller.key_id, evidence=_told(row))
    moves.record(session, organisation_id=row.organisation_id, alias=row.name, move=move,
                 models=(row.model_id, row.model_id))  # fmt: skip
    session.flush()
    return alias_of(row)


def _set_log(row: AliasRow, body: AliasChange) -> None:
    """Begin or change the log."""
    if (told := body.prediction_log) is not None:
        kept = row.prediction_log or {}
        row.log_id = row.log_id if kept else new_id("plog_")
        row.prediction_log = told.model_dump() | kept | told.model_dump(exclude_unset=True)


def _end_log(session: Session, row: AliasRow, before: Shortened) -> None:
    """End the log: what was written down goes, so much of it has gone already."""
    row.prediction_log = row.log_id = None
    gone = forgetting.end_log(session, row)
    removed = gone.counting(before.inputs)
    doomed = Doomed(object="prediction_log", id=row.name, removed=removed, files=gone.files)
    whose = {"organisation_id": row.organisation_id, "deletion_id": before.deletion_id}
    deletions.begin(session, doomed, **whose)


def _set(row: AliasRow, values: dict[str, Any]) -> None:
    for field, value in values.items():
        setattr(row, field, value)


def _named(values: dict[str, Any]) -> set[str]:
    """The models that are to answer beside the alias's own."""
    shares = {share["model"] for share in values.get("split") or []}
    return shares | ({values["shadow"]} if values.get("shadow") else set())


def _told(row: AliasRow) -> dict[str, Any]:
    told = {"split": row.split or [], "shadow": row.shadow}
    return told | ({"prediction_log": row.prediction_log} if row.prediction_log else {})


def _split(
    services: Services, organisation_id: str, own: ResolvedModel, body: AliasChange
) -> list[dict[str, Any]]:
    shares = body.split or []
    found = [_beside(services, organisation_id, own, share.model, "split") for share in shares]
    ids = [model.id for model in found]
    if len(set(ids)) < len(ids):
        raise HeadstartError("invalid_value", "a model is named twice", param="split")
    if sum(share.weight for share in shares) > 1 + _ROUNDING:
        raise HeadstartError("invalid_value", "the weights are more than 1", param="split")
    if body.classes == "kept":
        _check_classes(services, organisation_id, own, ids)
    return [
        {"model": model_id, "weight": share.weight}
        for model_id, share in zip(ids, shares, strict=True)
    ]


def _check_classes(
    services: Services, organisation_id: str, own: ResolvedModel, ids: Sequence[str]
) -> None:
    """Raises invalid_value where one of the models lacks classes: part of the requests would never
    be answered by those.
    """
    before, *others = (_classes(row) for row in _rows(services, organisation_id, own.id, *ids))
    for model_id, classes in zip(ids, others, strict=True):
        lacks = ClassChange.between(before, classes).lacks()
        if lacks is not None:
            why = f'{model_id}: {lacks}; where that is meant, say "classes": "any"'
            raise HeadstartError("invalid_value", why, param="split")


def _classes(model: ModelRow) -> list[str]:
    return list(model.card.get("config", {}).get("classes", ()))


def _shadow(
    services: Services, organisation_id: str, own: ResolvedModel, name: str | None
) -> str | None:
    if name is None:
        return None
    return _beside(services, organisation_id, own, name, "shadow").id


def _beside(
    services: Services, organisation_id: str, own: ResolvedModel, name: str, param: str
) -> ResolvedModel:
    """Another model that reads what the alias's own one reads, and says as many labels."""
    try:
        model = sound_model(services, organisation_id, name)
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param=param) from error
    if model.id == own.id:
        raise HeadstartError("invalid_value", "the alias means this model itself", param=param)
    if model.modality != own.modality:
        why = f"the alias reads {own.modality}, this model {model.modality}"
        raise HeadstartError("modality_mismatch", why, param=param)
    modes = _label_modes(services, organisation_id, own.id, model.id)
    if modes[0] != modes[1]:
        why = f"the alias's own model is {modes[0]}, this model {modes[1]}"
        raise HeadstartError("label_mode_mismatch", why, param=param)
    return model


def _label_modes(services: Services, organisation_id: str, *names: str) -> list[str]:
    """Whether each says one label or several: callers read answers in one way."""
    return [row.label_mode for row in _rows(services, organisation_id, *names)]


def _rows(services: Services, organisation_id: str, *names: str) -> list[ModelRow]:
    with reading(services.sessions) as session:
        return [models.find(session, organisation_id=organisation_id, name=one) for one in names]
