"""Lists that say things by ids or numbers, where one of those means two things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats import exports
from tests.unit.app.uploads.intake.formats.exports import CLASSES, LABELS

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
NAMES = list(LABELS)


def coco(**changed: list[dict[str, Any]]) -> dict[str, bytes]:
    """Six pictures and their COCO file, some of its lists replaced."""
    images = [{"id": at, "file_name": name} for at, name in enumerate(NAMES)]
    boxes = [
        {"id": at, "image_id": at, "category_id": at % 2, "bbox": [2, 1, 10, 8]} for at in range(6)
    ]
    categories = [{"id": at, "name": name} for at, name in enumerate(CLASSES)]
    told = {"images": images, "annotations": boxes, "categories": categories, **changed}
    return {**exports.pictures("images/"), "r.json": exports.as_json(told)}


IMAGES = [{"id": at % 3, "file_name": name} for at, name in enumerate(NAMES)]
TEXTS = [{"id": str(at) if at else 1, "file_name": name} for at, name in enumerate(NAMES)]
KINDS = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": "1", "name": "cow"}]


@pytest.mark.parametrize("crops", [False, True])
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": IMAGES}, ("image id 0", "im0.png and im3.png")),
        ({"images": TEXTS}, ("image id 1", "im0.png and im1.png")),
        ({"categories": KINDS}, ("category id 1", "dog and cow")),
    ],
)
def test_an_id_of_two_things_is_refused_by_name(
    refused: Refused, changed: dict[str, Any], words: tuple[str, ...], *, crops: bool
) -> None:
    error = refused(zipped(coco(**changed)), options=IntakeOptions(label_mode=None, crops=crops))
    assert error.code in ("ambiguous_layout", "schema_mismatch")
    assert all(word in error.message for word in words)


def test_an_annotation_of_no_image_is_refused(refused: Refused) -> None:
    boxes = [{"id": at, "image_id": at + 1, "category_id": at % 2} for at in range(6)]
    error = refused(zipped(coco(annotations=boxes)), options=JUDGED)
    assert "image 6 of an annotation is not in `images`" in error.message


def test_what_is_said_twice_and_alike_is_read(take: Take) -> None:
    images = [{"id": str(at), "file_name": name} for at, name in enumerate(NAMES)]
    categories = [{"id": at, "name": name} for at, name in enumerate(CLASSES)]
    built = take(zipped(coco(images=images * 2, categories=categories * 2)), options=JUDGED)
    assert {one.path.rpartition("/")[2]: one.label for one in built.examples} == LABELS


@pytest.mark.parametrize("label", ["-1", "2", "true", '0, "im0": 1'])
def test_fiftyones_numbers_are_places_in_its_classes(refused: Refused, label: str) -> None:
    told = exports.WHOLE["fiftyone"]
    listed = told["labels.json"].replace(b'"im0": 0', f'"im0": {label}'.encode())
    error = refused(zipped({**told, "labels.json": listed}), options=JUDGED)
    assert "labels.json" in error.message
    assert "im0" in error.message or "`classes`" in error.message
