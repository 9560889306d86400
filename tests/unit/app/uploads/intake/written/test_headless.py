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


@pytest.mark.parametrize("word", ["question", "sentiment", "category"])
def test_a_label_may_be_called_as_columns_are(take: Take, word: str) -> None:
    built = take(lines(";").replace(b"lost", word.encode()), "train.csv")
    assert {one.label for one in built.examples} == {word, "rate"}
    assert len(built.examples) == len(TEXTS)


@pytest.mark.parametrize("name", ["mail.csv", "mail.txt", "mail.tsv"])
@pytest.mark.parametrize("text", ["Mitteilung", "Review", "评论"])
def test_a_word_above_texts_may_be_a_name(refused: Refused, name: str, text: str) -> None:
    mark = "\t" if name.endswith("tsv") else ";"
    message = refused(f"{text}{mark}lost\n".encode() + lines(mark), name).message
    assert "label_column" in message
    assert "with header=none it is an example" in message


def test_a_word_among_words_is_a_text(take: Take) -> None:
    words = "apple kale banana leek cherry chard grape beet melon turnip plum carrot".split()
    said = [f"so sweet and so very round, the {word}" for word in words]
    rows = [f"{text};{LABELS[at % 2]}" for at, text in enumerate([*words, *said])]
    assert len(take("\n".join(rows).encode(), "food.csv").examples) == len(rows)


MARKED = (
    lines("\t", label_first=True)
    .replace(b"number 3", b'"number 3')
    .replace(b"\twhat the card, number 5", b'\t"what the card, number 5')
)


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "SMSSpamCollection"])
def test_a_mark_of_a_text_s_own_hides_no_table(take: Take, name: str) -> None:
    assert len(take(MARKED, name).examples) == len(TEXTS)


def test_a_line_too_many_is_told(refused: Refused) -> None:
    error = refused(lines(";") + b"one;two;three\n" + lines(";"), "a.txt")
    assert "it has 3 cells" in error.message


@pytest.mark.parametrize(
    "held",
    [
        lines(";").splitlines(keepends=True)[0].replace(b"number", b"kind"),
        b"no such word;new\nand another;newer\n",
        b'"so he said;lost\nand so on;rate\n',
    ],
)
@pytest.mark.parametrize("names", [("train.csv", "test.csv"), ("train.txt", "test.txt")])
def test_few_rows_are_read_as_the_table_beside_them(
    take: Take, names: tuple[str, str], held: bytes
) -> None:
    data = zipped(dict(zip(names, (lines(";"), held), strict=True)))
    built = take(data, "a.zip")
    if b'"' in held:
        assert "left out: test" in built.problems[-1].message
        assert "row 1: a quotation mark" in built.problems[-1].message
        return
    assert sum(one.split == "test" for one in built.examples) == held.count(b"\n")


@pytest.mark.parametrize(
    ("name", "beside", "taken"),
    [
        ("test.txt", b"lost\tone more of them\n", 1),
        ("b.txt", lines("\t", label_first=True).replace(b"number", b"kind"), 12),
        ("classes.txt", b"lost\tgone for good\nrate\tof exchange\n", 0),
        ("notes.txt", b"made in May,\tby us\nall of it,\tthat is\n", 0),
    ],
)
def test_lines_beside_a_table_are_rows_where_they_say_so(
    take: Take, name: str, beside: bytes, taken: int
) -> None:
    built = take(zipped({"a.txt": MARKED, name: beside}), "a.zip")
    assert len(built.examples) == len(TEXTS) + taken
    assert {one.label for one in built.examples} == {"lost", "rate"}


def test_what_is_added_is_read_as_the_first_file_was(take: Take) -> None:
    first = take(lines(";"), "train.csv")
    assert dict(first.assumed) == {"header": "none", "text_column": "1", "label_column": "2"}
    former = FormerReading(columns={"text": "1", "label": "2"}, header="none")
    options = IntakeOptions(former=former, minimum_classes=1)
    assert told(take(b"my card is gone;gone\n", "b.csv", options=options)) == [
        ("my card is gone", "gone")
    ]
    assert len(take(lines(";", label_first=True), "c.csv", options=options).examples) == 12


def test_other_names_are_no_example_of_what_is_added(refused: Refused) -> None:
    former = FormerReading(columns={"text": "1", "label": "2"}, header="none")
    options = IntakeOptions(former=former, minimum_classes=1)
    data = b"satz;klasse\nmy card is gone;gone\nit is not here;gone\n"
    assert "header=none" in refused(data, "b.csv", options=options).message


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
