"""Whether feedback can be an example, judged before it is packed as the intake judges the pack: one
that cannot must keep no other from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import LabelMode, Modality
from app.core.texts import NOTHING_TO_READ, is_seen
from app.infra.orm import FeedbackRow
from app.uploads.intake import images, rows
from app.uploads.intake.limits import Limits
from app.uploads.intake.names import UNSAFE
from app.uploads.printed import written

_LIMITS = Limits()


def check_label(label: str) -> None:
    """Raises invalid_value, label_too_long."""
    if not label.strip():
        raise HeadstartError("invalid_value", "the label is empty")
    if UNSAFE.search(label):
        raise HeadstartError("invalid_value", "the label has control or direction characters")
    if len(label) > _LIMITS.label_characters:
        raise HeadstartError("label_too_long", rows.too_long(label, _LIMITS))


def said(row: FeedbackRow, names: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """The labels that a row says, one or several, as `names` has them now."""
    labels = list(row.labels) if row.labels is not None else [str(row.label)]
    return list(dict.fromkeys(names.get(label, label) for label in labels))


def unfit(
    row: FeedbackRow, data: bytes, *, modality: Modality, mode: LabelMode
) -> HeadstartError | None:
    """Why a dataset cannot have an input with what was said of it."""
    try:
        _check_mode(row, mode)
        for label in said(row):
            check_label(label)
        _CHECKS[modality](row, data)
    except HeadstartError as error:
        return error
    return None


def check_text(data: bytes) -> None:
    """Raises invalid_value, modality_mismatch."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise HeadstartError("modality_mismatch", "the input is no text") from error
    if not is_seen(text):
        raise HeadstartError("invalid_value", NOTHING_TO_READ)
    if "\0" in text:
        raise HeadstartError("invalid_value", "the text has a NUL character")


def line(
    row: FeedbackRow, told: Mapping[str, Any], names: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The line of a table that says the label, as `names` has it now, beside the text, or where the
    picture is."""
    labels = [written(label) for label in said(row, names)]
    label = labels if row.labels is not None else labels[0]
    return json.dumps({**told, "label": label}, ensure_ascii=False) + "\n"


def _check_mode(row: FeedbackRow, mode: LabelMode) -> None:
    if (mode == "multi_label") != (row.labels is not None):
        raise HeadstartError("label_mode_mismatch", f"the dataset is {mode}")


def _check_text(row: FeedbackRow, data: bytes) -> None:
    check_text(data)
    _check_length(line(row, {"text": data.decode()}))


def _check_image(row: FeedbackRow, data: bytes) -> None:
    images.check(data, "image")
    _check_length(line(row, {"path": "x" * 100}))


def _check_length(written: str) -> None:
    if len(written.encode()) > _LIMITS.row_bytes:
        why = f"with its labels it has more than {_LIMITS.row_bytes:,} bytes"
        raise HeadstartError("row_too_large", why)


_CHECKS = {"image": _check_image, "text": _check_text}
