"""Boxes of a COCO file, each an example: the right pixels, labels and groups, or a problem."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions, Limits
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]
CROPS = IntakeOptions(label_mode=None, crops=True, crops_wanted=True)
RANDOM = np.random.default_rng(5)
PIXELS = RANDOM.integers(0, 256, (40, 60, 3)).astype(np.uint8)


def encoded(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def coco(boxes: list[tuple[int, int, Any]], **image: Any) -> bytes:
    """Annotations of (picture, category, box) on two pictures."""
    return json.dumps(
        {
            "images": [{"id": at, "file_name": f"{at}.png", **image} for at in (1, 2)],
            "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
            "annotations": [
                {"id": 100 + at, "image_id": picture, "category_id": category, "bbox": box}
                for at, (picture, category, box) in enumerate(boxes)
            ],
        }
    ).encode()


def archive(boxes: list[tuple[int, int, Any]], first: bytes | None = None, **image: Any) -> bytes:
    one = encoded(PIXELS) if first is None else first
    files = {"1.png": one, "2.png": encoded(PIXELS[::-1])}
    return zipped({**files, "_annotations.coco.json": coco(boxes, **image)})


def cut(built: Built, at: int) -> Any:
    example = built.examples[at]
    packed = built.pack_path.read_bytes()[example.offset : example.offset + example.length]
    return np.asarray(Image.open(io.BytesIO(packed)))


BOXES = [(1, 0, [3, 4, 20, 10]), (1, 1, [30, 20, 30, 20]), (2, 0, [0, 0, 9.5, 9.5])]


def test_each_box_is_an_example(take: Take) -> None:
    built = take(archive(BOXES, width=60, height=40), options=CROPS)
    assert [(one.path, one.label, one.group) for one in built.examples] == [
        ("1#100.png", "cat", "1.png"),
        ("1#101.png", "dog", "1.png"),
        ("2#102.png", "cat", "2.png"),
    ]
    np.testing.assert_array_equal(cut(built, 0), PIXELS[4:14, 3:23])
    np.testing.assert_array_equal(cut(built, 1), PIXELS[20:40, 30:60])
    np.testing.assert_array_equal(cut(built, 2), PIXELS[::-1][:10, :10])
    (told,) = built.problems
    assert told.message.startswith("3 crops are of 2 pictures: those of one picture are one group")


def test_of_a_box_a_picture_nothing_is_told(take: Take) -> None:
    built = take(archive([(1, 0, [3, 4, 20, 10]), (2, 1, [0, 0, 9, 9])]), options=CROPS)
    assert {one.group for one in built.examples} == {"1.png", "2.png"}
    assert built.problems == []


def test_equal_pictures_are_one_whatever_they_are_called(take: Take) -> None:
    files = {f"{name}.png": encoded(PIXELS) for name in (1, 2)}
    boxes = [(1, 0, [3, 4, 20, 10]), (2, 1, [0, 0, 9, 9])]
    built = take(zipped({**files, "_annotations.coco.json": coco(boxes)}), options=CROPS)
    assert [one.group for one in built.examples] == ["1.png", "1.png"]
    assert len({one.source for one in built.examples}) == 1


def test_a_group_that_is_said_stays(take: Take) -> None:
    built = take(archive(BOXES, group="scan"), options=CROPS)
    assert {one.group for one in built.examples} == {"scan"}
    assert not any("are of 2 pictures" in one.message for one in built.problems)


def test_no_share_that_is_held_out_parts_a_picture(take: Take) -> None:
    files = {f"{at}.png": encoded(np.roll(PIXELS, at, 0)) for at in range(8)}
    listed = json.loads(coco([(1 + at % 8, at % 2, [at, 1, 9, 9]) for at in range(24)]))
    listed["images"] = [{"id": at + 1, "file_name": f"{at}.png"} for at in range(8)]
    options = replace(CROPS, test_fraction=0.4)
    built = take(
        zipped({**files, "_annotations.coco.json": json.dumps(listed).encode()}), options=options
    )
    splits = {
        one.group: {x.split for x in built.examples if x.group == one.group}
        for one in built.examples
    }
    assert len(splits) == 8
    assert {len(one) for one in splits.values()} == {1}
    assert set().union(*splits.values()) == {"train", "test"}


def test_without_the_wish_a_picture_is_an_example(take: Take) -> None:
    built = take(archive(BOXES), options=IntakeOptions(label_mode=None))
    assert [one.path for one in built.examples] == ["1.png", "2.png"]


@pytest.mark.parametrize("size", [(60, 40), (40, 60), None])
def test_boxes_are_of_the_picture_that_was_drawn_on(take: Take, size: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    turned = encoded(PIXELS, "PNG", exif=exif)
    told = {} if size is None else {"width": size[0], "height": size[1]}
    files = {"1.png": turned, "2.png": turned}
    boxes = coco([(1, 0, [3, 4, 20, 10]), (2, 1, [0, 0, 8, 8])], **told)
    built = take(zipped({**files, "_annotations.coco.json": boxes}), options=CROPS)
    upright = np.rot90(PIXELS, -1)
    as_stored = np.rot90(PIXELS[4:14, 3:23], -1)
    expected = as_stored if size == (60, 40) else upright[4:14, 3:23]
    np.testing.assert_array_equal(cut(built, 0), expected)


def test_deep_pictures_keep_their_depth(take: Take) -> None:
    deep = RANDOM.integers(0, 65536, (40, 60)).astype(np.uint16)
    built = take(archive(BOXES, encoded(deep)), options=CROPS)
    np.testing.assert_array_equal(cut(built, 0), deep[4:14, 3:23])


def test_floats_stay_floats(take: Take) -> None:
    heat = RANDOM.normal(300, 5, (40, 60)).astype(np.float32)
    files = {"1.tif": encoded(heat, "TIFF"), "2.png": encoded(PIXELS)}
    listed = coco(BOXES).replace(b"1.png", b"1.tif")
    built = take(zipped({**files, "_annotations.coco.json": listed}), options=CROPS)
    assert built.examples[0].path == "1#100.tif"
    np.testing.assert_array_equal(cut(built, 0), heat[4:14, 3:23])


def test_boxes_without_an_id_of_their_own_are_named_by_their_row(take: Take) -> None:
    listed = json.loads(coco(BOXES))
    for box, key in zip(listed["annotations"], (7, 7, None), strict=True):
        box["id"] = key
    files = {"1.png": encoded(PIXELS), "2.png": encoded(PIXELS[::-1])}
    data = zipped({**files, "_annotations.coco.json": json.dumps(listed).encode()})
    built = take(data, options=CROPS)
    assert [one.path for one in built.examples] == ["1#7.png", "1#row2.png", "2#row3.png"]


def test_what_is_no_box_is_told(take: Take) -> None:
    good = [(picture, at % 2, [at, at, 9, 9]) for picture in (1, 2) for at in range(8)]
    odd = [(1, 0, None), (1, 0, [1, 1, 0, 5]), (1, 0, [200, 200, 5, 5])]
    built = take(archive([*good, *odd]), options=CROPS)
    assert len(built.examples) == 16
    assert [(one.code, one.path) for one in built.problems if one.excluded] == [
        ("unlabelled", "_annotations.coco.json"),
        ("image_dimensions", "1#118.png"),
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (archive(BOXES, width=120, height=80), "image_dimensions"),
        (archive(BOXES, b"no picture"), "image_invalid"),
        (archive(BOXES, encoded(PIXELS)[:2000]), "image_truncated"),
        (archive([*BOXES, (9, 0, [0, 0, 1, 1])]), "schema_mismatch"),
        (zipped({"a/1.png": png(1), "b/2.png": png(2)}), "schema_mismatch"),
    ],
)
def test_what_cannot_be_meant_is_refused(refused: Refused, data: bytes, code: str) -> None:
    assert refused(data, options=CROPS).code == code


def test_a_picture_that_is_too_much_is_its_own_problem(take: Take) -> None:
    good = [(2, at % 2, [at, at, 9, 9]) for at in range(8)]
    large = encoded(np.zeros((9000, 9000), np.uint8))
    small = IntakeOptions(limits=Limits(child_bytes=120 << 20), label_mode=None, crops=True)
    built = take(archive([(1, 0, [0, 0, 9, 9]), *good], large), options=small)
    assert len(built.examples) == 8
    assert built.problems[0].path == "1#100.png"
    assert [one.code for one in built.problems] == ["image_invalid", "group_assumed"]


def marked(**told: dict[int, Any]) -> bytes:
    """The usual boxes, whose annotations say more by their place."""
    listed = json.loads(coco(BOXES))
    for name, values in told.items():
        for at, value in values.items():
            listed["annotations"][at][name] = value
    files = {"1.png": encoded(PIXELS), "2.png": encoded(PIXELS[::-1])}
    return zipped({**files, "instances.json": json.dumps(listed).encode()})


SEVERAL = IntakeOptions(label_mode="multi_label")


def test_pictures_with_the_labels_of_cocos_boxes_are_told(take: Take) -> None:
    told = [one for one in take(marked(), options=SEVERAL).problems if one.code == "boxes_whole"]
    assert ["2 picture(s)" in one.message for one in told] == [True]
    tags = marked(bbox={at: [] for at in range(3)})
    assert "boxes_whole" not in {one.code for one in take(tags, options=SEVERAL).problems}


def test_what_coco_ignores_is_no_label(take: Take) -> None:
    first = marked(ignore={0: 1, 1: 0})
    assert [one.names for one in take(first, options=SEVERAL).examples] == [("dog",), ("cat",)]
    cut_out = take(first, options=CROPS)
    assert [one.label for one in cut_out.examples] == ["dog", "cat"]
    assert ["1 annotation(s)" in one.message for one in cut_out.problems if one.excluded] == [True]


def test_a_picture_of_what_is_ignored_is_no_negative(take: Take) -> None:
    options = IntakeOptions(label_mode="multi_label", minimum_classes=1)
    built = take(marked(ignore={2: True}), options=options)
    assert [(one.path, one.names) for one in built.examples] == [("1.png", ("cat", "dog"))]
    assert [one for one in built.problems if one.excluded and "`ignore`" in one.message]


def test_scores_are_told_as_guesses(take: Take) -> None:
    guessed = take(marked(score={0: 0.7, 1: 1}), options=CROPS)
    told = [one.message for one in guessed.problems if one.code == "labels_doubtful"]
    assert ["1 annotation(s) have a `score`" in one for one in told] == [True]
    sure = take(marked(score={0: 1.0, 1: None}), options=CROPS)
    assert "labels_doubtful" not in {one.code for one in sure.problems}
