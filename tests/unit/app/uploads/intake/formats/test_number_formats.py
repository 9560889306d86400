"""What a workbook's number formats show: told where it is read, and where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.test_spreadsheets import said, sheet


def formatted(take: Take, code: str, numbers: tuple[float, float]) -> Built:
    def shape(cells: Any) -> None:
        for row in range(2, 6):
            cells.cell(row, 2).number_format = code

    return take(sheet(shape, *zip("abcd", [*numbers, *numbers], strict=True)), "x.xlsx")


def told(built: Built) -> list[str]:
    return [one.message for one in built.problems if one.code == "unsupported_member"]


@pytest.mark.parametrize(
    ("code", "numbers"),
    [("0%", (0.101, 0.104)), ("0.0%", (0.1001, 0.1004)), ('0.0" mm"', (1.21, 1.24))],
)
def test_numbers_that_are_shown_alike_stay_two_classes(
    take: Take, code: str, numbers: tuple[float, float]
) -> None:
    labels = {label for _, label in said(formatted(take, code, numbers))}
    assert labels == {str(one) for one in numbers}


@pytest.mark.parametrize("number", [0.07, 0.29, 0.57, 0.58, 1.1])
def test_a_share_that_binary_fractions_miss_is_shown(take: Take, number: float) -> None:
    built = formatted(take, "0%", (number, 0.5))
    assert {label for _, label in said(built)} == {f"{number:.0%}", "50%"}


@pytest.mark.parametrize("code", ["000", "0%", '"Grade "0'])
def test_what_is_read_as_it_is_shown_is_told(take: Take, code: str) -> None:
    (message,) = told(formatted(take, code, (1, 2)))
    assert f"`{code}` are read as it shows them" in message


@pytest.mark.parametrize("code", ['"yes";;"no"', '[=1]"pass";[=0]"fail";General'])
def test_words_that_are_not_read_are_told(take: Take, code: str) -> None:
    built = formatted(take, code, (1, 0))
    assert {label for _, label in said(built)} == {"1", "0"}
    (message,) = told(built)
    assert f"`{code}` show words" in message


ACCOUNTS = r'_-* #,##0.00\ "€"_-;\-* #,##0.00\ "€"_-;_-* "-"??\ "€"_-;_-@_-'


@pytest.mark.parametrize(
    ("code", "number", "shown"),
    [
        ('#,##0.00 "€"', 1234.5, "1,234.50 €"),
        ("#,##0.00 [$€-407]", 5, "5.00 €"),
        ("[$$-409]#,##0.00", 1234.5, "$1,234.50"),
        ("$#,##0", -1234, "-$1,234"),
        ("$#,##0_);($#,##0)", -1234, "($1,234)"),
        ("$#,##0_);[Red]($#,##0)", 1234, "$1,234"),
        (ACCOUNTS, 1234.5, "1,234.50 €"),
        (ACCOUNTS, -1234.5, "-1,234.50 €"),
        (ACCOUNTS, 0, "0"),
        ("0%", -0.5, "-50%"),
        ("0.0\\ %", 0.125, "12.5 %"),
        ("£0", 3, "£3"),
    ],
)
def test_a_number_is_what_a_person_sees(take: Take, code: str, number: float, shown: str) -> None:
    built = formatted(take, code, (number, 77))
    assert shown in {label for _, label in said(built)}
    (message,) = told(built)
    assert "are read as it shows them" in message


@pytest.mark.parametrize(
    "code", ["# ?/?", "#,##0", "#,##0.00", "0.00E+00", "000-0000", "0,", "[>100]0.0;0.00"]
)
def test_what_shows_numbers_otherwise_is_told(take: Take, code: str) -> None:
    built = formatted(take, code, (1, 2))
    assert {label for _, label in said(built)} == {"1", "2"}
    (message,) = told(built)
    assert f"`{code}` show numbers otherwise" in message


@pytest.mark.parametrize("code", ["yyyy-mm-dd", "d. mmm", "[$-F800]dddd, mmmm dd, yyyy"])
def test_a_date_is_one_without_a_time(take: Take, code: str) -> None:
    built = formatted(take, code, (45352, 45353.5))
    assert {label for _, label in said(built)} == {"2024-03-01", "2024-03-02T12:00:00"}


@pytest.mark.parametrize("code", ["General", "0.00", "0;[Red]-0", "@", "0.0##", "#"])
def test_other_formats_are_not(take: Take, code: str) -> None:
    assert told(formatted(take, code, (1, 2))) == []


def test_a_title_above_the_table_is_said_to_be_none_of_it(
    refused: Callable[..., HeadstartError],
) -> None:
    def title(cells: Any) -> None:
        cells.insert_rows(1)
        cells["A1"] = "Report"
        cells.merge_cells("A1:B1")

    error = refused(sheet(title, *zip("abcd", "xyxy", strict=True)), "x.xlsx")
    assert "without a title" in error.message
