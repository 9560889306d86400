"""COCO files that are not quite it: read where that is sure, else refused with what is wrong."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]
FREE = IntakeOptions(label_mode=None)
CROPS = replace(FREE, crops=True, crops_wanted=True)
COUNT = 4
COCO: dict[str, Any] = {
    "images": [{"id": at, "file_name": f"{at}.png"} for at in range(COUNT)],
    "annotations": [
        {"id": at, "image_id": at, "category_id": at % 2, "bbox": [2, 2, 9, 9]}
        for at in range(COUNT)
    ],
    "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
}


def archive(told: Any) -> bytes:
    pictures = {f"{at}.png": png(at, width=20, height=20) for at in range(COUNT)}
    return zipped({**pictures, "annotations.json": json.dumps(told).encode()})


def with_each(member: str, **values: Any) -> dict[str, Any]:
    """The file with other values in each object of a list; without those that are `...`."""
    told = copy.deepcopy(COCO)
    for one in told[member]:
        one.update(values)
    told[member] = [{k: v for k, v in one.items() if v is not ...} for one in told[member]]
    return told


def test_the_plain_one_is_read(take: Take) -> None:
    for options in (FREE, CROPS):
        built = take(archive(COCO), options=options)
        assert Counter(one.label for one in built.examples) == {"cat": 2, "dog": 2}


def test_ids_with_a_fraction_of_nothing_are_ids(take: Take) -> None:
    told = copy.deepcopy(COCO)
    for one in told["annotations"]:
        one["image_id"], one["category_id"] = float(one["image_id"]), float(one["category_id"])
    built = take(archive(told), options=CROPS)
    assert Counter(one.label for one in built.examples) == {"cat": 2, "dog": 2}


def test_numbers_that_are_texts_are_boxes(take: Take) -> None:
    told = with_each("annotations", bbox=["2", "2", "9.5", "9"])
    assert len(take(archive(told), options=CROPS).examples) == COUNT


@pytest.mark.parametrize(
    "box", [..., None, [], [2, 2, 0, 9], [2, 2, 9], ["a", 2, 9, 9], [2, 2, 1e99, 9], [True] * 3]
)
def test_annotations_without_a_box_are_counted_where_boxes_are_asked_for(
    refused: Refused, box: Any
) -> None:
    error = refused(archive(with_each("annotations", bbox=box)), options=CROPS)
    assert (error.code, error.param) == ("schema_mismatch", "boxes")
    assert "no box is left to be cut out: 4 annotation(s) have no box of their own" in error.message


def test_whole_pictures_need_no_box(take: Take) -> None:
    built = take(archive(with_each("annotations", bbox=None)), options=FREE)
    assert len(built.examples) == COUNT


def test_a_list_of_objects_that_names_pictures_is_one_of_rows(take: Take) -> None:
    rows = [{"image_id": f"{at}.png", "category": "ab"[at % 2], "score": 1} for at in range(COUNT)]
    pictures = {f"x/{at}.png": png(at, width=20, height=20) for at in range(COUNT)}
    built = take(zipped({**pictures, "said.json": json.dumps(rows).encode()}), options=FREE)
    assert Counter(one.label for one in built.examples) == {"a": 2, "b": 2}


def test_where_there_is_no_list_that_is_said(refused: Refused) -> None:
    files = {f"{'ab'[at % 2]}/{at}.png": png(at) for at in range(COUNT)}
    assert (
        "there is no list with boxes and their labels"
        in refused(zipped(files), options=CROPS).message
    )


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({**COCO, "categories": []}, "it has no categories"),
        ({k: v for k, v in COCO.items() if k != "categories"}, "it has no categories"),
        ({**COCO, "categories": {"0": "cat", "1": "dog"}}, "`categories` is not a list of objects"),
        (with_each("categories", name=None), "one of `categories` lacks a name"),
        (with_each("categories", name=" "), "one of `categories` lacks a name"),
        (with_each("categories", name=...), "one of `categories` lacks 'name'"),
        (with_each("annotations", category_id=7), "image 1 has the category 7, which is not in"),
        (with_each("annotations", image_id=0.5), "lacks a usable id"),
        (with_each("annotations", category_id=..., caption="a cat sits"), "are captions"),
        (with_each("annotations", category_id=..., segments_info=[]), "are panoptic"),
        ([{**one, "score": 0.5} for one in COCO["annotations"]], "it is a detector's results"),
        (
            {"_via_settings": {}, "_via_img_metadata": {"0.png": {"filename": "0.png"}}},
            "it is VIA's project, which is not read",
        ),
    ],
)
def test_what_is_the_matter_is_said(refused: Refused, told: Any, said: str) -> None:
    for options in (FREE, CROPS):
        error = refused(archive(told), options=options)
        assert error.code == "schema_mismatch"
        assert said in error.message
