"""Texts on their way in: CSV, JSONL, Parquet, and archives of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions, Limits, tables
from app.uploads.intake.built import Built
from app.uploads.intake.tables import columns
from tests.archives import tarred, zipped
from tests.unit.app.uploads.intake.conftest import Take

pytestmark = pytest.mark.slow

Refused = Callable[..., HeadstartError]


def texts(built: Built) -> list[tuple[str, str, str]]:
    """Text, label and split of each example, the text as it lies in the pack."""
    packed = built.pack_path.read_bytes()
    return [
        (packed[one.offset : one.offset + one.length].decode(), one.label, one.split)
        for one in built.examples
    ]


EXPECTED = [("good, café", "pos", "train"), ("bad\nand two lines", "neg", "train")]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ('text,label\n"good, café",pos\n"bad\nand two lines",neg\n'.encode(), "x.csv"),
        ('\ufefftext,label\r\n"good, café",pos\r\n"bad\nand two lines",neg'.encode(), "x.csv"),
        ('Label;Text;n\npos;"good, café";1\nneg;"bad\nand two lines";2\n'.encode(), "x.csv"),
        ('text\tlabel\ngood, café\tpos\n"bad\nand two lines"\tneg\n'.encode(), "x.tsv"),
        ('text,label\n"good, café",pos\n\n"bad\nand two lines",neg\n'.encode(), "no-name"),
    ],
)
def test_csv(take: Take, data: bytes, name: str) -> None:
    built = take(data, name)
    assert texts(built) == EXPECTED
    assert built.modality == "text"
    assert next(one.path for one in built.examples) == f"{name}:2"


@pytest.mark.parametrize(
    "lines",
    [
        [{"text": "good, café", "label": "pos"}, {"text": "bad\nand two lines", "label": "neg"}],
        [
            {"prompt": "good, café", "completion": " pos"},
            {"prompt": "bad\nand two lines", "completion": " neg\n"},
        ],
        [
            {
                "messages": [
                    {"role": "system", "content": "classify"},
                    {"role": "user", "content": "good, café"},
                    {"role": "assistant", "content": "pos"},
                ]
            },
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "bad"}]},
                    {"role": "user", "content": "and two lines"},
                    {"role": "assistant", "content": "neg"},
                ]
            },
        ],
    ],
    ids=["plain", "prompt", "chat"],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x"])
def test_jsonl(take: Take, lines: list[object], name: str) -> None:
    data = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    assert texts(take(data.encode(), name)) == EXPECTED


def test_groups_splits_and_numbers(take: Take) -> None:
    lines = [
        {"text": "one", "label": 1, "group": 7, "split": "train"},
        {"text": "two", "label": 2, "group": "", "split": None},
        {"text": "three", "label": 2, "split": "test"},
    ]
    built = take("\n".join(map(json.dumps, lines)).encode(), "x.jsonl")
    assert [(one.label, one.group, one.split) for one in built.examples] == [
        ("1", "7", "train"),
        ("2", None, "train"),
        ("2", None, "test"),
    ]


def test_rows_without_text_are_problems(take: Take) -> None:
    built = take(b"text,label\nx,a\n  ,a\ny,b\n", "x.csv")
    assert [(one.code, one.path, one.excluded) for one in built.problems] == [
        ("invalid_value", "x.csv:3", True)
    ]


@pytest.mark.parametrize(
    ("data", "expected", "row"),
    [
        (b"text,label\na,b\nc\n", "schema_mismatch", 3),
        (b"text,label\na,b,c\n", "schema_mismatch", 2),
        (b'text,label\n"a"b,c\n', "schema_mismatch", 2),
        (b"text,name\na,b\n", "schema_mismatch", 1),
        (b"words,label\na,b\n", "schema_mismatch", 1),
        (b"text,label,text\na,b,c\n", "schema_mismatch", 1),
        (b"just one line\n", "schema_mismatch", 1),
        (b"text,label\na,b\n\xff\xfe,c\n", "encoding", 3),
        ("text,label\ncaf\u00e9,b\n".encode("latin-1"), "encoding", 2),
        (b"text,label\na,b\nc\0d,e\n", "invalid_value", 3),
        (b"text,label\na,\x1b[1m\n", "invalid_value", 2),
        (b"text,label,split\na,b,later\n", "invalid_value", 2),
        (b"text,label\na," + b"l" * 10_000 + b"\n", "label_too_long", 2),
        (b"text,label\n" + b"x" * 3_000_000 + b",a\n", "row_too_large", 2),
        (b"text,label\na,b\n" + b'"' + b"x\n" * 1_500_000, "row_too_large", 3),
    ],
)
def test_bad_csv(refused: Refused, data: bytes, expected: str, row: int) -> None:
    error = refused(data, "x.csv")
    assert (error.code, error.param) == (expected, f"x.csv:{row}")
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"label": "a"}', "schema_mismatch"),
        ('["a", "b"]', "schema_mismatch"),
        ('{"text": "a", "label": "b"', "invalid_json"),
        ('{"text": "a", "label": NaN}', "invalid_json"),
        ("[" * 10_000, "invalid_json"),
        ('{"text": "\\ud800", "label": "b"}', "invalid_json"),
        ('{"text": "a\\u0000", "label": "b"}', "invalid_value"),
        ('{"text": "a", "label": "b\\u0000"}', "invalid_value"),
        ('{"text": "a", "label": 99999999999999999999}', "invalid_value"),
        ('{"text": 5, "label": "a"}', "invalid_value"),
        ('{"text": null, "label": "a"}', "invalid_value"),
        ('{"text": "a", "label": "b", "group": []}', "invalid_value"),
        ('{"text": "a", "label": "b", "group": "%s"}' % ("g" * 999), "invalid_value"),
        ('{"messages": "hello"}', "schema_mismatch"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "schema_mismatch"),
        ('{"messages": [{"role": "user", "content": 5}]}', "invalid_value"),
        ('{"text": "%s", "label": "a"}' % ("x" * 2_000_000), "row_too_large"),
    ],
)
def test_bad_jsonl(refused: Refused, line: str, expected: str) -> None:
    error = refused(b'{"text": "a", "label": "b"}\n' + line.encode(), "x.jsonl")
    assert (error.code, error.param) == (expected, "x.jsonl:2")
    assert len(error.message) < 300


def test_a_line_of_100_megabytes_is_not_read_whole(refused: Refused) -> None:
    assert refused(b"text,label\n" + b"x" * 100_000_000, "x.csv").code == "row_too_large"


def test_too_many_rows_and_too_few_classes(refused: Refused) -> None:
    data = b"text,label\n" + b"".join(b"text %d,a\n" % at for at in range(20))
    few = IntakeOptions(limits=Limits(entries=10))
    assert refused(data, "x.csv", options=few).code == "too_many_entries"
    assert refused(data, "x.csv").code == "insufficient_classes"
    assert refused(b"text,label\n", "x.csv").code == "empty_dataset"


def test_a_header_of_many_columns_is_looked_through_once() -> None:
    class Column(str):
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Column.compared += 1
            return super().__eq__(other)

    names = [Column(f"c{at}") for at in range(2000)]
    table = tables.TableFile(path=Path("x.csv"), kind="csv", name="x.csv")
    columns.find(table, [*names, "label", "text"])
    assert Column.compared < 20 * len(names)
    with pytest.raises(HeadstartError, match="twice"):
        columns.find(table, [*names, "label", "text", "Label"])


def test_compressed_tables(take: Take) -> None:
    data = b'text,label\n"good, caf\xc3\xa9",pos\n"bad\nand two lines",neg\n'
    assert texts(take(gzip.compress(data), "x.csv.gz")) == EXPECTED


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_of_tables(take: Take, pack: Callable[..., bytes]) -> None:
    members = {
        "banking/train.jsonl": b'{"text":"a","label":"x"}\n{"text":"b","label":"y"}\n',
        "banking/test.csv": b"text,label\nc,x\n",
        "banking/README.md": b"hello",
    }
    built = take(pack(members), "upload")
    assert texts(built) == [("a", "x", "train"), ("b", "y", "train"), ("c", "x", "test")]
    assert [one.code for one in built.problems] == ["unsupported_member"]
    assert [one.path for one in built.examples] == ["train.jsonl:1", "train.jsonl:2", "test.csv:2"]


def test_folders_of_texts(take: Take) -> None:
    members = {"neg/1.txt": b"\xef\xbb\xbfbad", "pos/2.txt": b"good", "pos/3.txt": b" \n"}
    built = take(zipped(members))
    assert texts(built) == [("bad", "neg", "train"), ("good", "pos", "train")]
    assert [(one.code, one.path) for one in built.problems] == [("invalid_value", "pos/3.txt")]
    plain = take(zipped({"neg/1": b"bad", "pos/2": b"good"}), modality="text")
    assert texts(plain) == [("bad", "neg", "train"), ("good", "pos", "train")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xe4\xff", "encoding"),
        (b"a\0b", "invalid_value"),
        (b"x" * 2_000_000, "row_too_large"),
        (gzip.compress(b"x"), "unsupported_member"),
    ],
)
def test_bad_text_members(refused: Refused, data: bytes, expected: str) -> None:
    limits = IntakeOptions(limits=Limits(ratio=10_000))
    error = refused(zipped({"a/1.txt": b"x", "b/1.txt": data}), options=limits)
    assert (error.code, error.param) == (expected, "b/1.txt")


def parquet(path: Path, columns: dict[str, object], **options: object) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as writer

    writer.write_table(pyarrow.table(columns), path, **options)
    return path.read_bytes()


def test_parquet(take: Take, tmp_path: Path) -> None:
    cells: dict[str, list[object | None]] = {
        "text": ["good, café", "bad\nand two lines", None],
        "label": [0, 1, 1],
        "split": ["train", "train", "test"],
        "blob": [b"x", b"y", b"z"],
    }
    data = parquet(tmp_path / "x.parquet", cells)
    for name in ("x.parquet", "x"):
        cells["text"][2] = None
        with pytest.raises(HeadstartError) as caught:
            take(data, name)
        assert (caught.value.code, caught.value.param) == ("invalid_value", f"{name}:3")
    cells["text"][2] = "third"
    built = take(parquet(tmp_path / "x.parquet", cells), "x.parquet")
    assert texts(built)[2] == ("third", "1", "test")


def test_parquet_in_an_archive(take: Take, tmp_path: Path) -> None:
    data = parquet(tmp_path / "x", {"text": ["a", "b"], "label": ["x", "y"]})
    assert len(take(zipped({"train.parquet": data})).examples) == 2


def test_bad_parquet(refused: Refused, tmp_path: Path) -> None:
    good = parquet(tmp_path / "x", {"text": ["a", "b"] * 99, "label": ["x", None] * 99})
    assert refused(good, "x.parquet").code == "insufficient_classes"
    assert refused(good[:-9] + b"\xff\xff\xff\x7fxPAR1", "x.parquet").code == "archive_corrupt"
    assert refused(good[:-4], "x.parquet").code == "archive_corrupt"
    assert refused(good[:40] + b"\xff" * 30 + good[70:], "x.parquet").code == "archive_corrupt"
    assert refused(b"text,label", "x.parquet").code == "archive_corrupt"
    other = parquet(tmp_path / "x", {"words": ["a"], "name": ["x"]})
    assert refused(other, "x.parquet").code == "schema_mismatch"
    odd = parquet(tmp_path / "x", {"text": ["a"], "label": [b"x"]})
    assert refused(odd, "x.parquet").code == "invalid_value"


def repeated(path: Path, text: str, rows: int) -> bytes:
    """A small Parquet file of `rows` times the same text."""
    pyarrow = pytest.importorskip("pyarrow")
    zeros = pyarrow.array(bytes(rows), pyarrow.int8())
    columns = {
        name: pyarrow.DictionaryArray.from_arrays(zeros, [value])
        for name, value in (("text", text), ("label", "y"))
    }
    return parquet(path, columns, dictionary_pagesize_limit=1 << 30)


def test_parquet_bombs_stay_in_the_child(refused: Refused, tmp_path: Path) -> None:
    bomb = repeated(tmp_path / "x", "x" * 900, 1_000_000)
    assert len(bomb) < 1_000_000
    few = IntakeOptions(limits=Limits(entries=1000))
    assert refused(bomb, "x.parquet", options=few).code == "too_many_entries"
    small = IntakeOptions(limits=Limits(unpacked_bytes=10_000_000))
    assert refused(bomb, "x.parquet", options=small).code == "archive_bomb"
    hungry = repeated(tmp_path / "x", "x" * 40_000_000, 60)
    assert refused(hungry, "x.parquet").code == "archive_bomb"


def test_real_texts(take: Take, shared_data: Path) -> None:
    data = (shared_data / "banking77" / "test.jsonl").read_bytes()
    built = take(data, "test.jsonl")
    assert len(built.classes) == 77


@pytest.mark.parametrize("cells", [["37", "-4", "12.5"], ["0001", "0002", "0003"]])
def test_texts_that_are_numbers_alone_are_told(take: Take, cells: list[str]) -> None:
    rows = [f"{cells[at % 3]}{at},{'ab'[at % 2]}" for at in range(8)]
    built = take("\n".join(["text,label", *rows]).encode(), "t.csv")
    (told,) = (one.message for one in built.problems if one.code == "column_assumed")
    assert "the texts are numbers alone" in told
    words = take("\n".join(["text,label", *rows, "a word,a"]).encode(), "t.csv")
    assert "column_assumed" not in {one.code for one in words.problems}


@pytest.mark.parametrize("name", ["classes.yaml", "label2id.json", "label_mapping.json"])
def test_what_may_name_the_numbers_of_a_table_is_told(take: Take, name: str) -> None:
    def said(labels: str) -> str:
        rows = "".join(f"text {at},{labels[at % 2]}\n" for at in range(6))
        files = {"train.csv": b"text,label\n" + rows.encode(), name: b"neg\npos\n"}
        (told,) = (one for one in take(zipped(files)).problems if one.path == name)
        return told.message

    assert "may say what the labels, which are numbers, are called" in said("01")
    assert "numbers" not in said("ab")
