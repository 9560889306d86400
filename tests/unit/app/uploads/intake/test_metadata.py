"""Metadata files: labels, groups and splits by rows that name pictures."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake.built import Built
from tests.archives import png, tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]


def rows(built: Built) -> dict[str, tuple[str, str]]:
    return {one.path: (one.label, one.split) for one in built.examples}


def problems(built: Built) -> list[tuple[str, str | None, bool]]:
    return [(one.code, one.path, one.excluded) for one in built.problems]


METADATA = [
    {"path": "img/0.png", "label": "x", "group": "g", "split": "train"},
    {"path": "img/1.png", "label": "y", "group": None, "split": "validation"},
    {"path": "img/2.png", "label": "y", "group": "h", "split": ""},
]


def as_csv(told: list[dict[str, str | None]]) -> bytes:
    lines = [",".join(told[0])] + [",".join(value or "" for value in one.values()) for one in told]
    return "\r\n".join(lines).encode("utf-8-sig")


def as_jsonl(told: list[dict[str, str | None]]) -> bytes:
    return "\n".join(json.dumps(one) for one in told).encode()


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("wrapper", ["", "data/"])
@pytest.mark.parametrize(
    ("name", "content"),
    [("metadata.csv", as_csv(METADATA)), ("metadata.jsonl", as_jsonl(METADATA))],
)
def test_metadata_decides(
    take: Take, pack: Callable[..., bytes], wrapper: str, name: str, content: bytes
) -> None:
    images = {f"{wrapper}img/{at}.png": png(at) for at in range(4)}
    built = take(pack({**images, wrapper + name: content}), "upload")
    assert [(one.path, one.label, one.group, one.split) for one in built.examples] == [
        ("img/0.png", "x", "g", "train"),
        ("img/1.png", "y", None, "val"),
        ("img/2.png", "y", "h", "train"),
    ]
    assert problems(built) == [("schema_mismatch", "img/3.png", True)]
    assert built.pack_path.read_bytes()[:-16] == png(0) + png(1) + png(2)


@pytest.mark.parametrize("beside", [{}, {"readme.txt": b"x"}, {"set/notes.md": b"x"}])
def test_metadata_in_the_pictures_own_folder(take: Take, beside: dict[str, bytes]) -> None:
    told = b"file_name,label\n1.png,x\n2.png,y\n"
    members = {"set/1.png": png(1), "set/2.png": png(2), "set/metadata.csv": told}
    assert rows(take(zipped(members | beside))) == {
        "1.png": ("x", "train"),
        "2.png": ("y", "train"),
    }


def test_metadata_in_each_split(take: Take) -> None:
    members = {}
    for at, split in enumerate(("train", "test")):
        told = [{"file_name": f"{n}.png", "label": "xy"[n]} for n in range(2)]
        members[f"{split}/metadata.jsonl"] = as_jsonl(told)
        members |= {f"{split}/{n}.png": png(10 * at + n) for n in range(2)}
    assert rows(take(zipped(members))) == {
        "train/0.png": ("x", "train"),
        "train/1.png": ("y", "train"),
        "test/0.png": ("x", "test"),
        "test/1.png": ("y", "test"),
    }


@pytest.mark.parametrize(
    ("content", "expected", "param"),
    [
        (b"path,label\nimg/9.png,x\n", "schema_mismatch", "metadata.csv:2"),
        (b"path,label\nimg/0.png,x\nimg/0.png,y\n", "duplicate_name", "metadata.csv:3"),
        (b"path,label\nimg/0.png,\n", "empty_dataset", None),
        (b"path,label\n../0.png,x\n", "unsafe_path", "../0.png"),
        (b"path,label,split\nimg/0.png,x,later\n", "invalid_value", "metadata.csv:2"),
        (b"path,name\nimg/0.png,x\n", "schema_mismatch", "metadata.csv:1"),
        (b"name,label\nof another,x\n", "schema_mismatch", "metadata.csv:1"),
    ],
)
def test_metadata_that_is_wrong(
    refused: Refused, content: bytes, expected: str, param: str | None
) -> None:
    error = refused(zipped({"img/0.png": png(0), "img/1.png": png(1), "metadata.csv": content}))
    assert (error.code, error.param) == (expected, param)


def test_all_bad_rows_of_metadata_are_listed(refused: Refused) -> None:
    rows = b"path,label\nimg/9.png,x\n../0.png,x\nimg/0.png,\nimg/1.png,y\n"
    error = refused(zipped({"img/0.png": png(0), "img/1.png": png(1), "metadata.csv": rows}))
    assert [(one["code"], one["param"]) for one in error.extra["errors"]] == [
        ("schema_mismatch", "metadata.csv:2"),
        ("unsafe_path", "../0.png"),
    ]
    assert "metadata.csv, row 3" in error.extra["errors"][1]["message"]


def test_metadata_written_on_windows(take: Take) -> None:
    rows = b"path,label\r\nimg\\0.png,x\r\n.\\img\\1.png,y\r\n"
    built = take(zipped({"img/0.png": png(0), "img/1.png": png(1), "metadata.csv": rows}))
    assert [(one.path, one.label) for one in built.examples] == [
        ("img/0.png", "x"),
        ("img/1.png", "y"),
    ]


def test_names_in_metadata_may_differ_in_case_where_one_is_meant(take: Take) -> None:
    members = {"A/0.png": png(0), "a/0.png": png(1), "b/1.png": png(2)}
    told = b"path,label\nA/0.png,x\na/0.png,y\nB/1.PNG,z\n"
    built = take(zipped(members | {"metadata.csv": told}))
    assert [one.label for one in built.examples] == ["x", "y", "z"]


def test_names_in_metadata_that_may_mean_two_mean_none(refused: Refused) -> None:
    members = {"A/0.png": png(0), "A/0.PNG": png(1), "b/1.png": png(2)}
    told = b"path,label\na/0.png,x\nb/1.png,z\n"
    error = refused(zipped(members | {"metadata.csv": told}))
    assert (error.code, error.param) == ("schema_mismatch", "metadata.csv:2")


def test_junk_lists_nothing(take: Take) -> None:
    """What macOS writes beside a file has the file's name, and Jupyter keeps copies of it."""
    members = {f"{label}/{at}.png": png(at) for at, label in enumerate(["a", "b"])}
    junk = {
        "__MACOSX/._annotations.coco.json": b"x",
        ".ipynb_checkpoints/metadata.csv": b"path,label\na/0.png,wrong\n",
        "a/.ipynb_checkpoints/0.png": png(9),
    }
    built = take(zipped(members | junk))
    assert {one.label for one in built.examples} == {"a", "b"}
    assert problems(built) == [("unsupported_member", next(iter(junk)), True)]


@pytest.mark.parametrize("columns", ["path,group", "file_name,group", "filename,group,split"])
def test_metadata_without_labels_says_the_groups_of_what_folders_label(
    take: Take, columns: str
) -> None:
    names = [f"{label}/{n}.png" for label in "ab" for n in range(4)]
    cells = [f"{name},g{at // 2},train" for at, name in enumerate(names)]
    lines = [columns, *(",".join(one.split(",")[: columns.count(",") + 1]) for one in cells)]
    pictures = {name: png(at) for at, name in enumerate(names)}
    built = take(zipped({**pictures, "metadata.csv": "\n".join(lines).encode()}))
    assert [(one.label, one.group) for one in built.examples] == [
        (name[0], f"g{at // 2}") for at, name in enumerate(names)
    ]
    (told,) = built.problems
    assert told.code == "ambiguous_layout"
    assert "the group of 8 picture(s), which is read" in told.message


def test_metadata_without_labels_is_refused_where_no_folder_says_any(refused: Refused) -> None:
    pictures = {f"{at}.png": png(at) for at in range(4)}
    lines = ["path,group", *(f"{name},g" for name in pictures)]
    error = refused(zipped({**pictures, "metadata.csv": "\n".join(lines).encode()}))
    assert error.code == "schema_mismatch"
