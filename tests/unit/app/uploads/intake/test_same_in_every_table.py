"""One table in every container: labels, splits and refusals are the same in all of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]
Table = dict[str, Sequence[Any]]


def rows(table: Table) -> list[tuple[Any, ...]]:
    return list(zip(*table.values(), strict=True))


def as_csv(table: Table) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([list(table), *rows(table)])
    return out.getvalue().encode()


def as_jsonl(table: Table) -> bytes:
    lines = [json.dumps(dict(zip(table, row, strict=True))) for row in rows(table)]
    return "\n".join(lines).encode()


def as_parquet(table: Table) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.table({name: list(cells) for name, cells in table.items()}), out)
    return out.getvalue()


def as_xlsx(table: Table, first: Sequence[Sequence[Any]] = ()) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in first:
        book.active.append(list(row))
    sheet = book.create_sheet("data") if first else book.active
    for row in [list(table), *rows(table)]:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


WRITERS = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet, "xlsx": as_xlsx}
every_table = pytest.mark.parametrize("kind", WRITERS)


def taken(take: Take, kind: str, table: Table) -> Built:
    return take(WRITERS[kind](table), f"x.{kind}")


def told(built: Built) -> list[str]:
    return [one.message for one in built.problems]


@every_table
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([True, False], ["true", "false"]),
        ([0.5, 1.5], ["0.5", "1.5"]),
        ([-3, 7], ["-3", "7"]),
    ],
)
def test_booleans_and_numbers_are_labels(
    take: Take, kind: str, cells: list[Any], expected: list[str]
) -> None:
    built = taken(take, kind, {"text": ["a", "b"], "label": cells})
    assert [one.label.lower() for one in built.examples] == expected


def test_decimals_of_a_database_are_labels(take: Take) -> None:
    cells = [Decimal("1.50"), Decimal("2.00")]
    built = take(as_parquet({"text": ["a", "b"], "label": cells}), "x.parquet")
    assert [one.label for one in built.examples] == ["1.5", "2"]


@pytest.mark.parametrize(
    ("label", "said"), [({"a": 1}, "nested"), (2**64, "more than 64 bits"), (b"x", "bytes")]
)
def test_what_is_no_label_is_told_how_to_be_one(refused: Refused, label: Any, said: str) -> None:
    table: Table = {"text": ["a", "b"], "label": [label, label]}
    kind = "parquet" if isinstance(label, bytes) else "jsonl"
    error = refused(WRITERS[kind](table), f"x.{kind}")
    assert error.code == "invalid_value"
    assert said in error.message
    assert "write it as a text" in error.message


@pytest.mark.parametrize(
    "labels",
    [
        *(["0", "0.0"], ["1", "1."], ["-2.000", "-2"], ["yes", "Yes"], ["01", "1"], ["001", "01"]),
        *(["+1", "1"], ["-0", "00"], ["1.50", "1.5"], [".5", "0.5"], ["007.10", "7.1"]),
    ],
)
def test_labels_that_are_written_in_two_ways_collide(take: Take, labels: list[str]) -> None:
    built = taken(take, "csv", {"text": ["a", "b"], "label": labels})
    assert [one.code for one in built.problems] == ["label_collision"]


@pytest.mark.parametrize(
    "labels", [["True", "False"], ["TRUE", "FALSE"], ["true", "false"], [True, False]]
)
@pytest.mark.parametrize("kind", WRITERS)
def test_true_and_false_are_one_label_each(take: Take, kind: str, labels: list[Any]) -> None:
    built = taken(take, kind, {"text": ["a", "b"], "label": labels})
    assert [one.label for one in built.examples] == ["true", "false"]


@pytest.mark.parametrize("none", [None, "", "  "])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_row_without_a_label_is_left_out(take: Take, kind: str, none: str | None) -> None:
    built = taken(take, kind, {"text": ["a", "b", "c"], "label": ["x", none, "y"]})
    assert [one.label for one in built.examples] == ["x", "y"]
    assert [(one.code, one.excluded) for one in built.problems] == [("unlabelled", True)]


def test_of_many_rows_without_a_label_the_last_are_counted(take: Take) -> None:
    built = taken(
        take, "csv", {"text": [f"t{at}" for at in range(252)], "label": ["x", "y"] + [""] * 250}
    )
    told = [one for one in built.problems if one.code == "unlabelled"]
    assert len(told) == 100
    assert "and so are 150 more rows" in told[-1].message


def test_no_labels_at_all_are_refused(refused: Refused) -> None:
    error = refused(b"text,label\na,\nb,\n", "x.csv")
    assert error.code == "empty_dataset"
    assert "no row has a label" in error.message
    assert [one["code"] for one in error.extra["errors"]] == ["empty_dataset", *["unlabelled"] * 2]


@pytest.mark.parametrize(
    "labels", [["0", "0.1"], ["1", "10"], ["1.0", "1.0.0"], ["v1.0", "v1"], ["1", "-1"], ["+", "-"]]
)
def test_other_numbers_do_not(take: Take, labels: list[str]) -> None:
    built = taken(take, "csv", {"text": ["a", "b"], "label": labels})
    assert "label_collision" not in [one.code for one in built.problems]


def splits(built: Built) -> list[str]:
    return [one.split for one in built.examples]


FOUR = {"text": list("abcd"), "label": ["x", "y", "x", "y"]}


@every_table
@pytest.mark.parametrize("name", ["set", "Subset", "fold", "partition", "Data Split"])
def test_a_column_of_split_words_is_taken_for_the_split(take: Take, kind: str, name: str) -> None:
    built = taken(take, kind, {**FOUR, name: ["train", "Training", "valid", "test"]})
    assert splits(built) == ["train", "train", "val", "test"]
    assert told(built) == [
        f"the column `{name}` is taken for the split; split_column says otherwise"
    ]


@every_table
def test_a_column_that_names_something_else_is_none(take: Take, kind: str) -> None:
    sets = ["north", "south", "test", "train"]
    built = taken(take, kind, {**FOUR, "set": sets, "fold": [0, 1, 2, 3]})
    said = "not read: `fold`; a column `split` with train, val or test says what is held out"
    assert (splits(built), told(built)) == (["train"] * 4, [said])


def test_the_first_rows_may_leave_it_open(take: Take) -> None:
    built = taken(take, "csv", {**FOUR, "fold": ["1", "", "", ""], "set": ["", "train", "", "dev"]})
    assert splits(built) == ["train", "train", "train", "val"]


def test_words_with_others_beside_them_are_read_in_a_column_of_splits(take: Take) -> None:
    """As FER2013 has them."""
    usage = ["Training", "Training", "PublicTest", "PrivateTest"]
    assert splits(taken(take, "csv", {**FOUR, "Usage": usage})) == [
        "train",
        "train",
        "test",
        "test",
    ]


def test_a_column_of_its_own_name_decides(take: Take) -> None:
    own = {"split": ["train", "train", "test", "test"], "set": ["test", "train", "train", "train"]}
    built = taken(take, "csv", {**FOUR, **own})
    assert (splits(built), told(built)) == (["train", "train", "test", "test"], [])


@every_table
def test_other_words_among_splits_are_refused(refused: Refused, kind: str) -> None:
    table = {**FOUR, "set": ["train", "test", "north", "train"]}
    error = refused(WRITERS[kind](table), f"x.{kind}")
    assert error.code == "invalid_value"
    assert "`set` is 'north'" in error.message
    assert "rename the column" in error.message


def test_a_workbook_whose_first_sheet_is_no_table_says_what_was_not_read(refused: Refused) -> None:
    error = refused(as_xlsx(FOUR, first=[["read me"], ["made in May"]]), "x.xlsx")
    assert error.code == "schema_mismatch"
    assert "only the first sheet, 'Sheet', of 2 is read" in error.message


def test_a_row_of_too_many_cells_is_told_to_be_quoted(refused: Refused) -> None:
    error = refused(b"text,label\nfine,x\nwell, then,y\n", "x.csv")
    assert (error.code, error.param) == ("schema_mismatch", "x.csv:3")
    assert "between quotation marks" in error.message


@every_table
@pytest.mark.parametrize("name", ["patient_id", "Session ID", "source"])
def test_a_column_of_sources_that_is_not_read_is_told(take: Take, kind: str, name: str) -> None:
    table = {**FOUR, name: [1, 1, 2, 2], "title": list("wxyz")}
    (said,) = told(taken(take, kind, table))
    assert said.startswith(f"not read: `{name}`; ")
    options = IntakeOptions(columns={"group": name})
    built = take(WRITERS[kind](table), f"x.{kind}", options=options)
    assert ([one.group for one in built.examples], told(built)) == (["1", "1", "2", "2"], [])


def test_a_header_between_rows_is_no_example(take: Take) -> None:
    """As `cat a.csv b.csv` makes them."""
    built = take(b"text,label\na,x\ntext,label\nb,y\n", "x.csv")
    assert [one.label for one in built.examples] == ["x", "y"]
    (problem,) = built.problems
    assert (problem.code, problem.path, problem.excluded) == ("invalid_value", "x.csv:3", True)


def test_a_row_of_too_few_cells_is_told_to_be_complete(refused: Refused) -> None:
    assert "needs its separator" in refused(b"text,label\nfine,x\nwell\n", "x.csv").message


@every_table
@pytest.mark.parametrize("yes", [1, 1.0, True])
def test_a_column_a_class_says_the_labels(take: Take, kind: str, yes: Any) -> None:
    no = type(yes)(0)
    table = {
        "id": [7, 8, 9],
        "text": ["a", "b", "c"],
        "toxic": [yes, no, no],
        "rude": [yes, yes, no],
    }
    built = take(WRITERS[kind](table), f"x.{kind}", options=IntakeOptions(label_mode=None))
    assert [list(one.names) for one in built.examples] == [["rude", "toxic"], ["rude"], []]


@every_table
def test_one_mark_a_row_is_a_single_label(take: Take, kind: str) -> None:
    built = taken(take, kind, {"text": ["a", "b"], "toxic": [1, 0], "fine": [0, 1], "label": "xy"})
    assert [one.label for one in built.examples] == ["x", "y"]
    built = taken(take, kind, {"text": ["a", "b"], "toxic": [1, 0], "fine": [0, 1]})
    assert [one.label for one in built.examples] == ["toxic", "fine"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_are_labels_and_marks_without_names_are_none(
    take: Take, refused: Refused, kind: str
) -> None:
    for rows_of_marks in ([[0, 1, 0], [1, 1, 0]], [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]):
        marked = {"text": ["a", "b"], "labels": rows_of_marks}
        error = refused(WRITERS[kind](marked), f"x.{kind}", options=IntakeOptions(label_mode=None))
        assert (error.code, error.param) == ("invalid_value", f"x.{kind}:1")
    lists = {"text": ["a", "b", "c"], "labels": [["y", "x"], [], ["x"]]}
    built = take(WRITERS[kind](lists), f"x.{kind}", options=IntakeOptions(label_mode=None))
    assert [list(one.names) for one in built.examples] == [["x", "y"], [], ["x"]]


def labelled(labels: Sequence[Any], splits: Sequence[str] = ()) -> Table:
    told: Table = {"text": [f"text {at} of {len(labels)}" for at in range(len(labels))]}
    return {**told, "label": labels, **({"split": splits} if splits else {})}


@every_table
@pytest.mark.parametrize(
    ("labels", "splits"),
    [
        ([0, 1, 0, 1, -1, -1], ["train"] * 3 + ["val"] + ["test"] * 2),
        ([1, 2, 1, 2, -1, -1], ["train"] * 4 + ["test"] * 2),
        ([0, 1, 2, -1, -1, 2], ()),
        ([1, -1, 3, -1], ()),
    ],
)
def test_minus_one_beside_numbers_of_classes_is_no_label(
    take: Take, kind: str, labels: list[int], splits: list[str]
) -> None:
    built = taken(take, kind, labelled(labels, splits))
    assert [one.label for one in built.examples] == [str(one) for one in labels if one >= 0]
    (problem,) = (one for one in built.problems if one.code == "unlabelled")
    assert problem.message.startswith("2 example(s) have the label -1")
    assert problem.excluded


@every_table
@pytest.mark.parametrize(
    ("labels", "splits"),
    [
        ([-1, 0, 1, -1], ()),
        ([-1, 1, -1, 1], ["train", "train", "test", "test"]),
        ([0, 1, -1, 0], ["train", "train", "test", "test"]),
        ([-2, -1, 0, 1, 2], ()),
        ([-1, 2, 3, 4], ()),
        (["-1", "pos", "neg", "2"], ()),
    ],
)
def test_minus_one_beside_other_labels_is_one(
    take: Take, kind: str, labels: list[Any], splits: list[str]
) -> None:
    built = taken(take, kind, labelled(labels, splits))
    assert [one.label for one in built.examples] == [str(one) for one in labels]


def test_minus_one_of_pictures_is_told_by_where_it_stands(take: Take) -> None:
    files = {f"images/{at}.png": png(at) for at in range(6)}
    rows = "".join(f"images/{at}.png,{label}\n" for at, label in enumerate([0, 1, 2, 0, -1, -1]))
    built = take(zipped({**files, "metadata.csv": f"path,label\n{rows}".encode()}))
    assert [one.label for one in built.examples] == ["0", "1", "2", "0"]
    folders = {f"{label}/{label}{at}.png": png(at + 9) for at, label in enumerate((0, 1, 2, -1))}
    assert {one.label for one in take(zipped(folders)).examples} == {"0", "1", "2", "-1"}


def test_minus_one_of_a_table_of_its_own_is_no_label(take: Take) -> None:
    train = as_csv(labelled([0, 1, 0, 1]))
    test = as_jsonl({"text": ["one", "two"], "label": [-1, -1]})
    built = take(zipped({"train.csv": train, "test.jsonl": test}))
    assert {one.split for one in built.examples} == {"train"}
    assert [one.code for one in built.problems] == ["unlabelled"]


@every_table
@pytest.mark.parametrize(
    ("text", "second"),
    [("text", "text_pair"), ("sentence1", "sentence2"), ("question", "Question2")],
)
def test_the_second_text_of_a_pair_is_told_to_be_unread(
    take: Take, kind: str, text: str, second: str
) -> None:
    table = {text: list("abcd"), second: list("wxyz"), "label": list("xyxy")}
    built = taken(take, kind, table)
    (said,) = (one for one in built.problems if one.code == "column_unread")
    assert said.message.startswith(f"not read: `{second}`; one text an example is, here `{text}`")
    assert not said.excluded


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx"])
def test_any_column_of_sentences_is_told_to_be_unread(take: Take, kind: str) -> None:
    spoken = [
        f"the {one} thing that was said of it" for one in ("first", "second", "third", "last")
    ]
    table = {
        **FOUR,
        "remark": spoken,
        "site": ["a b c d", "e"] * 2,
        "url": list("wxyz"),
    }
    assert [one.partition(";")[0] for one in told(taken(take, kind, table))] == [
        "not read: `remark`",
        "not read: `site`",
    ]
    options = IntakeOptions(labelled=False)
    assert told(take(WRITERS[kind](table), f"x.{kind}", options=options)) == []
