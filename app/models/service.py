"""What models are made of as callers see it: rows, evaluations, files."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from app.core import exports
from app.core.errors import HeadstartError
from app.core.manifest import LabelMode
from app.core.modalities import MODALITIES
from app.http.schemas import Calibration, Interval, PredictionCost
from app.infra.orm import ModelRow
from app.infra.precision import Precisions, fitted_on
from app.infra.predictor_client import PredictorClient
from app.infra.repositories.models import Origin
from app.infra.storage import Storage
from app.models.schemas import (
    Baseline,
    Evaluation,
    Model,
    ModelArtifact,
    ModelDetail,
    ModelOrigin,
    ModelPrecision,
)


@dataclass(frozen=True)
class Stored:
    """A file in a model's folder."""

    file: str
    media_type: str


ARTIFACTS: Mapping[str, Stored] = {
    "head": Stored("head.safetensors", "application/octet-stream"),
    "model.json": Stored("model.json", "application/json"),
}
_SAME = {"head.safetensors": "head"}


def model_of(row: ModelRow, names: Sequence[str], origin: Origin | None) -> Model:
    """The model as its caller sees it, with its aliases and what it was made of."""
    return Model(
        id=row.id,
        created=int(row.created_at),
        owned_by=row.organisation_id,
        backbone=row.backbone,
        modality=cast(Literal["image", "text"], row.modality),
        method=row.method,
        label_mode=cast(LabelMode, row.label_mode),
        job=row.job_id,
        bytes=row.bytes,
        sha256=row.sha256,
        aliases=list(names),
        suffix=row.id.split(":")[3] or None,
        dataset=origin_of(origin),
        accuracy=Interval.model_validate(row.accuracy) if row.accuracy else None,
        trained_on_erased=row.trained_on_erased,
    )


def origin_of(origin: Origin | None) -> ModelOrigin | None:
    """The version as callers see it."""
    if origin is None:
        return None
    return ModelOrigin(id=origin.dataset_id, name=origin.name, version=origin.version)


def baseline_of(evaluation: Mapping[str, Any]) -> Baseline | None:
    """What the most frequent class among the judged examples makes of a guess."""
    classes = evaluation.get("per_class") or []
    total = sum(one["support"] for one in classes)
    if not total or evaluation.get("label_mode", "single_label") != "single_label":
        return None
    most = max(classes, key=lambda one: int(one["support"]))
    return Baseline(label=most["label"], accuracy=most["support"] / total)


def detail_of(model: Model, row: ModelRow, served: Precisions | None) -> ModelDetail:
    """The model with its card; `served` is what the predictor computes in, if it could be asked."""
    fitted = fitted_on(row.card)
    precision = ModelPrecision(
        fitted=fitted or None, served=served.serving(fitted) if served is not None else None
    )
    told = model.model_dump()
    views = row.card.get("config", {}).get("prediction_views") or [MODALITIES[row.modality].primary]
    return ModelDetail(
        **told,
        name=row.id,
        card=row.card,
        calibration=_calibration(row),
        precision=precision,
        prediction=PredictionCost.of(row.backbone, views),
    )


def _calibration(row: ModelRow) -> Calibration | None:
    done = row.card.get("calibration")
    return None if done is None else Calibration.model_validate(done)


async def precisions_of(predictor: PredictorClient) -> Precisions | None:
    """What the predictor computes in; None where it does not answer within a second."""
    try:
        async with asyncio.timeout(1):
            return await predictor.precisions()
    except (HeadstartError, TimeoutError):
        return None


def evaluation_of(row: ModelRow) -> Evaluation:
    """How good the model is, and what would make it better."""
    said = {
        **row.evaluation,
        "model": row.id,
        "advice": row.card.get("advice"),
        "baseline": baseline_of(row.evaluation),
    }
    return Evaluation.model_validate(said)


def artifacts(row: ModelRow) -> list[ModelArtifact]:
    """The files that every model has, and those that can be made for who asks."""
    stored = [
        ModelArtifact(id=name, filename=stored.file, media_type=stored.media_type)
        for name, stored in ARTIFACTS.items()
    ]
    made = [
        ModelArtifact(
            id=name, filename=exports.filename(row.id, name), media_type="application/zip"
        )
        for name in exports.FORMATS
        if exports.unsupported(name, modality=row.modality, method=row.method) is None
    ]
    return stored + made


def artifact_of(name: str) -> Stored:
    """The file behind an artifact's name. Raises not_found."""
    stored = ARTIFACTS.get(_SAME.get(name, name))
    if stored is None:
        others = ", ".join((*exports.FORMATS, *ARTIFACTS))
        raise HeadstartError("not_found", f"no such artifact: there are {others}", param="name")
    return stored


def read_artifact(storage: Storage, row: ModelRow, stored: Stored) -> bytes:
    """The file's bytes, if they are what was registered. Raises model_corrupt."""
    if stored is ARTIFACTS["head"]:
        return read_head(storage, row.artifact, sha256=row.sha256)
    data = _read(storage, row.artifact, stored)
    try:
        same = json.loads(data) == row.card
    except ValueError:
        same = False
    if not same:
        raise _corrupt(f"{stored.file} is not what was stored")
    return data


def read_head(storage: Storage, prefix: str, *, sha256: str) -> bytes:
    """The head's bytes, if they are what was registered. Raises model_corrupt."""
    stored = ARTIFACTS["head"]
    data = _read(storage, prefix, stored)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _corrupt(f"{stored.file} is not what was stored")
    return data


def _read(storage: Storage, prefix: str, stored: Stored) -> bytes:
    try:
        return storage.fetch(f"{prefix}/{stored.file}").read_bytes()
    except FileNotFoundError as error:
        raise _corrupt(f"{stored.file} is missing") from error


def _corrupt(why: str) -> HeadstartError:
    return HeadstartError("model_corrupt", f"the stored model is damaged: {why}", retry_after=60)
