"""Tables of texts whose first row is an example: no row has the columns' names."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from openpyxl import Workbook

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from app.uploads.intake.limits import FormerReading
from tests.archives import zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
TEXTS = [f"what the card, number {number}, is for" for number in range(12)]
LABELS = ["lost", "rate", "lost"] * 4
NONE = IntakeOptions(header="none")


def lines(mark: str, *, label_first: bool = False) -> bytes:
    pairs = zip(LABELS, TEXTS, strict=True) if label_first else zip(TEXTS, LABELS, strict=True)
    return "".join(f"{one}{mark}{other}\n" for one, other in pairs).encode()


def quoted() -> bytes:
    return "".join(
        f'"{label}","{text}"\n' for label, text in zip(LABELS, TEXTS, strict=True)
    ).encode()


def workbook(rows: list[tuple[str, ...]]) -> bytes:
    book, out = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def told(built: Built) -> list[tuple[str, str]]:
    packed = built.pack_path.read_bytes()
    return [
        (packed[one.offset : one.offset + one.length].decode(), one.label) for one in built.examples
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("train.csv", quoted()),
        ("train.csv", lines(";")),
        ("train.tsv", lines("\t", label_first=True)),
        ("emotions.txt", lines(";")),
        ("sentences.txt", lines("\t")),
        ("SMSSpamCollection", lines("\t", label_first=True)),
        ("train.xlsx", workbook(list(zip(TEXTS, LABELS, strict=True)))),
    ],
)
def test_of_two_columns_the_first_row_is_an_example(take: Take, name: str, data: bytes) -> None:
    built = take(data, name)
    assert told(built) == list(zip(TEXTS, LABELS, strict=True))
    assert [one.code for one in built.problems] == ["column_assumed"]
    assert "its first row is an example, as its label 'lost' comes again" in (
        built.problems[0].message
    )


def test_texts_without_blanks_are_texts(take: Take) -> None:
    rows = [f"สวัสดีครับวันนี้อากาศดี{number},{label}" for number, label in enumerate(LABELS)]
    assert len(take("\n".join(rows).encode(), "th.csv").examples) == len(LABELS)


def test_splits_are_files_of_an_archive(take: Take) -> None:
    held = b"".join(lines(";").replace(b"number", b"kind").splitlines(keepends=True)[:6])
    built = take(zipped({"train.txt": lines(";"), "test.txt": held, "readme.md": b"of cards"}))
    assert [one.split for one in built.examples] == ["train"] * 12 + ["test"] * 6


@pytest.mark.parametrize(
    "header",
    [
        "text;label",  # called as they are read
        "rating;notes",  # called otherwise, and known
        "a;b",  # called as nothing is, but no label comes again
    ],
)
def test_names_stay_names(take: Take, refused: Refused, header: str) -> None:
    data = header.encode() + b"\n" + lines(";", label_first=header != "text;label")
    if header == "a;b":
        assert "with header=none it is an example" in refused(data, "train.csv").message
        return
    built = take(data, "train.csv")
    assert len(built.examples) == len(TEXTS)
    assert not any("its first row is an example" in one.message for one in built.problems)


@pytest.mark.parametrize(
    "rows",
    [
        [(label, f"img_{number}") for number, label in enumerate(LABELS)],  # no texts
        [(str(number), text) for number, text in enumerate(TEXTS)],  # no labels
        [(label, label) for label in LABELS],
    ],
)
def test_what_has_no_texts_or_no_labels_is_refused(
    refused: Refused, rows: list[tuple[str, str]]
) -> None:
    data = "".join(f"{one}\t{other}\n" for one, other in rows).encode()
    assert refused(data, "train.tsv").code == "schema_mismatch"


def test_more_columns_are_said_by_their_numbers(take: Take, refused: Refused) -> None:
    rows = zip(LABELS, TEXTS, strict=True)
    data = "".join(f'"{label}","a title: {text}","{text}"\n' for label, text in rows).encode()
    assert "header=none" in refused(data, "train.csv").message
    assert "with text_column" in refused(data, "train.csv", options=NONE).message
    options = IntakeOptions(header="none", columns={"label": "1", "text": "3"})
    assert told(take(data, "train.csv", options=options)) == list(zip(TEXTS, LABELS, strict=True))


def test_a_first_row_of_several_lines_is_whole(take: Take) -> None:
    data = b'"lost","my card\nis lost"\n' + quoted()
    assert told(take(data, "train.csv", options=NONE))[0] == ("my card\nis lost", "lost")


def test_a_row_like_the_numbers_is_no_header(take: Take) -> None:
    options = IntakeOptions(header="none", columns={"label": "1", "text": "2"})
    built = take(b"1,2\n2,1\n1,one more\n2,and this\n", "train.csv", options=options)
    assert [text for text, _ in told(built)] == ["2", "1", "one more", "and this"]


def test_names_are_heeded_where_they_are_said_to_be(refused: Refused) -> None:
    error = refused(quoted(), "train.csv", options=IntakeOptions(header="names"))
    assert "the header has no `label`" in error.message


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", b'{"text": "a b", "label": "c"}\n{"text": "a d", "label": "e"}\n'),
        ("a.zip", zipped({"cat/1.txt": b"a b", "dog/1.txt": b"c d"})),
    ],
)
def test_nothing_that_is_said_is_ignored(refused: Refused, name: str, data: bytes) -> None:
    error = refused(data, name, options=NONE)
    assert (error.code, error.param) == ("schema_mismatch", "header")


def test_what_is_added_is_read_as_the_first_file(take: Take) -> None:
    rows = zip(LABELS, TEXTS, strict=True)
    data = "".join(f'"{label}","x","{text}"\n' for label, text in rows).encode()
    former = FormerReading(columns={"label": "1", "text": "3"}, header="none")
    assert len(take(data, "more.csv", options=IntakeOptions(former=former)).examples) == len(TEXTS)
    named = b"text,label\n" + b"".join(b"a text %d,lost\n" % n for n in range(3)) + b"b c,rate\n"
    assert len(take(named, "named.csv", options=IntakeOptions(former=former)).examples) == 4


def test_inputs_that_are_only_predicted_need_no_names(take: Take) -> None:
    options = IntakeOptions(labelled=False, header="none")
    built = take("\n".join(f'"{text}"' for text in TEXTS).encode(), "ask.csv", options=options)
    assert len(built.examples) == len(TEXTS)
