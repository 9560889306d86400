"""What the routes of aliases share: the name in the path, the model behind a name, the view."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from app.core.errors import HeadstartError
from app.core.live.rule import PredictionLog
from app.http.dependencies import Services
from app.infra import weights
from app.infra.database import reading
from app.infra.orm import AliasRow
from app.infra.repositories import targets
from app.infra.repositories.targets import NotReady, ResolvedModel
from app.models.alias_schemas import Alias, AliasName, TrafficShare
from app.models.service import read_head

Name = Annotated[AliasName, Path(description="The alias.", examples=["cells@production"])]


def refuse_backbone(services: Services, name: str) -> None:
    """A backbone's name would mean the backbone to embeddings and the alias to predictions."""
    if weights.known(name, services.settings.weights_dir) is not None:
        why = f"{name} is a backbone's name, which `/v1/embeddings` reads as the backbone"
        raise HeadstartError("invalid_value", why, param="name")


def sound_model(services: Services, organisation_id: str, name: str) -> ResolvedModel:
    """The model that an id, an alias or a job's id means, its head byte for byte what was
    registered. Raises not_found, not_ready, model_corrupt.
    """
    whose = (organisation_id, name)
    with reading(services.sessions) as session:
        resolved = targets.find_all(session, [whose]).get(whose)
    if resolved is None:
        raise HeadstartError("not_found", "there is no such model", param="model")
    if isinstance(resolved, NotReady):
        why = f"the job is {resolved.status} and has no model"
        raise HeadstartError("not_ready", why, param="model")
    read_head(services.storage, resolved.artifact, sha256=resolved.sha256)
    return resolved


def alias_of(row: AliasRow) -> Alias:
    """An alias as its caller sees it."""
    return Alias(
        id=row.name,
        name=row.name,
        model=row.model_id,
        pinned=row.pinned,
        split=[TrafficShare.model_validate(share) for share in row.split or []],
        shadow=row.shadow,
        prediction_log=PredictionLog.model_validate(row.prediction_log)
        if row.prediction_log
        else None,
        updated_at=int(row.updated_at),
    )
