"""Columns that say that a row's label is not there, however they say it and however many labels an
example may have."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.core.manifest import Example, LabelMode
from app.datasets.content import Content, appended
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
SEVERAL = IntakeOptions(label_mode="multi_label")
ONE: list[LabelMode | None] = [None, "single_label"]
SAID = [("x", 1), ("y", 0), ("y", 1), ("x", 0), ("x", 1), ("y", 1)]
"""A label of each text, and whether it is there."""
WORDS = ["1 0", "1.0 0.0", "True False", "yes no", "Y N", "T F", "1 -1", "present absent",
         "positive negative"]  # fmt: skip


def table(name: str, words: str = "1 0", *, first: int = 0) -> bytes:
    there, absent = words.split()
    rows = [f"the text {at},{label},{there if holds else absent}"
            for at, (label, holds) in enumerate(SAID, first)]  # fmt: skip
    return "\n".join([f"text,label,{name}", *rows]).encode()


def messages(built: Built, code: str) -> list[str]:
    return [one.message for one in built.problems if one.code == code]


@pytest.mark.parametrize("mode", ONE)
@pytest.mark.parametrize("words", WORDS)
def test_with_one_label_such_rows_are_left_out_and_told(
    take: Take, mode: LabelMode | None, words: str
) -> None:
    built = take(table("present", words), "x.csv", options=IntakeOptions(label_mode=mode))
    assert sorted(one.label for one in built.examples) == ["x", "x", "y", "y"]
    left_out = messages(built, "unlabelled")
    assert len(left_out) == 2
    assert all("says that its label is not there" in one for one in left_out)
    assert any("`present`" in one for one in messages(built, "column_assumed"))


@pytest.mark.parametrize("name", ["Confidence", "is_label", "has label"])
def test_so_they_are_by_other_names(take: Take, name: str) -> None:
    assert len(take(table(name), "x.csv").examples) == 4


@pytest.mark.parametrize("words", WORDS)
def test_with_several_labels_each_way_of_saying_it_counts(take: Take, words: str) -> None:
    built = take(table("present", words), "x.csv", options=SEVERAL)
    assert sum(not one.labels for one in built.examples) == 2


def test_a_picture_is_left_out_as_well(take: Take) -> None:
    rows = [f"{at}.png,{label},{holds}" for at, (label, holds) in enumerate(SAID)]
    files = {f"images/{at}.png": png(at) for at in range(len(SAID))}
    listed = "\n".join(["ImageID,LabelName,Confidence", *rows]).encode()
    options = IntakeOptions(columns={"label": "LabelName"})
    built = take(zipped({**files, "labels.csv": listed}), options=options)
    assert sorted(one.label for one in built.examples) == ["x", "x", "y", "y"]


def test_so_are_objects_with_false(take: Take) -> None:
    lines = [json.dumps({"text": f"the text {at}", "label": label, "present": bool(holds)})
             for at, (label, holds) in enumerate(SAID)]  # fmt: skip
    assert len(take("\n".join(lines).encode(), "x.jsonl").examples) == 4


@pytest.mark.parametrize("mode", ["single_label", "multi_label"])
def test_a_parquet_class_that_is_not_there_is_none(take: Take, mode: LabelMode) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    features = {"label": {"names": ["x", "y"], "_type": "ClassLabel"}}
    schema = pyarrow.schema(
        {"text": pyarrow.string(), "label": pyarrow.int64(), "present": pyarrow.bool_()},
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    rows = [{"text": f"the text {at}", "label": "xy".index(label), "present": bool(holds)}
            for at, (label, holds) in enumerate(SAID)]  # fmt: skip
    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), out)
    built = take(out.getvalue(), "x.parquet", options=IntakeOptions(label_mode=mode))
    assert sum(bool(any(one.names)) for one in built.examples) == 4
    assert sum(not any(one.names) for one in built.examples) == 2 * (mode == "multi_label")


@pytest.mark.parametrize("mode", ["single_label", "multi_label"])
@pytest.mark.parametrize(
    ("name", "words"), [("is_correct", "yes no"), ("verified", "1 0"), ("value", "yes no")]
)
def test_what_may_say_something_else_is_told(
    take: Take, mode: LabelMode, name: str, words: str
) -> None:
    built = take(table(name, words), "x.csv", options=IntakeOptions(label_mode=mode))
    assert all(any(one.names) for one in built.examples)
    told = messages(built, "column_unread")
    assert len(told) == 1
    assert f"`{name}`" in told[0]


@pytest.mark.parametrize("name", ["value", "positive"])
def test_what_says_so_of_several_rows_of_a_text_says_nothing_of_one(take: Take, name: str) -> None:
    built = take(table(name), "x.csv")
    assert len(built.examples) == len(SAID)
    assert any(f"`{name}`" in one for one in messages(built, "column_unread"))


@pytest.mark.parametrize("last", ["0.7", ""])
@pytest.mark.parametrize("mode", ["single_label", "multi_label"])
def test_what_has_denied_nothing_may_go_on_otherwise(
    take: Take, mode: LabelMode, last: str
) -> None:
    rows = [f"the text {at},{'xy'[at % 2]},1" for at in range(2100)]
    rows += [f"another text,x,{last}", "a third text,y,0"]
    data = "\n".join(["text,label,confidence", *rows]).encode()
    built = take(data, "x.csv", options=IntakeOptions(label_mode=mode))
    assert len(built.examples) == len(rows)
    assert all(any(one.names) for one in built.examples)
    assert any("`confidence`" in one for one in messages(built, "column_unread"))


def test_what_denies_first_behind_the_first_rows_is_heeded(take: Take) -> None:
    rows = [f"the text {at},{'xy'[at % 2]},1" for at in range(2100)] + ["another text,x,0"]
    data = "\n".join(["text,label,confidence", *rows]).encode()
    built = take(data, "x.csv")
    assert len(built.examples) == 2100
    assert any("`confidence`" in one for one in messages(built, "column_assumed"))


@pytest.mark.parametrize("places", [(0, 2100), (2100, 2101)])
@pytest.mark.parametrize("odd", ["0.7", ""])
def test_what_says_neither_beside_what_denies_is_refused_by_its_row(
    refused: Refused, places: tuple[int, int], odd: str
) -> None:
    rows = [f"the text {at},{'xy'[at % 2]},1" for at in range(2102)]
    denying, last = places
    rows[denying], rows[last] = rows[denying][:-1] + "0", rows[last][:-1] + odd
    error = refused("\n".join(["text,label,present", *rows]).encode(), "x.csv")
    assert f"row {last + 2}: `present` is" in error.message
    assert "leave the column out" in error.message
    assert "label_columns" not in error.message


def version(take: Take, *tables: list[str]) -> list[Example]:
    content = Content([], [])
    for at, rows in enumerate(tables):
        data = "\n".join(["text,label,present", *rows]).encode()
        options = IntakeOptions(label_mode="multi_label", minimum_classes=1 if at else 2)
        built = take(data, "x.csv", options=options)
        made = appended(built.examples, built.problems, denied=built.denied, minimum_classes=1)
        content = made.of(content) if at else Content(built.examples, built.problems)
    return list(content.examples)


FIRST = ["a b,x,1", "a b,y,1", "c d,x,1", "c d,y,0", "e f,y,1"]


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        (["a b,z,0", "g h,x,1"], ("x", "y")),
        (["a b,x,0", "g h,x,1"], ("y",)),
        (["a b,x,0", "a b,y,0"], ()),
        (["a b,x,1", "a b,z,0"], ("x",)),
    ],
)
def test_an_appended_row_takes_away_what_it_denies_and_nothing_else(
    take: Take, rows: list[str], first: tuple[str, ...]
) -> None:
    made = version(take, FIRST, rows)
    assert made[0].labels == first
    assert [one.labels for one in made[1:3]] == [("x",), ("y",)]


@pytest.mark.parametrize(("label", "left"), [("z", ("x",)), ("x", ())])
def test_so_does_one_about_a_picture(take: Take, label: str, left: tuple[str, ...]) -> None:
    pictures = {f"{at}.png": png(at) for at in range(3)}
    rows = [f"{at}.png,{'xyx'[at]},1" for at in range(3)]
    first = "\n".join(["path,label,present", *rows]).encode()
    built = take(zipped({**pictures, "metadata.csv": first}), options=SEVERAL)
    again = f"path,label,present\n0.png,{label},0\n".encode()
    options = IntakeOptions(label_mode="multi_label", minimum_classes=1)
    sent = take(zipped({"0.png": png(0), "metadata.csv": again}), options=options)
    made = appended(sent.examples, sent.problems, denied=sent.denied, minimum_classes=1)
    content = made.of(Content(built.examples, built.problems))
    assert [one.labels for one in content.examples] == [left, ("y",), ("x",)]
