"""Regions that Label Studio draws, each cut out; what has no box is counted by its kind."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake import Built, IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.dicoms import dicom, grey

Refused = Callable[..., HeadstartError]
CROPS = IntakeOptions(label_mode=None, crops=True)
PIXELS = np.random.default_rng(6).integers(0, 256, (40, 60, 3)).astype(np.uint8)
SIDES = {"original_width": 60, "original_height": 40}


def pixels(at: int) -> Any:
    """Of the picture of a task: no two are alike."""
    return np.roll(PIXELS, 5 * at, axis=1)


def png(at: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels(at)).save(out, "PNG")
    return out.getvalue()


def region(kind: str, label: str | list[str], **value: Any) -> dict[str, Any]:
    labels = label if isinstance(label, list) else [label]
    return {"type": kind, "from_name": "l", **SIDES, "value": {**value, kind: labels}}


def rectangle(label: str, **more: Any) -> dict[str, Any]:
    place = {"x": 10, "y": 25, "width": 50, "height": 50, "rotation": 0}
    return region("rectanglelabels", label, **(place | more))


def archive(
    *results: list[dict[str, Any]], picture: bytes | None = None, suffix: str = "png"
) -> bytes:
    tasks = [
        {
            "data": {"image": f"/data/upload/1/abcdef12-{at}.{suffix}"},
            "annotations": [{"result": one}],
        }
        for at, one in enumerate(results)
    ]
    files = {f"images/{at}.{suffix}": picture or png(at) for at in range(len(results))}
    return zipped({**files, "export.json": json.dumps(tasks).encode()})


def cut(built: Built, at: int) -> Any:
    example = built.examples[at]
    packed = built.pack_path.read_bytes()[example.offset : example.offset + example.length]
    return np.asarray(Image.open(io.BytesIO(packed)))


def left_out(built: Built) -> list[Problem]:
    return [one for one in built.problems if one.excluded]


def test_polygons_ellipses_and_rectangles_are_cut_out(take: Take) -> None:
    points = [[10, 25], [60, 50], [35, 75]]
    ellipse = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 10, "rotation": 0}
    built = take(
        archive(
            [region("polygonlabels", "leaf", points=points, closed=True), rectangle("stem", x=30)],
            [region("ellipselabels", "leaf", **ellipse)],
        ),
        options=CROPS,
    )
    assert [(one.label, one.group) for one in built.examples] == [
        ("leaf", "images/0.png"), ("stem", "images/0.png"), ("leaf", "images/1.png"),
    ]  # fmt: skip
    np.testing.assert_array_equal(cut(built, 0), PIXELS[10:30, 6:36])
    np.testing.assert_array_equal(cut(built, 1), PIXELS[10:30, 18:48])
    np.testing.assert_array_equal(cut(built, 2), pixels(1)[16:24, 15:45])


def test_a_shape_and_its_label_may_be_tags_of_their_own(take: Take) -> None:
    place = {"x": 0, "y": 0, "width": 50, "height": 50, "rotation": 0}
    shape = {"id": "a", "type": "rectangle", "value": place}
    label = {"id": "a", "type": "labels", "value": {**place, "labels": ["leaf"]}}
    built = take(archive([shape, label], [rectangle("stem")]), options=CROPS)
    assert [one.label for one in built.examples] == ["leaf", "stem"]
    assert left_out(built) == []


def test_what_has_no_box_is_counted_by_its_kind(take: Take) -> None:
    brush = region("brushlabels", "leaf", format="rle", rle=[0, 1, 2])
    built = take(
        archive(
            [rectangle("leaf"), brush, brush, rectangle("leaf", rotation=30)],
            [
                rectangle("stem"),
                {"type": "rectangle", "value": {"x": 1, "y": 1, "width": 2, "height": 2}},
            ],
        ),
        options=CROPS,
    )
    assert [one.label for one in built.examples] == ["leaf", "stem"]
    told = sorted(one.message.partition(", and")[0] for one in left_out(built))
    what = "region(s) have no upright box with a label"
    assert told == [
        f"1 {what} (rectangle without a label)",
        f"1 {what} (rectanglelabels that are turned)",
        f"2 {what} (brushlabels)",
    ]
    assert {one.code for one in left_out(built)} == {"unlabelled"}


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (region("polygonlabels", "leaf", points=[[1, 1], [2, 2]]), "invalid_value"),
        (region("polygonlabels", "leaf", points=[[1, 1], [2, "x"], [3, 3]]), "invalid_value"),
        (rectangle("leaf", x="nan"), "invalid_value"),
        (rectangle("leaf", width=0), "invalid_value"),
        (rectangle("leaf", height=1e300), "invalid_value"),
        (region("polygonlabels", ["a", "b"], points=[[1, 1], [9, 2], [9, 9]]), "several_labels"),
    ],
)
def test_a_region_that_is_none_is_refused(
    refused: Refused, part: dict[str, Any], code: str
) -> None:
    single = IntakeOptions(label_mode="single_label", crops=True)
    error = refused(archive([part], [rectangle("stem")]), options=single)
    assert error.code == code


def test_boxes_of_a_dicom_are_told_by_name(take: Take, refused: Refused) -> None:
    files = archive([rectangle("leaf")], picture=dicom(grey()), suffix="dcm")
    error = refused(files, options=CROPS)
    assert "not cut out of DICOM" in str([error.message, error.extra])
    assert "0#1" in str([error.message, error.extra])
