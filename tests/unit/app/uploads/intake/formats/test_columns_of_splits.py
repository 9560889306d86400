"""A column whose values are splits' words and nothing else is told, whatever it is called."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
PICTURES = {f"images/{at}.png": png(at) for at in range(6)}


def archive(column: str, words: tuple[str, str]) -> bytes:
    rows = "".join(f"{at}.png,{'ab'[at % 2]},{words[at > 3]}\n" for at in range(6))
    return zipped({**PICTURES, "labels.csv": f"file_name,label,{column}\n{rows}".encode()})


def unread(built: Built) -> list[str]:
    return [one.message for one in built.problems if one.code == "column_unread"]


@pytest.mark.parametrize("column", ["Dataset_type", "stage", "mode"])
@pytest.mark.parametrize("words", [("TRAIN", "TEST"), ("train", "val"), ("training", "")])
def test_it_is_named_and_split_column_reads_it(
    take: Take, column: str, words: tuple[str, str]
) -> None:
    (told,) = unread(take(archive(column, words)))
    assert f"`{column}`" in told
    assert "split_column" in told
    if not words[1]:
        return
    built = take(archive(column, words), options=IntakeOptions(columns={"split": column}))
    assert not unread(built)
    held = "val" if words[1] == "val" else "test"
    assert sorted(one.split for one in built.examples) == sorted(["train"] * 4 + [held] * 2)


@pytest.mark.parametrize("words", [("TRAIN", "spare"), ("dog", "test"), ("", "")])
def test_one_that_says_other_things_is_not(take: Take, words: tuple[str, str]) -> None:
    assert unread(take(archive("stage", words))) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        *((name, ("0", "1")) for name in ("fold", "test", "set", "valid")),
        *(("is_valid", (one, "1")) for one in ("1", "1.0")),
        *((name, ("0", "2")) for name in ("partition", "subset")),
        ("train", ("True", "False")),
        ("Train", ("yes", "no")),
        ("fold", ("1", "5")),
    ],
)
def test_a_mark_of_what_is_held_out_is_told_beside_a_label(
    take: Take, column: str, words: tuple[str, str]
) -> None:
    rows = [f"the text {at},{'ab'[at % 2]},{words[at > 3]}" for at in range(6)]
    table = "\n".join([f"text,label,{column}", *rows]).encode()
    for built in (take(table, "x.csv"), take(archive(column, words))):
        assert any(f"`{column}`" in told and "held out" in told for told in unread(built))


TABLE = [f"the text {at},{'ab'[at % 2]}" for at in range(6)]


def split_by(take: Take, header: str, rows: list[str]) -> list[list[str | None]]:
    """The splits that the first four rows and the last two have, of texts and of pictures."""
    texts = take("\n".join([f"text,label,{header}", *rows]).encode(), "x.csv")
    named = [f"{at}.png{row[row.index(',') :]}" for at, row in enumerate(rows)]
    table = "\n".join([f"file_name,label,{header}", *named]).encode()
    pictures = take(zipped({**PICTURES, "labels.csv": table}))
    found = []
    for built in (texts, pictures):
        splits = [one.split for one in built.examples]
        assert len(set(splits[:4])) == len(set(splits[4:])) == 1
        assert any(one.code == "column_assumed" and "held out" in one.message
                   for one in built.problems)  # fmt: skip
        found.append([splits[0], splits[4]])
    return found


@pytest.mark.parametrize(
    ("no", "yes"),
    [("0", "1"), ("False", "True"), ("no", "YES"), ("n", "y"), ("0.0", "1.0"), ("f", "t")],
)
@pytest.mark.parametrize(
    ("column", "split"),
    [
        ("is_valid", "val"), ("IS_VAL", "val"), ("in validation", "val"),
        ("is_test", "test"), ("holdout", "test"), ("held-out", "test"), ("for_testing", "test"),
    ],
)  # fmt: skip
def test_a_column_that_says_what_is_held_out_is_read(
    take: Take, column: str, split: str, no: str, yes: str
) -> None:
    rows = [f"{row},{yes if at > 3 else no}" for at, row in enumerate(TABLE)]
    assert split_by(take, column, rows) == [["train", split]] * 2


@pytest.mark.parametrize("column", ["is_train", "in_train", "for training"])
def test_a_column_that_says_what_is_trained_on_is_read(take: Take, column: str) -> None:
    rows = [f"{row},{at < 4}" for at, row in enumerate(TABLE)]
    assert split_by(take, column, rows) == [["train", "test"]] * 2


@pytest.mark.parametrize("columns", ["train,val", "train,valid", "is_train,is_val"])
def test_columns_of_several_splits_are_read_together(take: Take, columns: str) -> None:
    rows = [f"{row},{int(at < 4)},{int(at > 3)}" for at, row in enumerate(TABLE)]
    assert split_by(take, columns, rows) == [["train", "val"]] * 2


@pytest.mark.parametrize("columns", ["is_train,is_test", "train,valid", "is_test,is_val"])
def test_columns_that_contradict_each_other_are_told(take: Take, columns: str) -> None:
    rows = [f"{row},1,1" for row in TABLE]
    built = take("\n".join([f"text,label,{columns}", *rows]).encode(), "x.csv")
    assert not built.names_splits
    assert unread(built)


def test_a_blank_cell_says_nothing(take: Take) -> None:
    rows = [f"{row},{('', '0', '1')[at % 3]}" for at, row in enumerate(TABLE)]
    built = take("\n".join(["text,label,is_test", *rows]).encode(), "x.csv")
    assert [one.split for one in built.examples] == ["train", "train", "test"] * 2


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "xlsx"])
def test_it_is_so_in_every_table(take: Take, kind: str) -> None:
    rows = [{"text": f"the text {at}", "label": "ab"[at % 2], "is_test": at > 3} for at in range(6)]
    out = io.BytesIO()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), out)
    elif kind == "xlsx":
        book = openpyxl.Workbook()
        for cells in [list(rows[0]), *(list(row.values()) for row in rows)]:
            book.active.append(cells)
        book.save(out)
    else:
        out.write("\n".join(map(json.dumps, rows)).encode())
    built = take(out.getvalue(), f"x.{kind}")
    assert [one.split for one in built.examples] == ["train"] * 4 + ["test"] * 2


def late(column: str, cell: str) -> bytes:
    """A table whose last rows have what the first thousand do not."""
    rows = [f"the text {at},{'ab'[at % 2]},{0 if at < 1100 else cell}" for at in range(3000)]
    return "\n".join([f"text,label,{column}", *rows]).encode()


def test_what_is_mostly_valid_marks_what_is_good(refused: Refused, take: Take) -> None:
    assert refused(late("is_valid", "1"), "x.csv").code == "schema_mismatch"
    assert take(late("is_test", "1"), "x.csv").names_splits


def test_a_row_that_says_neither_is_refused(refused: Refused) -> None:
    error = refused(late("is_test", "perhaps"), "x.csv")
    assert error.code == "invalid_value"
    assert "`is_test` is 'perhaps'" in error.message


@pytest.mark.parametrize("column", ["is_test", "holdout", "fold", "set"])
def test_it_is_no_class_beside_others(take: Take, column: str) -> None:
    rows = [f"the text {at},{at % 2},{int(at % 3 == 0)},{int(at > 5)}" for at in range(8)]
    built = take("\n".join([f"text,spam,toxic,{column}", *rows]).encode(), "x.csv",
                 options=IntakeOptions(label_mode=None))  # fmt: skip
    assert {name for one in built.examples for name in one.names} == {"spam", "toxic"}
    assert any(f"`{column}`" in one.message for one in built.problems)


def test_a_class_that_is_called_train_is_one(take: Take) -> None:
    rows = [f"the text {at},{at % 2},{int(at % 3 == 0)}" for at in range(8)]
    built = take("\n".join(["text,car,train", *rows]).encode(), "x.csv",
                 options=IntakeOptions(label_mode=None))  # fmt: skip
    assert {name for one in built.examples for name in one.names} == {"car", "train"}
    assert not unread(built)
