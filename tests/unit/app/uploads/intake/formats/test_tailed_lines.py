"""`the text@label`, as the Financial PhraseBank is published, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import tarred, zipped
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


BANK = {"bank/Sentences_50Agree.txt": LINES.encode()}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (LINES.encode(), "Sentences_50Agree.txt"),
        (LINES.encode(), "upload"),
        (LINES.replace("@", " @ ").replace("said  @ ", "said @").encode(), "x.txt"),
        (zipped(BANK), "x.zip"),
        (zipped(BANK, method=0), "x.zip"),
        (zipped(BANK | {"bank/README.txt": b"of a bank"}), "x.zip"),
        (tarred(BANK), "x.tar"),
        (tarred(BANK, "w:gz"), "x.tgz"),
    ],
)
def test_it_is_read_and_told(take: Take, data: bytes, name: str) -> None:
    built = take(data, name)
    told = [one.message for one in built.problems if one.code == "column_assumed"]
    assert ["positive (2), neutral (2), negative (2)" in one for one in told] == [True]
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
    filler = "".join(f"{text} again and again@{label}\n" for text, label in SAID * 100)
    error = refused((filler + "no label here\n").encode(), "x.txt")
    assert error.code == "invalid_value"
    assert "row 601" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"user{at}@example\n" for at in range(9)),
        "".join(f"thanks for the fish @user{at}\n" for at in range(9)),
        "".join(f"thanks for the fish @user{at % 2}\n" for at in range(9)),
        "Sales rose to EUR 13.1 mn .@positive\nProfit fell by 10 % .\n" * 4,
        "# of a bank\n" + LINES,
    ],
)
def test_addresses_handles_and_plain_texts_are_not_taken_for_it(
    refused: Refused, text: str
) -> None:
    error = refused(text.encode(), "x.txt")
    assert error.code == "not_an_archive"
    assert "end in `@` and a word" in error.message


def test_labels_of_several_words_are_read(take: Take) -> None:
    text = LINES.replace("@positive", "@very positive")
    assert "very positive" in {one.label for one in take(text.encode(), "x.txt").examples}


def lines(name: str, behind: str) -> bytes:
    """Six lines of a text of the class `name`, the same labels behind them in all texts."""
    said = ("alice", "bob")
    return "".join(
        f"{name} please do this thing {at}{behind}{said[at % 2]}\n" for at in range(6)
    ).encode()


@pytest.mark.parametrize("behind", [" @", ".@", " __label__"])
@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("top", ["", "train/"])
@pytest.mark.parametrize("count", [1, 12])
def test_texts_of_class_folders_stay_texts(
    take: Take, behind: str, pack: Callable[..., bytes], top: str, count: int
) -> None:
    files = {
        f"{top}{name}/{at}.txt": lines(f"{name} {at}", behind)
        if at < count
        else f"{name} {at}, and no more".encode()
        for name in ("pos", "neg")
        for at in range(12)
    }
    files[f"{top}pos/0.txt"] = b"__label__x " + files[f"{top}pos/0.txt"]
    built = take(pack(files))
    assert len(built.examples) == 24
    assert {one.label for one in built.examples} == {"pos", "neg"}


def test_many_texts_of_one_class_are_no_tables(take: Take) -> None:
    files = {f"pos/{at}.txt": lines(str(at), ".@") for at in range(12)}
    built = take(zipped(files), options=IntakeOptions(minimum_classes=1))
    assert [one.label for one in built.examples] == ["pos"] * 12


def test_tables_that_are_called_by_splits_are_read_in_folders(take: Take) -> None:
    files = {f"{name}/{split}.txt": lines(name + split, ".@") for name in ("a", "b")
             for split in ("train", "test")}  # fmt: skip
    built = take(zipped(files))
    assert {(one.label, one.split) for one in built.examples} == {
        (label, split) for label in ("alice", "bob") for split in ("train", "test")
    }


def test_a_table_whose_last_column_has_handles_stays_a_table(take: Take) -> None:
    rows = [f"{label},the film was so {label} by @bob" for label in ["good", "bad"] * 4]
    built = take("\n".join(["label,text", *rows]).encode(), "x.csv")
    assert {one.label for one in built.examples} == {"good", "bad"}
