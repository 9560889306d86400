"""Uploads that are only to be predicted: anything readable, anywhere, and bad ones in place."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from app.core import batch
from app.core.batch import BatchInput
from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions, Limits
from tests.archives import overlapping_zip, png, png_header, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
UNLABELLED = IntakeOptions(labelled=False)


def inputs(built: Built) -> list[BatchInput]:
    return list(batch.inputs(built.examples, built.problems))


def told(built: Built) -> list[tuple[str, str | None]]:
    """Path and fault's code of every input, in order."""
    return [(one.path, one.fault.code if one.fault else None) for one in inputs(built)]


def test_pictures_are_taken_wherever_they_lie(take: Take) -> None:
    found = {"one.png": png(1), "deep/er/two.png": png(2), "train/x/3.png": png(3)}
    built = take(zipped(found), modality="image", options=UNLABELLED)
    assert told(built) == [(path, None) for path in found]
    assert built.modality == "image"
    assert {one.label for one in built.examples} == {""}
    packed = built.pack_path.read_bytes()
    cut = [packed[one.offset : one.offset + one.length] for one in built.examples]
    assert cut == list(found.values())


def test_one_folder_around_everything_stays_in_the_paths(take: Take) -> None:
    built = take(tarred({"june/1.png": png(1), "june/2.png": png(2)}), "x.tar", options=UNLABELLED)
    assert [one.path for one in built.examples] == ["june/1.png", "june/2.png"]


def test_the_same_content_twice_is_two_inputs(take: Take) -> None:
    built = take(zipped({"a.png": png(1), "b.png": png(1)}), options=UNLABELLED)
    assert told(built) == [("a.png", None), ("b.png", None)]
    assert built.pack_path.read_bytes()[:-16] == png(1)


def test_bad_pictures_keep_their_place(take: Take) -> None:
    members = {
        "0.png": png(1),
        "1.png": png(2)[:30],
        "2.png": b"",
        "3.png": b"<svg/>",
        "4.png": png_header(20000, 20000),
        "5.png": zipped({"x": b"y"}),
        "6.svg": b"<svg/>",
        "7.png": png(3),
    }
    built = take(zipped(members), modality="image", options=UNLABELLED)
    assert told(built) == [
        ("0.png", None),
        ("1.png", "image_truncated"),
        ("2.png", "image_invalid"),
        ("3.png", "unsupported_image_format"),
        ("4.png", "image_too_large"),
        ("5.png", "unsupported_member"),
        ("6.svg", "unsupported_image_format"),
        ("7.png", None),
    ]
    assert all(one.length == 0 for one in inputs(built) if one.fault)


def test_a_member_too_large_to_hold_keeps_its_place(take: Take) -> None:
    small = IntakeOptions(labelled=False, limits=Limits(member_bytes=200))
    built = take(zipped({"a.png": png(1), "b.png": bytes(300)}), options=small)
    assert told(built) == [("a.png", None), ("b.png", "image_too_large")]


def test_what_is_no_input_is_said(take: Take) -> None:
    members = {"a.png": png(1), "notes.md": b"hello", "metadata.csv": b"path,label\na.png,x\n"}
    built = take(zipped(members), modality="image", options=UNLABELLED)
    assert told(built) == [("a.png", None)]
    assert [(one.code, one.path) for one in built.problems] == [("unsupported_member", "notes.md")]


def test_texts_need_no_label(take: Take) -> None:
    built = take(b"id,text\n1,hello\n2,  \n3,again\n", "x.csv", options=UNLABELLED)
    assert told(built) == [("x.csv:2", None), ("x.csv:3", "invalid_value"), ("x.csv:4", None)]
    assert {one.label for one in built.examples} == {""}
    lines = b'{"text":"hello","label":17}\n{"text":""}\n'
    assert told(take(lines, "x.jsonl", options=UNLABELLED)) == [
        ("x.jsonl:1", None),
        ("x.jsonl:2", "invalid_value"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'text\none\n"  "\n   \n""\ntwo\n',
        b'text\r\none\r\n"\n"\r\n\t\r\n""\r\ntwo\r\n\r\n',
        b'text\n\none\n\n" "\n \n""\n\n\ntwo\n\n\n',
    ],
)
def test_blanks_alone_in_the_one_column_are_a_text_that_lacks(take: Take, data: bytes) -> None:
    faults = [fault for _, fault in told(take(data, "x.csv", options=UNLABELLED))]
    assert faults == [None, *["invalid_value"] * 3, None]
    beside = b"id,text\n" + b"".join(
        b"1,%s\n" % cell for cell in (b"one", b'" "', b" ", b'""', b"two")
    )
    assert [fault for _, fault in told(take(beside, "x.csv", options=UNLABELLED))] == faults
    emptied = b"text,note\none,\n,\n\ntwo,\n"
    assert [fault for _, fault in told(take(emptied, "x.csv", options=UNLABELLED))] == [None] * 2


@pytest.mark.parametrize("names", [["text"], ["text", "note"]])
def test_so_are_they_in_a_sheet_of_one_column(take: Take, names: list[str]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book, out = openpyxl.Workbook(), io.BytesIO()
    for cells in ([" "], names, ["one"], ["  "], [None], ["two"]):
        book.active.append(cells)
    book.save(out)
    lacking = [("x.xlsx:4", "invalid_value")] if len(names) == 1 else []
    found = told(take(out.getvalue(), "x.xlsx", options=UNLABELLED))
    assert found == [("x.xlsx:3", None), *lacking, ("x.xlsx:6", None)]


def test_parquet_needs_no_label(take: Take) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["one", "two"], "n": [1, 2]}), out)
    assert len(take(out.getvalue(), "x.parquet", options=UNLABELLED).examples) == 2


def test_text_files_that_are_not_keep_their_place(take: Take) -> None:
    members = {"a/1.txt": b"hello", "2.txt": b"\xff\xfe\x00", "3.txt": b" \n", "4.txt": b"a\0b"}
    built = take(zipped(members), modality="text", options=UNLABELLED)
    assert told(built) == [
        ("a/1.txt", None),
        ("2.txt", "encoding"),
        ("3.txt", "invalid_value"),
        ("4.txt", "invalid_value"),
    ]


@pytest.mark.parametrize(
    ("data", "name", "options", "code"),
    [
        (zipped({}), "x.zip", {}, "empty_dataset"),
        (zipped({"notes.md": b"x"}), "x.zip", {"modality": "image"}, "empty_dataset"),
        (b"id,label\n1,a\n", "x.csv", {}, "schema_mismatch"),
        (b'{"txt":"a"}\n', "x.jsonl", {}, "schema_mismatch"),
        (b"text\na\n", "x.csv", {"modality": "image"}, "modality_mismatch"),
        (zipped({"a.png": png(1)}), "x.zip", {"modality": "text"}, "modality_mismatch"),
        (zipped({"../a.png": png(1)}), "x.zip", {}, "unsafe_path"),
        (zipped({"a.png": png(1)})[:-30], "x.zip", {}, "archive_corrupt"),
        (overlapping_zip(), "x.zip", {}, "archive_bomb"),
    ],
)
def test_an_unsound_upload_is_refused_whole(
    refused: Refused, data: bytes, name: str, options: dict[str, Any], code: str
) -> None:
    assert refused(data, name, options=UNLABELLED, **options).code == code


def test_labelled_uploads_are_refused_as_before(refused: Refused) -> None:
    members = {"a/1.png": png(1), "b/2.png": png(2)[:30]}
    assert refused(zipped(members)).code == "image_truncated"
    assert refused(b"id,text\n1,a\n", "x.csv").code == "schema_mismatch"


def test_a_datasets_manifest_reads_as_inputs() -> None:
    line = b'{"id":"ex_1","sha256":"0","label":"a","path":"a/1","pack":"p","offset":0,"length":3}'
    (found,) = batch.load([line])
    assert (found.label, found.split, found.fault) == ("a", "train", None)
