"""Boxes as Vertex AI, Ground Truth, Azure and Roboflow write them: cut out, and never labels."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.lists.boxes import lines as boxed_lines
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats import exports
from tests.unit.app.uploads.intake.formats.exports import CLASSES, LABELS, Files, each, table

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
CROPS = IntakeOptions(label_mode=None, crops=True, crops_wanted=True)
SIDES = {"xMin": 0.1, "yMin": 0.1, "xMax": 0.6, "yMax": 0.9}
PIXELS = {"left": 2, "top": 1, "width": 10, "height": 8}
ML_USE = "aiplatform.googleapis.com/ml_use"


def jsonl(make: Callable[[int, str, str], Mapping[str, Any]]) -> bytes:
    return exports.lines(*each(make))


def vertex(at: int, name: str, label: str) -> dict[str, Any]:
    box = {"displayName": label, **SIDES, "annotationResourceLabels": {}}
    use = {ML_USE: "test" if at > 3 else "training"}
    return {
        "imageGcsUri": f"gs://bucket/{name}",
        "boundingBoxAnnotations": [box],
        "dataItemResourceLabels": use,
    }


def ground_truth(at: int, name: str, label: str) -> dict[str, Any]:
    box = {"class_id": CLASSES.index(label), **PIXELS}
    told = {"image_size": [{"width": 20, "height": 10, "depth": 3}], "annotations": [box]}
    about = {
        "objects": [{"confidence": 0.9}],
        "class-map": {"0": "cat", "1": "dog"},
        "type": "groundtruth/object-detection",
    }
    return {"source-ref": f"s3://bucket/{name}", "boxes": told, "boxes-metadata": about, "id": at}


def azure(_: int, name: str, label: str) -> dict[str, Any]:
    box = {"label": label, "topX": 0.1, "topY": 0.1, "bottomX": 0.6, "bottomY": 0.9, "isCrowd": 0}
    return {"image_url": f"azureml://x/{name}", "image_details": {"width": 20}, "label": [box]}


def azure_polygon(_: int, name: str, label: str) -> dict[str, Any]:
    polygon = [[0.1, 0.1, 0.6, 0.1, 0.6, 0.9, 0.3, 0.9]]
    return {"image_url": name, "label": [{"label": label, "polygon": polygon, "isCrowd": 0}]}


def vision() -> bytes:
    told = json.loads(exports.coco())
    for one in told["annotations"]:
        one["bbox"] = [0.1, 0.1, 0.5, 0.8]
    return exports.as_json(told)


EVERY: dict[str, Files] = {
    "vertex": {**exports.pictures("p/"), "v.jsonl": jsonl(vertex)},
    "vertex, csv": {
        **exports.pictures(),
        "v.csv": table("TRAIN,gs://b/{name},{label},0.1,0.1,,,0.6,0.9,,"),
    },
    "vertex, csv of all corners": {
        **exports.pictures(),
        "v.csv": table("gs://b/{name},{label},0.1,0.1,0.6,0.1,0.6,0.9,0.1,0.9"),
    },
    "ground truth": {**exports.pictures("p/"), "output.manifest": jsonl(ground_truth)},
    "azure ml": {**exports.pictures("p/"), "train.jsonl": jsonl(azure)},
    "azure ml, polygons": {**exports.pictures("p/"), "train.jsonl": jsonl(azure_polygon)},
    "azure vision": {**exports.pictures("p/"), "coco.json": vision()},
    "roboflow, retinanet": {
        **exports.pictures(),
        "_annotations.csv": table("{name},2,1,12,9,{label}"),
    },
    "roboflow, keras": {
        **exports.pictures(),
        "_annotations.txt": "\n".join(
            f"{name} 2,1,12,9,{CLASSES.index(label)}" for name, label in LABELS.items()
        ).encode(),
        "_classes.txt": b"cat\ndog\n",
    },
}


def cut(built: Built, at: int) -> Any:
    one = built.examples[at]
    packed = built.pack_path.read_bytes()[one.offset : one.offset + one.length]
    return np.asarray(Image.open(io.BytesIO(packed)).convert("RGB"))


@pytest.mark.parametrize("files", EVERY.values(), ids=EVERY)
def test_each_box_is_cut_out(take: Take, files: Files) -> None:
    built = take(zipped(files), options=CROPS)
    assert [one.label for one in built.examples] == list(LABELS.values())
    for at, name in enumerate(LABELS):
        whole = np.asarray(Image.open(io.BytesIO(exports.picture(name))).convert("RGB"))
        np.testing.assert_array_equal(cut(built, at), whole[1:9, 2:12])
        assert str(built.examples[at].group).endswith(name)


@pytest.mark.parametrize("files", EVERY.values(), ids=EVERY)
def test_a_whole_picture_has_its_boxes_labels_and_no_corners(take: Take, files: Files) -> None:
    built = take(zipped(files), options=JUDGED)
    assert {one.path.rpartition("/")[2]: one.label for one in built.examples} == LABELS
    told = [one.message for one in built.problems if one.code == "boxes_whole"]
    assert ["boxes=crops makes each box an example" in one for one in told] == [True]


def test_what_a_row_says_is_said_of_its_boxes(take: Take) -> None:
    built = take(zipped(EVERY["vertex"]), options=CROPS)
    assert [one.split for one in built.examples] == ["train"] * 4 + ["test"] * 2


def test_several_boxes_of_a_picture_are_several_examples(take: Take) -> None:
    rows = table("{name},{label},0.1,0.1,,,0.6,0.9,,") + b"\n" + table("{name},cat,0,0,,,1,0.5,,")
    built = take(zipped({**exports.pictures(), "v.csv": rows}), options=CROPS)
    assert len(built.examples) == 12
    assert len({one.path for one in built.examples}) == 12
    whole = take(zipped({**exports.pictures(), "v.csv": rows}), options=JUDGED)
    assert {one.names for one in whole.examples} == {("cat",), ("cat", "dog")}


def test_sides_of_nought_may_be_left_out_as_protobuf_does(take: Take) -> None:
    def at_the_edge(at: int, name: str, label: str) -> dict[str, Any]:
        told = vertex(at, name, label)
        told["boundingBoxAnnotations"][0] = {"displayName": label, "xMax": 0.5, "yMax": 1.0}
        return told

    built = take(zipped({**exports.pictures(), "v.jsonl": jsonl(at_the_edge)}), options=CROPS)
    assert cut(built, 0).shape == (10, 10, 3)


def test_a_crowd_is_counted(take: Take) -> None:
    def crowded(at: int, name: str, label: str) -> dict[str, Any]:
        told = azure(at, name, label)
        told["label"] += [{**told["label"][0], "isCrowd": 1}]
        return told

    built = take(zipped({**exports.pictures(), "a.jsonl": jsonl(crowded)}), options=CROPS)
    assert len(built.examples) == 6
    assert any("6 annotation(s) have no box" in one.message for one in built.problems)


def test_a_box_without_its_sides_is_refused(refused: Refused) -> None:
    def broken(at: int, name: str, label: str) -> dict[str, Any]:
        told = azure(at, name, label)
        return told if at < 5 else {**told, "label": [{"label": label, "topX": "left"}]}

    files = {**exports.pictures(), "a.jsonl": jsonl(broken)}
    error = refused(zipped(files), options=CROPS)
    assert error.code in ("ambiguous_layout", "schema_mismatch")
    assert "row 6" in error.message


def test_roboflow_s_jsonl_of_places_is_told_by_name(refused: Refused) -> None:
    rows = jsonl(lambda _, name, label: {
        "image": name, "prefix": "detect cat ; dog", "suffix": f"<loc0100><loc0200> {label}",
    })  # fmt: skip
    files = {**exports.pictures(), "_annotations.jsonl": rows}
    assert "PaliGemma" in refused(zipped(files), options=JUDGED).message


NUMBERS = st.integers(0, 500)


@given(st.lists(st.sampled_from(["cat", "dog", "a b", "3D"]), min_size=1, max_size=6))
def test_labels_are_no_boxes(labels: Sequence[str]) -> None:
    assert boxed_lines.boxes(labels) is None


@given(st.lists(st.sampled_from(["0", "1"]), min_size=1, max_size=12))
def test_marks_are_no_boxes(marks: Sequence[str]) -> None:
    assert boxed_lines.boxes(marks) is None


@given(st.lists(NUMBERS, min_size=4, max_size=4))
def test_a_label_and_two_corners_are_a_box(corners: Sequence[int]) -> None:
    cells = list(map(str, corners))
    for told in ([*cells, "cat"], ["cat", *cells]):
        assert boxed_lines.boxes(told) == [("cat", [float(one) for one in corners])]
