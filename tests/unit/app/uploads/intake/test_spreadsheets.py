"""Tables as spreadsheets, statistics programs and data sets write them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from openpyxl import Workbook

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions, Limits
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]
ROWS = [("card is lost", "lost"), ("my card, stolen", "lost"), ("what is\nthe rate", "rate")]


def said(built: Built) -> list[tuple[str, str]]:
    packed = built.pack_path.read_bytes()
    return [
        (packed[one.offset : one.offset + one.length].decode(), one.label) for one in built.examples
    ]


def codes(built: Built) -> list[str]:
    return [one.code for one in built.problems]


def as_csv(mark: str = ",", end: str = "\r\n", extra: str = "") -> str:
    lines = [f"text{mark}label{extra}"]
    lines += [f'"{text}"{mark}{label}{extra}' for text, label in ROWS]
    return end.join(lines) + end


@pytest.mark.parametrize(
    "data",
    [
        as_csv().encode("utf-8-sig"),
        as_csv(";").encode(),
        as_csv("|", "\n").encode(),
        ("sep=;\r\n" + as_csv(";")).encode(),
        ("sep=;\r\n" + as_csv(";")).encode("utf-16"),
        b"\xef\xbb\xbf" + as_csv().encode("utf-8-sig"),
        ('"sep=|"\r\n' + as_csv("|")).encode(),
        as_csv("\t").encode("utf-16"),
        b"\xfe\xff" + as_csv("\t").encode("utf-16-be"),
        as_csv(end="\n").encode("utf-16-le"),
        as_csv(end="\n").encode("utf-16-be"),
        as_csv(end="\r").encode(),
        as_csv(extra=",,,").encode(),
        (as_csv() + ",\r\n , \r\n\r\n").encode(),
        (as_csv(extra=";;", mark=";") + ";;;\r\n").encode(),
        as_csv().replace("label\r\n", "label,\r\n").encode(),
        (",,\r\n\r\n" + as_csv()).encode(),
    ],
)
def test_what_spreadsheets_write(take: Take, data: bytes) -> None:
    built = take(data, "x.csv")
    assert said(built) == ROWS
    assert codes(built) == []


def test_cells_beyond_the_header_are_not_dropped(refused: Refused) -> None:
    data = b"text,label,,\nhello, world,pos,\nbye,neg,,\n"
    error = refused(data, "x.csv")
    assert (error.code, error.param) == ("schema_mismatch", "x.csv:2")


@pytest.mark.parametrize("data", [b"text,label\n", b"text,label\r\n,\r\n", b"[]", b"text\tlabel"])
def test_a_table_without_rows_says_so(refused: Refused, data: bytes) -> None:
    error = refused(data, "x.json" if data == b"[]" else "x.csv")
    assert error.code == "empty_dataset"
    assert "no row" in error.message
    assert "folder" not in error.message


def test_bytes_that_are_not_utf_8_are_named_with_what_they_may_be(
    refused: Refused, take: Take
) -> None:
    data = "text,label\ncafé fermé,ja\nno,nee\n".encode("windows-1252")
    error = refused(data, "x.csv")
    assert (error.code, error.param) == ("encoding", "x.csv:2")
    assert "'café fermé,ja' in windows-1252" in error.message
    assert "café fermé" in error.message
    error = refused(b"text,label\na\x81,b\n", "x.csv")
    assert "Windows-1252" not in error.message
    wrong = refused(data, "x.csv", options=IntakeOptions(encoding="gb18030"))
    assert wrong.code == "encoding"
    built = take(data, "x.csv", options=IntakeOptions(encoding="windows-1252"))
    assert said(built)[0] == ("café fermé", "ja")


class TestTabs:
    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (
                ['"Great movie\tpos', "bad\tneg", 'ends here"\tpos'],
                ['"Great movie', "bad", 'ends here"'],
            ),
            (['"Great" movie\tpos', 'a "b" c\tneg'], ['"Great" movie', 'a "b" c']),
            (['"a\tb"\tpos', '"say ""no"""\tneg'], ["a\tb", 'say "no"']),
            (['"two\nlines"\tpos', "b\tneg"], ["two\nlines", "b"]),
            (["it's 5\" wide\tpos", "b\tneg"], ["it's 5\" wide", "b"]),
        ],
    )
    def test_quotes_are_text_unless_they_close(
        self, take: Take, lines: list[str], expected: list[str]
    ) -> None:
        data = "\n".join(["text\tlabel", *lines, ""]).encode()
        built = take(data, "x.tsv")
        assert [text for text, _ in said(built)] == expected
        assert codes(built) == []

    def test_rows_that_are_joined_all_the_same_are_told(self, take: Take) -> None:
        data = b'text\tlabel\n"broken\nfull\tpos\nlast"\tneg\nx\tpos\n'
        built = take(data, "x.tsv")
        assert len(built.examples) == 2
        assert codes(built) == ["rows_joined"]

    def test_a_mark_that_nothing_closes_is_refused(self, refused: Refused) -> None:
        error = refused(b'text\tlabel\na\tpos\nb\tneg\n"broken\n', "x.tsv")
        assert (error.code, error.param) == ("schema_mismatch", "x.tsv:4")


def test_rows_that_an_open_mark_swallows_are_told(take: Take) -> None:
    data = b'text,label\n"Great movie,pos\nbad,neg\nends here",pos\nnice,neg\nx,pos\n'
    built = take(data, "x.csv")
    assert len(built.examples) == 3
    told = built.problems[0]
    assert (told.code, told.excluded) == ("rows_joined", False)
    assert "2 line(s)" in told.message
    assert "row 2" in told.message


class TestColumns:
    @pytest.mark.parametrize(
        ("text", "label"),
        [("Review", "Sentiment"), ("SENTENCE", "y"), ("utterance", "intent"), ("body", "Tag")],
    )
    def test_usual_names_are_taken_and_told(self, take: Take, text: str, label: str) -> None:
        built = take(f"id,{text},{label}\n1,a,x\n2,b,y\n".encode(), "x.csv")
        assert said(built) == [("a", "x"), ("b", "y")]
        assert codes(built) == ["column_assumed"] * 2
        assert f"`{label}`" in "".join(one.message for one in built.problems)

    def test_our_own_names_come_first(self, take: Take) -> None:
        built = take(b"content,Text,category,LABEL\nn,a,k,x\nn,b,k,y\n", "x.csv")
        assert said(built) == [("a", "x"), ("b", "y")]
        assert codes(built) == []

    def test_several_that_may_be_meant_are_named(self, refused: Refused, take: Take) -> None:
        data = b"text,intent,category\na,x,k\nb,y,l\n"
        error = refused(data, "x.csv")
        assert error.code == "schema_mismatch"
        assert "`intent`, `category`" in error.message
        assert "label_column" in error.message
        chosen = IntakeOptions(columns={"label": "Category"})
        assert said(take(data, "x.csv", options=chosen)) == [("a", "k"), ("b", "l")]

    def test_any_column_can_be_chosen(self, take: Take, refused: Refused) -> None:
        data = b"t,l,text,shop,part\na,x,no,s1,train\nb,y,no,s2,test\nc,y,no,s2,train\n"
        error = refused(data, "x.csv", options=IntakeOptions(columns={"label": "nope"}))
        assert (error.code, error.param) == ("schema_mismatch", "label_column")
        assert "shop" in error.message
        columns = {"text": "t", "label": "l", "group": "shop", "split": "part"}
        built = take(data, "x.csv", options=IntakeOptions(columns=columns))
        assert said(built) == [("a", "x"), ("b", "y"), ("c", "y")]
        assert [one.group for one in built.examples] == ["s1", "s2", "s2"]
        assert [one.split for one in built.examples] == ["train", "test", "train"]

    def test_a_label_column_of_measurements_or_ids_is_told(self, take: Take) -> None:
        rows = [f"text {n},{n}.{n}5" for n in range(8)]
        assert codes(take("\n".join(["text,label", *rows]).encode(), "x.csv")) == [
            "labels_doubtful"
        ]
        rows = [f"text {n},u-{n}" for n in range(30)]
        assert codes(take("\n".join(["text,label", *rows]).encode(), "x.csv")) == [
            "labels_doubtful"
        ]
        rows = [f"text {n},{n % 5}" for n in range(30)]
        assert codes(take("\n".join(["text,label", *rows]).encode(), "x.csv")) == []


def workbook(rows: list[list[Any]], *, more: int = 0) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for number in range(more):
        book.create_sheet(f"more {number}").append(["text", "label"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


class TestWorkbooks:
    def test_the_first_sheet_is_a_table(self, take: Take) -> None:
        rows = [["text", "label", None], *map(list, ROWS), [None, None], ["", ""]]
        for name in ("x.xlsx", "x.xlsm"):
            built = take(workbook(rows), name)
            assert said(built) == ROWS
            assert codes(built) == []
        assert built.examples[0].path == "x.xlsm:2"

    def test_other_sheets_are_told(self, take: Take) -> None:
        built = take(workbook([["text", "label"], *map(list, ROWS)], more=2), "x.xlsx")
        assert codes(built) == ["unsupported_member"]
        assert "of 3" in built.problems[0].message

    def test_numbers_and_truth_are_as_a_csv_has_them(self, take: Take) -> None:
        built = take(workbook([["text", "label"], ["a", 1], ["b", 2.0], ["c", True]]), "x.xlsx")
        assert [label for _, label in said(built)] == ["1", "2", "true"]

    def test_formulas_count_by_their_value(self, refused: Refused) -> None:
        error = refused(workbook([["text", "label"], ["a", '="x"'], ["b", "y"]]), "x.xlsx")
        told = [(one["code"], one["param"]) for one in error.extra["errors"]]
        assert told == [("invalid_value", "x.xlsx:2")]  # not computed

    def test_what_is_no_workbook_is_refused(self, refused: Refused) -> None:
        good = workbook([["text", "label"], ["a", "x"], ["b", "y"]])
        for data in (good[: len(good) // 2], b"PK\3\4" + b"x" * 100, b"text,label\na,b\n"):
            error = refused(data, "x.xlsx")
            assert error.code == "archive_corrupt"
            assert "Excel workbook" in error.message
            assert "save it as CSV" in error.message
        assert refused(workbook([]), "x.xlsx").code in ("schema_mismatch", "empty_dataset")
        old = refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "x.xls")
        assert "old Excel workbook" in old.message
        other = refused(good, "x.ods")
        assert "OpenDocument" in other.message

    def test_a_workbook_that_unpacks_to_too_much_stays_in_the_child(self, refused: Refused) -> None:
        rows: list[list[Any]] = [["text", "label"]] + [[f"t{n}", "x"] for n in range(2000)]
        few = IntakeOptions(limits=Limits(entries=100))
        assert refused(workbook(rows), "x.xlsx", options=few).code == "too_many_entries"
        small = IntakeOptions(limits=Limits(unpacked_bytes=10_000))
        assert refused(workbook(rows), "x.xlsx", options=small).code == "archive_bomb"


def test_a_quotation_mark_that_is_never_closed_is_named(refused: Refused) -> None:
    error = refused(b'text,label\na,x\n"b,y\nc,x\n', "x.csv")
    assert (error.code, error.param) == ("schema_mismatch", "x.csv:3")
    assert "never closed" in error.message


def with_part(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one of its files changed."""
    told = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as before, ZipFile(told, "w", ZIP_DEFLATED) as after:
        for part in before.namelist():
            content = before.read(part)
            after.writestr(part, change(content) if part.endswith(name) else content)
    return told.getvalue()


def test_one_cell_far_away_costs_nothing(take: Take) -> None:
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    data = with_part(
        workbook([["text", "label"], *map(list, ROWS)]),
        "sheet1.xml",
        lambda sheet: sheet.replace(b"</sheetData>", far),
    )
    options = IntakeOptions(limits=Limits(child_seconds=5))
    assert said(take(data, "x.xlsx", options=options)) == ROWS


def test_a_part_that_unpacks_to_hundreds_of_times_its_size_is_not_read(refused: Refused) -> None:
    rows = [["text", "label"], *map(list, ROWS)]
    data = with_part(workbook(rows), "styles.xml", lambda text: text + b" " * 5_000_000)
    error = refused(data, "x.xlsx")
    assert (error.code, "styles.xml" in error.message) == ("archive_bomb", True)


def saved(*rows: tuple[object, ...], hidden: bool = False) -> bytes:
    """A workbook as openpyxl writes it, formulas without their values; `hidden` puts a sheet that
    is not shown before it."""
    book, out = Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    if hidden:
        other = book.create_sheet("old", 0)
        other.append(("text", "label"))
        other.append(("an old text", "old"))
        other.sheet_state = "hidden"
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize("column", ["label", "text"])
def test_a_formula_that_has_no_value_is_named(refused: Refused, column: str) -> None:
    formula = '=IF(C2>5,"high","low")'
    row = ("a text", formula, 7) if column == "label" else (formula, "high", 7)
    error = refused(saved(("text", "label", "n"), ("b", "low", 1), row), "x.xlsx")
    assert error.code == "invalid_value"
    assert error.param == "x.xlsx:3"
    assert "never been computed" in error.message


def test_a_formula_in_a_column_that_is_not_read_is_nobodys_business(take: Take) -> None:
    rows = [("text", "label", "n"), ("b", "low", "=1+1"), ("c", "high", "=1+2")]
    assert said(take(saved(*rows), "x.xlsx")) == [("b", "low"), ("c", "high")]


def test_a_hidden_sheet_is_passed_over(take: Take) -> None:
    rows = [("text", "label"), ("b", "low"), ("c", "high")]
    built = take(saved(*rows, hidden=True), "x.xlsx")
    assert said(built) == rows[1:]
    assert any("that is not hidden, 'Sheet', of 2" in one.message for one in built.problems)


def sheet(change: Callable[[Any], None], *rows: tuple[object, ...]) -> bytes:
    """A workbook of these rows, after somebody has changed its sheet."""
    book, out = Workbook(), io.BytesIO()
    for row in (("text", "label"), *rows):
        book.active.append(row)
    change(book.active)
    book.save(out)
    return out.getvalue()


def test_merged_cells_count_in_each_of_their_rows(take: Take) -> None:
    def merge(cells: Any) -> None:
        cells.merge_cells("B2:B4")
        cells.merge_cells("B5:B6")
        cells.merge_cells("A9:A12")  # beyond what is written

    texts = [(f"text {number}", "good" if number == 0 else None) for number in range(3)]
    texts += [("text 3", "bad"), ("text 4", None)]
    built = take(sheet(merge, *texts), "x.xlsx")
    assert [label for _, label in said(built)] == ["good"] * 3 + ["bad"] * 2
    assert any("3 range(s) of merged cells" in one.message for one in built.problems)


def test_merged_cells_beside_each_other_are_no_rows(take: Take) -> None:
    rows = [("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")]
    built = take(sheet(lambda cells: cells.merge_cells("D1:F1"), *rows), "x.xlsx")
    assert said(built) == rows
    assert not any("merged" in one.message for one in built.problems)


@pytest.mark.parametrize(
    ("number", "code", "shown"),
    [
        (1, "000", "001"),
        (0.05, "0%", "5%"),
        (0.125, "0.0%", "12.5%"),
        (2, '"Class "0', "Class 2"),
        (3, '0" mm"', "3 mm"),
        (1.5, "000", "1.5"),
        (-1, "000", "-1"),
        (4, "General", "4"),
        (4.25, "0.0", "4.25"),
        (1234, "#,##0", "1234"),
    ],
)
def test_numbers_are_read_as_they_are_shown_where_that_says_more(
    take: Take, number: float, code: str, shown: str
) -> None:
    def shape(cells: Any) -> None:
        for row in range(2, 6):
            cells.cell(row, 2).number_format = code

    rows = [("a", number), ("b", number), ("c", 9), ("d", 9)]
    assert said(take(sheet(shape, *rows), "x.xlsx"))[:2] == [("a", shown), ("b", shown)]


def test_what_is_hidden_is_read_and_told(take: Take) -> None:
    def hide(cells: Any) -> None:
        cells.row_dimensions[3].hidden = True
        cells.row_dimensions[4].hidden = True
        cells.column_dimensions["A"].hidden = True

    rows = [("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")]
    built = take(sheet(hide, *rows), "x.xlsx")
    assert said(built) == rows
    told = " ".join(one.message for one in built.problems)
    assert "2 hidden row(s) are read, too" in told
    assert "1 hidden column(s) are read, too" in told
