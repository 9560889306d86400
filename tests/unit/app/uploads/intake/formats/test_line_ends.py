"""Lines that end in several ways, and quotation marks that are not closed where they should be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.formats.test_joined_files import texts

Refused = Callable[..., HeadstartError]


@pytest.mark.parametrize(
    "data",
    [
        b"text,label\na,x\rb,y\r\nc,x\n",
        b"text,label\r\na,x\rb,y\rc,x",
        b'text,label\n"a",x\r"b",y\r\n"c","x"\r',
    ],
)
def test_a_carriage_return_alone_ends_a_row(take: Take, data: bytes) -> None:
    assert texts(take(data, "x.csv")) == [("a", "x"), ("b", "y"), ("c", "x")]


def test_between_quotation_marks_it_is_a_part_of_the_text(take: Take) -> None:
    built = take(b'text,label\n"a\rb",x\nc,"y"\n', "x.csv")
    assert texts(built) == [("a\rb", "x"), ("c", "y")]


def test_within_a_cell_the_row_is_named(refused: Refused) -> None:
    error = refused(b"text,label\na\rb,x\nc,y\n", "x.csv")
    assert error.param == "x.csv:2"
    assert "it has 1 cells, the header 2" in error.message


def test_of_one_column_it_is_refused(refused: Refused) -> None:
    error = refused(b"text\na\rb\nc\n", "x.csv", options=IntakeOptions(labelled=False))
    assert error.param == "x.csv:2"
    assert "carriage return" in error.message


@pytest.mark.parametrize(
    ("data", "row", "said"),
    [
        ('text,label\na,x\nb,"y\nc,z\nd,"x"\n', 3, "written twice"),
        ('text,label\na,x\nb,"y\nc,z\nd,x"\n', 3, "`label` goes on in another line behind 'y'"),
        ('text,label\na,x\nb,"y\nc,z\nd,x\n', 3, "never closed"),
        ('text,label\na,x\n"b" and c,y\n', 3, "write a mark within the cell twice"),
    ],
)
def test_an_open_quotation_mark_is_named(refused: Refused, data: str, row: int, said: str) -> None:
    error = refused(data.encode(), "x.csv")
    assert error.param == f"x.csv:{row}"
    assert said.replace("written twice", "write a mark within the cell twice") in error.message


@pytest.mark.parametrize("column", ["group", "split"])
def test_in_other_columns_too(refused: Refused, column: str) -> None:
    error = refused(f'text,label,{column}\na,x,"y\nb,z,q"\n'.encode(), "x.csv")
    assert f"`{column}` goes on in another line" in error.message


@pytest.mark.parametrize("line", ["{'text': 'b'}", '{"text": "b"', "text", '{"text": }'])
def test_what_is_no_json_is_told_by_its_place_in_the_line(refused: Refused, line: str) -> None:
    error = refused(f'{{"text": "a", "label": "x"}}\n{line}\n'.encode(), "x.jsonl")
    assert (error.code, error.param) == ("invalid_json", "x.jsonl:2")
    assert "at character" in error.message
    assert "line 1" not in error.message
