"""A picture in several rows, a label each, as lists of findings have them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.core.manifest import Example, LabelMode
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
PICTURES = {f"images/{at}.png": png(at) for at in range(4)}
ROWS = ["0.png,edema", "0.png,mass", "1.png,mass", "2.png,edema", "2.png,edema", "3.png,none"]
SEVERAL_ASKED = IntakeOptions(label_mode="multi_label")
SEVERAL = IntakeOptions(label_mode="multi_label", negative_label="none")


def by_text(built: Built) -> list[Example]:
    """The examples in the order of their texts, which a pack has one after the other."""
    texts = built.pack_path.read_bytes()
    return sorted(built.examples, key=lambda one: texts[one.offset : one.offset + one.length])


def archive(name: str, header: str, rows: list[str]) -> bytes:
    return zipped({**PICTURES, name: "\n".join([header, *rows]).encode()})


@pytest.mark.parametrize("name", ["metadata.csv", "findings.csv"])
@pytest.mark.parametrize("header", ["path,label", "file_name,label"])
def test_it_has_the_labels_of_all_rows(take: Take, name: str, header: str) -> None:
    built = take(archive(name, header, ROWS), options=SEVERAL)
    assert [one.labels for one in sorted(built.examples, key=lambda one: one.path)] == [
        ("edema", "mass"),
        ("mass",),
        ("edema",),
        (),
    ]


@pytest.mark.parametrize("mode", [None, "single_label"])
def test_with_one_label_it_is_refused_and_the_mode_is_said(refused: Refused, mode: None) -> None:
    error = refused(
        archive("findings.csv", "path,label", ROWS), options=IntakeOptions(label_mode=mode)
    )
    assert error.code == "duplicate_name"
    assert "label_mode=multi_label" in error.message


@pytest.mark.parametrize(
    ("header", "rows", "why"),
    [
        ("path,label", ["0.png,mass", "0.png,none"], "belongs to no class in one row"),
        ("path,label,group", ["0.png,mass,a", "0.png,edema,b"], "the group of"),
        ("path,label,split", ["0.png,mass,train", "0.png,edema,test"], "the split of"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(
    refused: Refused, header: str, rows: list[str], why: str
) -> None:
    more = "".join(",a" if "group" in header else ",train" if "split" in header else "")
    rest = [f"{at}.png,{'mass' if at % 2 else 'edema'}{more}" for at in (1, 2, 3)]
    error = refused(archive("metadata.csv", header, [*rows, *rest]), options=SEVERAL)
    assert error.code == "invalid_value"
    assert why in error.message


TEXTS = [
    *("where is my card,card", "where is my card,urgent", "it hurts,pain", "it hurts ,urgent"),
    *("thanks,other", "thanks,other", "my card is gone,card"),
]


@pytest.mark.parametrize("rows", [TEXTS, TEXTS[::-1]])
def test_a_text_in_several_rows_has_the_labels_of_all(take: Take, rows: list[str]) -> None:
    table = "\n".join(["text,label", *rows]).encode()
    built = take(table, "x.csv", options=IntakeOptions(label_mode="multi_label"))
    assert sorted(one.labels or () for one in built.examples) == [
        ("card",),
        ("card", "urgent"),
        ("other",),
        ("pain", "urgent"),
    ]
    assert not [one for one in built.problems if one.code == "label_conflict"]
    assert any("3 row(s) have a text that another has" in note for note in built.notes)


def test_lists_of_labels_that_differ_stay_a_conflict(take: Take) -> None:
    rows = [("a b", ["x", "y"]), ("a b", ["x"]), ("c d", ["y"]), ("e f", ["x"])]
    lines = "\n".join(json.dumps({"text": text, "labels": told}) for text, told in rows).encode()
    built = take(lines, "x.jsonl", options=IntakeOptions(label_mode="multi_label"))
    assert [one.code for one in built.problems if one.excluded].count("label_conflict") == 2


LISTS = [("a b", ["x"]), ("a b", ["y"]), ("c d", ["y"]), ("e f", ["x", "y"])]


def said_in(form: str) -> tuple[bytes, str, str | None]:
    """The lists in a kind of file: its bytes, its name, and the separator that it needs."""
    if form == "jsonl":
        rows = [json.dumps({"text": text, "labels": told}) for text, told in LISTS]
        return "\n".join(rows).encode(), "x.jsonl", None
    separator = "|" if form == "separated" else None
    out = io.StringIO()
    table = csv.writer(out, delimiter="\t" if form == "tsv" else ",")
    table.writerow(["text", "labels"])
    for text, told in LISTS:
        table.writerow([text, separator.join(told) if separator else json.dumps(told)])
    return out.getvalue().encode(), "x.tsv" if form == "tsv" else "x.csv", separator


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "separated"])
@pytest.mark.parametrize("mode", [None, "multi_label"])
def test_lists_of_one_label_each_are_no_row_a_label(
    take: Take, form: str, mode: LabelMode | None
) -> None:
    """Two people who contradict each other make no example with both labels, in no kind of file."""
    data, name, separator = said_in(form)
    mode = "multi_label" if separator else mode
    built = take(data, name, options=IntakeOptions(label_mode=mode, label_separator=separator))
    assert [one.code for one in built.problems if one.excluded] == ["label_conflict"] * 2
    assert ("x", "y") in [one.labels for one in built.examples]


@pytest.mark.parametrize("mode", [None, "multi_label"])
def test_an_empty_list_beside_lists_of_one_is_no_class_or_is_told_how_it_would_be(
    take: Take, mode: LabelMode | None
) -> None:
    rows = [{"text": f"text {at} is here", "labels": [["a"], ["b"], []][at % 3]} for at in range(9)]
    data = "\n".join(map(json.dumps, rows)).encode()
    built = take(data, "x.jsonl", options=IntakeOptions(label_mode=mode))
    told = [one for one in built.problems if "label_mode=multi_label" in one.message]
    assert len(told) == (3 if mode is None else 0)
    assert len(built.examples) == (6 if mode is None else 9)


def test_texts_of_two_groups_are_not_united(take: Take) -> None:
    rows = ["a b,x,1", "a b,y,2", "c d,x,1", "e f,y,2"]
    table = "\n".join(["text,label,group", *rows]).encode()
    built = take(table, "x.csv", options=IntakeOptions(label_mode="multi_label"))
    assert [one for one in built.problems if one.code == "label_conflict"]


MELTED = [f"{at},{label},{int((at + place) % 3 == 0)}" for place, label in enumerate("xyz")
          for at in range(4)]  # fmt: skip
HAVE = [("x",), ("z",), ("y",), ("x",)]
"""Of the numbers 0 to 3."""


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", ["present", "value", "Confidence"])
def test_a_text_does_not_have_the_labels_of_rows_with_a_zero(
    take: Take, name: str, order: int
) -> None:
    table = "\n".join([f"text,label,{name}", *(f"text {row}" for row in MELTED[::order])])
    built = take(table.encode(), "x.csv", options=SEVERAL_ASKED)
    assert [one.labels for one in by_text(built)] == HAVE
    assert not [one for one in built.problems if one.excluded]
    assert [one for one in built.problems if "its label is not there" in one.message]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("name", "header"),
    [("metadata.csv", "path,label,present"), ("x.csv", "ImageID,LabelName,Confidence")],
)
def test_nor_does_a_picture(take: Take, name: str, header: str, order: int) -> None:
    rows = [row.replace(",", ".png,", 1) for row in MELTED[::order]]
    column = None if header.startswith("path") else {"label": "LabelName"}
    options = IntakeOptions(label_mode="multi_label", columns=column or {})
    built = take(archive(name, header, rows), options=options)
    found = sorted(built.examples, key=lambda one: one.path)
    assert [one.labels for one in found] == HAVE
    assert [one for one in built.problems if "its label is not there" in one.message]


def test_what_has_zeros_alone_belongs_to_no_class(take: Take) -> None:
    rows = ["a b,x,1", "a b,y,0", "c d,x,0", "c d,y,1", "e f,x,0", "e f,y,0"]
    table = "\n".join(["text,label,present", *rows]).encode()
    built = take(table, "x.csv", options=SEVERAL_ASKED)
    assert [one.labels for one in built.examples] == [("x",), ("y",), ()]


def test_a_label_that_is_there_and_is_not_is_a_conflict(take: Take) -> None:
    rows = ["a b,x,1", "a b,x,0", "c d,x,0", "c d,y,1", "e f,x,1", "e f,y,0"]
    table = "\n".join(["text,label,present", *rows]).encode()
    built = take(table, "x.csv", options=SEVERAL_ASKED)
    assert [one.code for one in built.problems if one.excluded].count("label_conflict") == 2


def test_and_of_a_picture_it_is_refused(refused: Refused) -> None:
    pictures = ["0.png,mass,1", "0.png,mass,0", "1.png,edema,1", "2.png,mass,1", "3.png,mass,0"]
    error = refused(archive("metadata.csv", "path,label,present", pictures), options=SEVERAL)
    assert "'mass' is there by one row" in error.message


@pytest.mark.parametrize("cells", ["1 0 1 1 0 0", "0.5 1 0.2 0.9 1 1"])
def test_a_column_that_may_say_so_is_told(take: Take, cells: str) -> None:
    name = "reposted" if "." not in cells else "confidence"
    rows = zip("aabbcc", "xyxzyz", cells.split(), strict=True)
    table = "\n".join([f"text,label,{name}", *(f"{a} text,{b},{c}" for a, b, c in rows)])
    built = take(table.encode(), "x.csv", options=SEVERAL_ASKED)
    (told,) = [one.message for one in built.problems if one.code == "column_unread"]
    assert f"not read: `{name}`" in told


def test_lists_of_labels_are_as_they_are_beside_a_zero(take: Take) -> None:
    rows = [("a b", ["x", "y"], 0), ("c d", ["x"], 1), ("e f", ["y"], 0)]
    told = [{"text": text, "labels": labels, "value": value} for text, labels, value in rows]
    built = take("\n".join(map(json.dumps, told)).encode(), "x.jsonl", options=SEVERAL_ASKED)
    assert [one.labels for one in built.examples] == [("x", "y"), ("x",), ("y",)]


PEOPLE = ["0,x,p", "0,y,p", "0,y,q", "0,x,q", "1,x,p", "1,x,q", "1,z,r", "2,z,p", "2,y,q",
          "2,z,r", "2,z,q", "2,z,s", "3,y,p"]  # fmt: skip
AGREED = [("x", "y"), ("x",), ("z",), ("y",)]


def test_several_rows_of_one_person_are_one_answer(take: Take) -> None:
    table = "\n".join(["text,label,annotator", *(f"text {row}" for row in PEOPLE)])
    built = take(table.encode(), "x.csv", options=SEVERAL_ASKED)
    assert [one.labels for one in by_text(built)] == AGREED
    assert not [one for one in built.problems if "text 0" in one.message]


def test_what_a_person_says_is_not_there_is_no_answer_of_its_own(take: Take) -> None:
    rows = [f"{at},{label},{who},{int(label == one)}" for at, one in enumerate("xyzx")
            for who in "pq" for label in "xyz"]  # fmt: skip
    table = "\n".join(["text,label,annotator,present", *(f"text {row}" for row in rows)])
    built = take(table.encode(), "x.csv", options=SEVERAL_ASKED)
    assert [one.labels for one in by_text(built)] == [(one,) for one in "xyzx"]
    pictures = [row.replace(",", ".png,", 1) for row in rows]
    listed = archive("labels.csv", "file,label,rater,present", pictures)
    found = sorted(take(listed, options=SEVERAL_ASKED).examples, key=lambda one: one.path)
    assert [one.labels for one in found] == [(one,) for one in "xyzx"]


def test_so_are_rows_of_one_person_on_a_picture(take: Take) -> None:
    rows = [row.replace(",", ".png,", 1) for row in PEOPLE]
    built = take(archive("labels.csv", "file,label,rater", rows), options=SEVERAL_ASKED)
    found = sorted(built.examples, key=lambda one: one.path)
    assert [one.labels for one in found] == AGREED
    (note,) = [note for note in built.notes if "labels.csv names" in note]
    assert "names 4 of 4 pictures" in note
