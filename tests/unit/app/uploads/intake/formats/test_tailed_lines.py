"""`the text@label`, as the Financial PhraseBank is published, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
SAID = [
    ("Sales rose to EUR 13.1 mn from EUR 9.1 mn .", "positive"),
    ("The firm, as said @ the meeting, has no plans .", "neutral"),
    ("Profit fell by 10 % in the quarter .", "negative"),
    ("Nokian tyres closed at \u20ac 5.1 .", "neutral"),
    ("Orders were above those of last year .", "positive"),
    ("It will cut 40 jobs .", "negative"),
]
LINES = "".join(f"{text}@{label}\r\n" for text, label in SAID)
LATIN = LINES.replace("\u20ac", "\u00a3")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (LINES.encode(), "Sentences_50Agree.txt"),
        (LINES.encode(), "upload"),
        (zipped({"bank/Sentences_50Agree.txt": LINES.encode()}), "x.zip"),
    ],
)
def test_it_is_read(take: Take, data: bytes, name: str) -> None:
    built = take(data, name)
    packed = built.pack_path.read_bytes()
    cut = [packed[one.offset : one.offset + one.length].decode() for one in built.examples]
    assert list(zip(cut, [one.label for one in built.examples], strict=True)) == SAID


def test_in_another_encoding_it_is_read_as_the_form_says(take: Take, refused: Refused) -> None:
    data = LATIN.encode("latin-1")
    assert refused(data, "Sentences_50Agree.txt").code == "encoding"
    built = take(data, "Sentences_50Agree.txt", options=IntakeOptions(encoding="latin-1"))
    assert len(built.examples) == len(SAID)
    assert "\u00a3".encode() in built.pack_path.read_bytes()


def test_a_line_without_a_label_is_named(refused: Refused) -> None:
    filler = "".join(f"{text} again and again @{label}\n" for text, label in SAID * 100)
    error = refused((filler + "no label here\n").encode(), "x.txt")
    assert error.code == "invalid_value"
    assert "row 601" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"user{at}@example\n" for at in range(9)),
        "".join(f"thanks for the fish @user{at}\n" for at in range(9)),
        "Sales rose to EUR 13.1 mn .@positive\nProfit fell by 10 % .\n" * 4,
    ],
)
def test_addresses_handles_and_plain_texts_are_not_taken_for_it(
    refused: Refused, text: str
) -> None:
    assert refused(text.encode(), "x.txt").code == "not_an_archive"


def test_a_table_whose_last_column_has_handles_stays_a_table(take: Take) -> None:
    rows = [f"{label},the film was so {label} by @bob" for label in ["good", "bad"] * 4]
    built = take("\n".join(["label,text", *rows]).encode(), "x.csv")
    assert {one.label for one in built.examples} == {"good", "bad"}
