"""Tables that are several files, one behind the other: each brings its header, and its mark."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
FIRST = [("my card", "card"), ("the fee", "fee")]
SECOND = [("a card again", "card"), ("fees, fees", "fee")]
ALL = FIRST + SECOND
MARK = "\ufeff"


def lines(rows: Sequence[Sequence[str]], separator: str = ",") -> str:
    quoted = ((f'"{cell}"' if separator in cell else cell for cell in row) for row in rows)
    return "".join(separator.join(row) + "\n" for row in quoted)


def turned(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(label, text) for text, label in rows]


def joined(first: str, second: str, rows: Sequence[Sequence[str]], separator: str = ",") -> str:
    """Two tables with the headers `first` and `second`, the other one's `rows` below it."""
    return f"{first}\n{lines(FIRST, separator)}{second}\n{lines(rows, separator)}"


def texts(built: Built) -> list[tuple[str, str]]:
    packed = built.pack_path.read_bytes()
    return [
        (packed[one.offset : one.offset + one.length].decode(), one.label) for one in built.examples
    ]


def as_workbook(rows: Sequence[Sequence[str]]) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(list(row))
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (joined("text,label", "text,label", SECOND), "x.csv"),
        (joined(f"{MARK}text,label", f"{MARK}text,label", SECOND), "x.csv"),
        (joined("text,label", f'{MARK}"text","label"', SECOND), "x.csv"),
        (joined("text,label", "Text, LABEL", SECOND), "x.csv"),
        (joined("text,label", "text,label,,", SECOND), "x.csv"),
        (joined("text,label", "label,text", turned(SECOND)), "x.csv"),
        (joined("text,label", f"{MARK}Label,Text", turned(SECOND)), "x.csv"),
        (joined(f"{MARK}text\tlabel", f"{MARK}text\tlabel", SECOND, "\t"), "x.tsv"),
        (joined("text;label", "Text;Label", SECOND, ";"), "x.csv"),
    ],
)
def test_a_header_that_comes_again_is_left_out(take: Take, data: str, name: str) -> None:
    built = take(data.encode(), name)
    assert texts(built) == ALL
    assert [(one.code, one.path, one.excluded) for one in built.problems] == [
        ("invalid_value", f"{name}:4", True)
    ]
    assert "row 4 repeats the header" in built.problems[0].message


@pytest.mark.parametrize("again", [("text", "label"), ("Text ", "LABEL"), ("label", "text")])
def test_in_a_workbook_too(take: Take, again: tuple[str, str]) -> None:
    second = turned(SECOND) if again[0] == "label" else SECOND
    data = as_workbook([("text", "label"), *FIRST, again, *second])
    built = take(data, "x.xlsx")
    assert texts(built) == ALL
    assert [one.path for one in built.problems] == ["x.xlsx:4"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_files_with_their_own_marks(take: Take, encoding: str) -> None:
    parts = [f"text,label\n{lines(rows)}".encode(encoding) for rows in (FIRST, SECOND)]
    assert texts(take(b"".join(parts), "x.csv")) == ALL


def test_a_mark_without_a_header_is_no_part_of_a_cell(take: Take) -> None:
    data = f"text,label\n{lines(FIRST)}{MARK}{lines(SECOND)}"
    assert texts(take(data.encode(), "x.csv")) == ALL
    rows = turned(FIRST), turned(SECOND)
    data = f"label,text\n{lines(rows[0])}{MARK}{lines(rows[1])}"
    assert texts(take(data.encode(), "x.csv")) == ALL


def test_lines_of_json_with_a_mark_between_them(take: Take) -> None:
    parts = [
        MARK + "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
        for rows in (FIRST, SECOND)
    ]
    assert texts(take("".join(parts).encode(), "x.jsonl")) == ALL


def test_of_other_byte_orders_is_refused(refused: Refused) -> None:
    data = f"{MARK}text,label\n{lines(FIRST)}"
    error = refused(data.encode("utf-16-le") + data.encode("utf-16-be"), "x.csv")
    assert error.code == "encoding"
    assert "different orders" in error.message


@pytest.mark.parametrize("mark", ["", MARK])
def test_a_file_that_ends_within_its_last_line(take: Take, mark: str) -> None:
    data = f"text,label\n{lines(FIRST).rstrip()}{mark}text,label\n{lines(SECOND)}"
    built = take(data.encode(), "x.csv")
    assert texts(built) == ALL
    assert [one.code for one in built.problems] == ["column_assumed"]


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        ('{"text":"a","label":"x"}{"text":"b","label":"y"}', "x.jsonl", "a line end between them"),
        (f"text,label\na,x\nb,y{MARK}c,z\n", "x.csv", "a line end between them"),
        ("text,label\na,x\nid,text,label\n1,b,y\n", "x.csv", "another table's header"),
        ("id,text,label\n1,a,x\ntext,label\nb,y\n", "x.csv", "another table's header"),
    ],
)
def test_that_is_told_where_the_rows_are_not_clear(
    refused: Refused, data: str, name: str, said: str
) -> None:
    error = refused(data.encode(), name)
    assert error.code in ("invalid_json", "schema_mismatch")
    assert said in error.message


def test_headers_are_no_marks_of_classes(take: Take) -> None:
    again = "id,comment,toxic,rude\n1,a,1,0\n2,b,0,1\n"
    options = IntakeOptions(label_mode="multi_label")
    built = take((again + again.replace("a", "c").title()).encode(), "x.csv", options=options)
    assert [list(one.names) for one in built.examples] == [["toxic"], ["rude"]] * 2


def test_of_very_many_headers_the_last_are_counted(take: Take) -> None:
    parts = (f"text,label\n{n} card,card\n{n} fee,fee\n" for n in range(50))
    built = take("".join(parts).encode(), "x.csv")
    assert len(built.examples) == 100
    assert len(built.problems) == 20
    assert "and so do 29 more rows" in built.problems[-1].message


def test_a_table_of_pictures_has_them_too(take: Take) -> None:
    files = {f"{n}.png": png(n) for n in range(4)}
    table = "file,label\n0.png,a\n1.png,b\nFile,Label\n2.png,a\n3.png,b\n"
    built = take(zipped({**files, "labels.csv": table.encode()}))
    assert [one.label for one in built.examples] == ["a", "b"] * 2


@pytest.mark.parametrize("name", ["labels.txt", "labels.csv"])
@pytest.mark.parametrize("first", ["", MARK])
def test_lists_of_pictures_have_marks_too(take: Take, name: str, first: str) -> None:
    between = "," if name.endswith("csv") else " "
    parts = ("".join(f"{n}.png{between}{'ab'[n % 2]}\n" for n in some) for some in ((0, 1), (2, 3)))
    files = {f"{n}.png": png(n) for n in range(4)}
    built = take(zipped({**files, name: (first + MARK.join(parts)).encode()}))
    assert [one.label for one in built.examples] == ["a", "b"] * 2


def test_a_text_that_is_a_header_is_one_beside_other_cells(take: Take) -> None:
    built = take(b"text,label\ntext,card\nlabel,fee\n", "x.csv")
    assert texts(built) == [("text", "card"), ("label", "fee")]


@pytest.mark.parametrize("header", ["sentence,category", "Content,Intent"])
def test_another_header_is_told(take: Take, header: str) -> None:
    built = take(joined("text,label", header, SECOND).encode(), "x.csv")
    assert len(built.examples) == 5
    (told,) = (one for one in built.problems if one.code == "labels_doubtful")
    assert "row 4 says" in told.message
    assert header.split(",")[1] in told.message


def test_a_mark_within_quotation_marks_is_the_texts_own(take: Take) -> None:
    data = f'text,label\n"{MARK}one",card\n"two\n{MARK}three",fee\n{MARK}four,card\n'
    assert texts(take(data.encode(), "x.csv")) == [
        (f"{MARK}one", "card"),
        (f"two\n{MARK}three", "fee"),
        ("four", "card"),
    ]
