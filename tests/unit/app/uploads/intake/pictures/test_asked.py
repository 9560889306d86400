"""What is said of columns and cells is read, or the upload is refused: nothing is ignored."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
NAMES = [f"{label}/{label}{at}.png" for label in ("hat", "shirt") for at in range(4)]
PICTURES = {name: png(at) for at, name in enumerate(NAMES)}
TEXTS = {f"{label}/{at}.txt": f"{label} {at}".encode() for label in "ab" for at in range(4)}
FLAT = {f"images/{at}.png": png(at) for at in range(8)}


def table(header: str, row: str, names: list[str]) -> bytes:
    made = [row.format(n=n, l=n.partition("/")[0], x="uv"[at % 2]) for at, n in enumerate(names)]
    return "\n".join([header, *made]).encode()


LABELS = table("path,label", "{n},{l}", NAMES)
COCO = {
    "images": [{"id": at, "file_name": name} for at, name in enumerate(FLAT)],
    "categories": [{"id": 1, "name": "u"}, {"id": 2, "name": "v"}],
    "annotations": [
        {"id": at, "image_id": at, "category_id": 1 + at % 2, "bbox": [0, 0, 4, 4]}
        for at in range(8)
    ],
}
SAID: Mapping[str, dict[str, Any]] = {
    "label_column": {"columns": {"label": "finding"}},
    "text_column": {"columns": {"text": "finding"}},
    "group_column": {"columns": {"group": "finding"}},
    "split_column": {"columns": {"split": "finding"}},
    "label_columns": {"marks": ("a", "b"), "label_mode": "multi_label"},
    "label_separator": {"label_separator": "|", "label_mode": "multi_label"},
    "negative_label": {"negative_label": "nope", "label_mode": "multi_label"},
}
ARCHIVES: Mapping[str, dict[str, bytes]] = {
    "class folders": PICTURES,
    "folders of texts": TEXTS,
    "folders and a table that agrees": {**PICTURES, "labels.csv": LABELS},
    "folders and a table of something else": {**PICTURES, "sizes.csv": b"a,finding\n1,2\n3,4"},
    "a table that decides": {
        **FLAT,
        "labels.csv": table("path,label", "{n},{x}", list(FLAT)),
    },
    "metadata.csv": {**FLAT, "metadata.csv": table("path,label", "{n},{x}", list(FLAT))},
    "a list of COCO": {**FLAT, "coco.json": json.dumps(COCO).encode()},
    "a list of COCO found by its content": {**FLAT, "all.json": json.dumps(COCO).encode()},
}


@pytest.mark.parametrize("files", ARCHIVES.values(), ids=ARCHIVES)
@pytest.mark.parametrize("field", [*SAID])
def test_what_nothing_has_is_refused(
    refused: Refused, take: Take, field: str, files: Mapping[str, bytes]
) -> None:
    options = IntakeOptions(**SAID[field])
    if field == "label_separator" and any("images/" in one for one in files):
        assert len(take(zipped(files), options=options).examples) == 8  # one label a cell
        return
    error = refused(zipped(files), options=options)
    assert error.param in (field, "labels.csv")
    assert field in error.message


@pytest.mark.parametrize("rows", [["PatientID,finding", "P0,u", "P1,v"], ["finding", "u", "v"]])
def test_a_table_with_it_that_names_no_file_is_named(refused: Refused, rows: list[str]) -> None:
    files = {f"P{at // 4}/{at}.png": png(at) for at in range(24)}
    options = IntakeOptions(columns={"label": "finding"})
    error = refused(zipped({**files, "findings.csv": "\n".join(rows).encode()}), options=options)
    assert error.param == "label_column"
    assert "findings.csv has it and is not read" in error.message


def test_a_table_of_a_part_of_them_with_it_is_no_longer_passed_over(refused: Refused) -> None:
    files = {**PICTURES, "labels.csv": table("path,finding", "{n},{x}", NAMES[:3])}
    error = refused(zipped(files), options=IntakeOptions(columns={"label": "finding"}))
    assert error.param == "label_column"
    assert "call it metadata.csv" in error.message


@pytest.mark.parametrize("said", ["finding", "Finding"])
def test_what_a_table_has_is_read(take: Take, said: str) -> None:
    asked = IntakeOptions(columns={"label": said, "group": "who"})
    agrees = table("path,finding,who", "{n},{l},{x}", NAMES)
    built = take(zipped({**PICTURES, "labels.csv": agrees}), options=asked)
    assert {one.group for one in built.examples} == {"u", "v"}
    decides = table("path,label,finding,who", "{n},no,{x},{x}", list(FLAT))
    built = take(zipped({**FLAT, "labels.csv": decides}), options=asked)
    assert {one.label for one in built.examples} == {"u", "v"}


def test_the_class_of_boxes_is_in_the_column_that_is_said(take: Take) -> None:
    rows = table("filename,class,breed,xmin,ymin,xmax,ymax", "{n},no,{x},0,0,4,4", list(FLAT))
    options = IntakeOptions(columns={"label": "breed"})
    built = take(zipped({**FLAT, "boxes.csv": rows}), options=options)
    assert {one.label for one in built.examples} == {"u", "v"}


def test_columns_of_classes_csv_can_be_chosen(take: Take, refused: Refused) -> None:
    rows = table("filename,u,v,w", "{n},1,0,1", list(FLAT)[:4])
    rows += table("", "{n},0,1,1", list(FLAT)[4:])
    archive = zipped({**FLAT, "_classes.csv": rows})
    asked = IntakeOptions(marks=("u", "v"), label_mode="multi_label")
    error = refused(archive, options=IntakeOptions(marks=("u", "x"), label_mode="multi_label"))
    assert "label_columns" in error.message
    assert {one.labels for one in take(archive, options=asked).examples} == {("u",), ("v",)}


def test_a_negative_label_that_an_addition_has_not_is_none(take: Take) -> None:
    options = IntakeOptions(negative_label="nope", label_mode="multi_label", minimum_classes=1)
    assert len(take(zipped(PICTURES), options=options).examples) == 8


def test_a_negative_label_of_a_table_is_one_of_its_labels(refused: Refused, take: Take) -> None:
    rows = b"text,label\n" + b"\n".join(
        b"t%d,%s" % (at, b"uvw"[at % 3 : at % 3 + 1]) for at in range(9)
    )
    options = IntakeOptions(negative_label="U", label_mode="multi_label")
    error = refused(rows, "texts.csv", options=options)
    assert (error.code, error.param) == ("invalid_value", "negative_label")
    assert "the labels are: u, v, w" in error.message
    options = IntakeOptions(negative_label="u", label_mode="multi_label")
    assert sum(not one.names for one in take(rows, "texts.csv", options=options).examples) == 3
