"""Boxes that are turned, as CVAT's exports have them: the upright box around each is cut out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.lists.annotated import turned, turned_ellipse
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

CROPS = IntakeOptions(label_mode=None, crops=True)
PIXELS = np.random.default_rng(8).integers(0, 256, (80, 80, 3)).astype(np.uint8)
LYING = (10, 36, 60, 8)
LABELS = ("ok", "bad")
Files = Mapping[str, bytes]


def picture(at: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.roll(PIXELS, at, axis=0)).save(out, "PNG")
    return out.getvalue()


def cvat(degrees: float) -> Files:
    box = 'xtl="10.0" ytl="36.0" xbr="70.0" ybr="44.0" z_order="0"'
    images = "".join(
        f'<image id="{at}" name="{at}.png" width="80" height="80">'
        f'<box label="{label}" occluded="0" {box} rotation="{degrees}"></box></image>'
        for at, label in enumerate(LABELS)
    )
    told = f'<?xml version="1.0"?><annotations><version>1.1</version>{images}</annotations>'
    return {"annotations.xml": told.encode()}


def coco(degrees: float, **more: Any) -> Files:
    boxes = [
        {"id": at + 1, "image_id": at, "category_id": at, "bbox": list(LYING), **more}
        | {"attributes": {"occluded": False, "rotation": degrees}}
        for at in range(2)
    ]
    images = [{"id": at, "file_name": f"{at}.png", "width": 80, "height": 80} for at in range(2)]
    names = [{"id": at, "name": name} for at, name in enumerate(LABELS)]
    told = {"images": images, "annotations": boxes, "categories": names}
    return {"annotations/instances_default.json": json.dumps(told).encode()}


def coco_with_corners(degrees: float) -> Files:
    return coco(degrees, segmentation=[[10, 36, 70, 36, 70, 44, 10, 44]])


def datumaro(degrees: float) -> Files:
    items = [
        {
            "id": str(at),
            "annotations": [
                {"id": 0, "type": "bbox", "label_id": at, "bbox": list(LYING)}
                | {"attributes": {"occluded": False, "rotation": degrees}}
            ],
            "image": {"path": f"{at}.png", "size": [80, 80]},
        }
        for at in range(2)
    ]
    labels = {"label": {"labels": [{"name": name, "parent": ""} for name in LABELS]}}
    told = {"info": {}, "categories": labels, "items": items}
    return {"annotations/default.json": json.dumps(told).encode()}


def voc(degrees: float) -> Files:
    said = f"<attribute><name>rotation</name><value>{degrees}</value></attribute>"
    more = "<attribute><name>colour</name><value>7</value></attribute>"
    return {
        f"{at}.xml": (
            "<annotation><size><width>80</width><height>80</height></size><object>"
            f"<name>{label}</name><bndbox><xmin>10</xmin><ymin>36</ymin><xmax>70</xmax>"
            f"<ymax>44</ymax></bndbox><attributes>{said}{more}</attributes></object></annotation>"
        ).encode()
        for at, label in enumerate(LABELS)
    }


def crops(take: Take, files: Files) -> tuple[Built, list[Any]]:
    built = take(zipped({"0.png": picture(0), "1.png": picture(1), **files}), options=CROPS)
    packed = built.pack_path.read_bytes()
    parts = [packed[one.offset : one.offset + one.length] for one in built.examples]
    return built, [np.asarray(Image.open(io.BytesIO(part))) for part in parts]


@pytest.mark.parametrize("made", [cvat, coco, coco_with_corners, datumaro, voc])
@pytest.mark.parametrize(
    ("degrees", "rows", "columns"),
    [
        (0.0, slice(36, 44), slice(10, 70)),
        (180.0, slice(36, 44), slice(10, 70)),
        (90.0, slice(10, 70), slice(36, 44)),
        (270.0, slice(10, 70), slice(36, 44)),
        (45.0, slice(15, 65), slice(15, 65)),
    ],
)
def test_the_upright_box_around_it_is_cut_out(
    take: Take, made: Callable[[float], Files], degrees: float, rows: slice, columns: slice
) -> None:
    built, cut = crops(take, made(degrees))
    assert [one.label for one in built.examples] == list(LABELS)
    np.testing.assert_array_equal(cut[0], PIXELS[rows, columns])


def test_a_box_around_a_polygon_is_upright_already(take: Take) -> None:
    drawn = [[10, 36, 70, 40, 40, 44]]
    _, cut = crops(take, coco(90.0, segmentation=drawn))
    np.testing.assert_array_equal(cut[0], PIXELS[36:44, 10:70])


def test_an_attribute_of_the_projects_own_turns_nothing(take: Take) -> None:
    files = {name: data.replace(b"90.0", b'"left"') for name, data in coco(90.0).items()}
    _, cut = crops(take, files)
    np.testing.assert_array_equal(cut[0], PIXELS[36:44, 10:70])


@pytest.mark.parametrize("degrees", [0.0, 17.0, 45.0, 90.0, 133.3, 180.0, 301.5, -20.0])
def test_what_is_turned_lies_in_its_box_and_touches_each_side(degrees: float) -> None:
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = np.array([[-30, -4], [30, -4], [30, 4], [-30, 4]]) @ matrix.T + (40, 40)
    round_ = np.linspace(0, 2 * np.pi, 100_001)
    drawn = np.stack([30 * np.cos(round_), 4 * np.sin(round_)], axis=1) @ matrix.T + (40, 40)
    for points, place in (
        (corners, turned((10, 36, 60, 8), degrees)),
        (drawn, turned_ellipse((40, 40), (30, 4), degrees)),
    ):
        low, high = points.min(axis=0), points.max(axis=0)
        np.testing.assert_allclose(place, [*low, *(high - low)], atol=2e-3)
