"""What an upload's form asks for, held against the settings and the dataset it is for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from app.core import backbones
from app.core.errors import HeadstartError
from app.core.manifest import LabelMode, Modality
from app.core.texts import PRINTABLE
from app.http.dependencies import Services
from app.infra import weights
from app.infra.repositories.datasets import DatasetSnapshot
from app.uploads.form import SETTLED, UploadForm
from app.uploads.intake import IntakeOptions
from app.uploads.intake.limits import FormerReading

LONGEST_NAME = 200
"""Characters of a column's name, as the form has them."""


def refuse_settled(form: UploadForm, base: DatasetSnapshot) -> None:
    """Raise invalid_request where the form would change what the dataset is."""
    given = [sent for name, sent in SETTLED.items() if getattr(form, name) is not None]
    if form.modality not in (None, base.dataset.modality):
        given.append("modality")
    if form.asked_mode not in (None, base.dataset.label_mode):
        given.append("label_mode")
    if given:
        why = f"{given[0]}: it was settled when the dataset was made"
        raise HeadstartError("invalid_request", why, param=given[0])


def options(
    form: UploadForm,
    mode: LabelMode | None,
    *,
    reading: Mapping[str, str] | None = None,
    labels: Collection[str] = (),
    **more: Any,
) -> IntakeOptions:
    """How the upload is to be read; `reading` is what the dataset's first one was told of that,
    and holds where the form says nothing, and where the upload has what it is about; `labels` are
    those that the dataset has. What is declared is a class from the start.
    """
    before = UploadForm.model_validate(reading or {})
    return IntakeOptions(
        label_mode=mode,
        label_separator=form.label_separator or before.label_separator,
        negative_label=form.negative_label or before.negative_label,
        former=FormerReading(
            columns=before.columns,
            marks=before.marks,
            labels=frozenset(labels or form.classes or ()),
            header=before.header,
        ),
        **more,
        val_fraction=form.val_fraction,
        test_fraction=form.test_fraction,
        seed=form.seed,
        columns=form.columns,
        marks=form.marks,
        header=form.header,
        crops=bool(before.crops if form.crops is None else form.crops),
        crops_wanted=bool(form.crops),
        encoding=form.encoding,
        filename_encoding=form.filename_encoding,
    )


def remembered(form: UploadForm, assumed: Mapping[str, str]) -> dict[str, str]:
    """How what is added is to be read: as the form says, and else by the columns that the first
    file was read by, as far as they are `assumed`."""
    said = form.reading
    rest = {name: column for name, column in assumed.items() if _can_be_said(column)}
    if "label_columns" in said:
        rest.pop("label_column", None)
    return {**rest, **said}


def _can_be_said(column: str) -> bool:
    """Whether the form could name the column."""
    return len(column) <= LONGEST_NAME and re.search(PRINTABLE, column) is not None


def label_mode_of(base: DatasetSnapshot) -> LabelMode:
    """Whether the dataset's examples may have several labels."""
    return "multi_label" if base.dataset.label_mode == "multi_label" else "single_label"


def backbone(services: Services, name: str) -> backbones.BackboneSpec:
    """Raises unknown_backbone or backbone_unavailable."""
    try:
        spec = weights.get(name, services.settings.weights_dir)
        weights.require_all(spec, services.settings.weights_dir)
        return spec
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param="backbone") from error


def default_backbone(services: Services, modality: Modality) -> str:
    """The backbone of a dataset for which none is asked."""
    settings = services.settings
    return {
        "image": settings.default_backbone_image,
        "text": settings.default_backbone_text,
    }[modality]
