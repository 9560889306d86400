"""`/v1/backbones` and `/v1/methods`: what there is to choose from."""

from __future__ import annotations

import re
from contextlib import suppress
from statistics import median

from fastapi import APIRouter
from sqlalchemy.orm import Session

from app.core import hyperparameters
from app.core.backbones import MOST_WINDOWS, BackboneSpec
from app.core.errors import HeadstartError
from app.http.dependencies import Reader, ServicesDep
from app.http.pages import Page
from app.http.routes import StrictRoute
from app.infra import weights
from app.infra.database import reading
from app.infra.repositories import models, versions
from app.infra.settings import Settings
from app.models.schemas import Backbone, BackboneWeights, Method

_PIECES = re.compile(r"\w+|[^\w\s{}]")
"""Words and marks of a template: about a piece each."""
router = APIRouter(route_class=StrictRoute, prefix="/v1", tags=["catalogue"])


@router.get("/backbones")
def list_backbones(caller: Reader, services: ServicesDep) -> Page[Backbone]:  # noqa: ARG001
    """Every backbone, whether its weights are here, and how to supply them where not."""
    settings = services.settings
    specs = weights.registry(settings.weights_dir).values()
    with reading(services.sessions) as session:
        data = [_used(_backbone_of(spec, settings), session) for spec in specs]
    return Page(data=data, has_more=False)


@router.get("/methods")
def list_methods(caller: Reader) -> Page[Method]:  # noqa: ARG001
    """Every method with the JSON Schema of its hyperparameters."""
    known = hyperparameters.catalogue()
    return Page(data=[Method.model_validate(method) for method in known], has_more=False)


def _backbone_of(spec: BackboneSpec, settings: Settings) -> Backbone:
    engines = settings.data_dir / "engines"
    available, reason = weights.availability(spec.name, settings.weights_dir, engines)
    return Backbone(
        id=spec.name,
        name=spec.name,
        modality=spec.modality,
        dim=spec.dim or None,
        source=spec.source,
        licence=spec.licence,
        input_size=_input_size(spec, settings),
        reads=_reads(spec, settings),
        tuning=hyperparameters.tuned_by(spec),
        weights=_weights(spec, settings),
        available=available,
        reason=reason,
        examples_per_second=None,
        default=spec.name in (settings.default_backbone_image, settings.default_backbone_text),
        reads_names=spec.reads_names,
    )


def _used(backbone: Backbone, session: Session) -> Backbone:
    """With what its use has told: how fast it is here, and the width that its network has."""
    if not backbone.available:
        return backbone
    seconds = versions.seconds_an_example(session, backbone.id)
    rate = 1 / max(median(seconds), 1e-6) if seconds else None
    dim = backbone.dim or models.width_on(session, backbone.id)
    return backbone.model_copy(update={"examples_per_second": rate, "dim": dim})


def _weights(spec: BackboneSpec, settings: Settings) -> BackboneWeights | None:
    source = weights.find(spec.name, settings.weights_dir)
    if source is None:
        return None
    with suppress(HeadstartError):  # what is wrong with its files is said as the reason
        return BackboneWeights(sha256=weights.sha256(source.path), source=source.kind)
    return None


def _input_size(spec: BackboneSpec, settings: Settings) -> int:
    """Pixels of a side, or word pieces of one window."""
    source = weights.find(spec.name, settings.weights_dir)
    if not spec.reads.windowed or source is None:
        return spec.input_size
    with suppress(HeadstartError):  # what is wrong with its files is said when it is loaded
        return min(spec.input_size, weights.window(source.path))
    return spec.input_size


def _reads(spec: BackboneSpec, settings: Settings) -> int | None:
    """Word pieces of a text that count: all windows', less a prompt's and the two at their ends."""
    if not spec.reads.windowed:
        return None
    said = len(spec.prompt) + len(_PIECES.findall(spec.template))
    return MOST_WINDOWS * (_input_size(spec, settings) - 2 - said)
