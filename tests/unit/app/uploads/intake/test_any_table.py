"""Whatever a table holds: it is read as it was meant, or refused by a code, and loses no row."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import TITLES, HeadstartError
from app.core.texts import is_seen, truth_spelled
from app.uploads.intake import Built, IntakeOptions, build

Rows = Sequence[tuple[str, str]]
ANY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(st.one_of(letters, st.sampled_from('",;\t|\n\r ')), min_size=1, max_size=30)
labels = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)
tables = st.lists(st.tuples(texts, labels), min_size=1, max_size=12)


class Taken:
    """What became of an upload: the dataset and what its examples say, or a refusal."""

    def __init__(self, data: bytes, name: str, **options: object) -> None:
        self.built: Built | None = None
        self.error: HeadstartError | None = None
        self.contents: list[tuple[str, str]] = []
        with tempfile.TemporaryDirectory() as folder:
            self._take(data, name, Path(folder), options)

    def _take(self, data: bytes, name: str, folder: Path, options: dict[str, object]) -> None:
        upload, staging = folder / "upload", folder / "staging"
        staging.mkdir()
        upload.write_bytes(data)
        asked = IntakeOptions(minimum_classes=1, **options)  # type: ignore[arg-type]
        try:
            self.built = build(upload, filename=name, staging=staging, options=asked)
        except HeadstartError as error:
            self.error = error
        else:
            packed = self.built.pack_path.read_bytes()
            for one in self.built.examples:
                text = packed[one.offset : one.offset + one.length].decode()
                self.contents.append((text, one.label))
        kept = [] if self.built is None else [self.built.pack_path]
        assert list(staging.iterdir()) == kept
        assert self.error is None or self.error.code in TITLES


def kept(rows: Rows) -> list[tuple[str, str]]:
    """The rows that have something to read, true and false as every table has them."""
    read = [(text, label) for text, label in rows if is_seen(text)]
    every = {label for _, label in read}
    return [(text, truth_spelled(label, every, ())) for text, label in read]


def as_csv(rows: Rows, mark: str, end: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    return out.getvalue()


@ANY
@given(tables, st.sampled_from(",;|"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_csv_is_read_as_it_was_written(rows: Rows, mark: str, end: str, bom: bool) -> None:
    found = Taken(as_csv(rows, mark, end).encode("utf-8-sig" if bom else "utf-8"), "t.csv")
    if found.error is None:
        assert found.contents == kept(rows)
    else:  # every text has two labels
        assert not kept(rows) or "contradicting" in found.error.message


@ANY
@given(tables, st.sampled_from(["utf-16", "utf-8"]), st.booleans())
def test_json_is_read_as_it_was_written(rows: Rows, encoding: str, array: bool) -> None:
    told = [json.dumps({"text": text, "label": label}) for text, label in rows]
    data = f"[{', '.join(told)}]" if array else "\n".join(told)
    found = Taken(data.encode(encoding), "t.json")
    if found.error is None:
        assert found.contents == kept(rows)
    else:
        assert not kept(rows) or "contradicting" in found.error.message


@ANY
@given(st.lists(st.tuples(st.text(st.sampled_from('ab" '), min_size=1, max_size=12), labels)))
def test_a_tsv_loses_no_row_in_silence(rows: Rows) -> None:
    lines = ["text\tlabel", *(f"{text}\t{label}" for text, label in rows)]
    found = Taken("\n".join(lines).encode(), "t.tsv")
    if found.built is not None:
        excluded = [one for one in found.built.problems if one.code == "invalid_value"]
        assert len(found.contents) + len(excluded) == len(rows)


@ANY
@given(st.lists(st.text(st.sampled_from('ab",\n'), min_size=1, max_size=12), max_size=8))
def test_a_csv_of_bare_quotes_loses_no_row_in_silence(cells: list[str]) -> None:
    labels_of = ["pos", "neg"]
    written = [f"{cell.strip()},{labels_of[at % 2]}" for at, cell in enumerate(cells)]
    lines = [line for row in written for line in row.split("\n")]
    found = Taken("\n".join(["text,label", *lines]).encode(), "t.csv")
    if found.built is not None:
        seen = {label for _, label in found.contents}
        whole = [line for line in lines if line.count(",") == 1 and line[-3:] in seen]
        said = len(found.contents) + len(found.built.problems)
        assert said >= len(whole) or "rows_joined" in {one.code for one in found.built.problems}


@ANY
@given(
    st.binary(max_size=300),
    st.sampled_from(["t.csv", "t.tsv", "t.json", "t.jsonl", "t", "t.txt"]),
    st.sampled_from([b"", b"text,label\n", b"text\tlabel\n", b"[", b"{", b"\xff\xfe", b"sep=;\n"]),
)
def test_any_bytes_are_read_or_refused(data: bytes, name: str, start: bytes) -> None:
    Taken(start + data, name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "label", "data", "annotations", "result", "value", "choices"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(parent=ANY, max_examples=150)
@given(st.lists(json_values, max_size=4), st.booleans())
def test_any_json_is_read_or_refused(values: list[object], array: bool) -> None:
    lines = [json.dumps(value) for value in values]
    data = json.dumps(values) if array else "\n".join(lines)
    Taken(data.encode("utf-8", "replace"), "t.json")


@pytest.mark.parametrize("labelled", [True, False])
def test_what_is_only_to_be_predicted_needs_no_label(labelled: bool) -> None:
    found = Taken(b"review\none\ntwo\n", "t.csv", labelled=labelled)
    assert (found.error is not None) == labelled
    assert found.contents == ([] if labelled else [("one", ""), ("two", "")])


def test_columns_of_no_use_are_not_asked_about() -> None:
    found = Taken(b"text,intent,category\none,a,b\ntwo,a,b\n", "t.csv", labelled=False)
    assert found.contents == [("one", ""), ("two", "")]


def _lines(*labels: object) -> str:
    told = zip(("a, b", "c", "d"), labels, strict=True)
    return "\n".join(json.dumps({"text": text, "label": label}) for text, label in told)


BLANKS = [
    ("t.csv", 'text, label\n"a, b", "pos"\n"c", "neg"\nd, pos\n'),
    ("t.csv", '"text", "label"\n"a, b", "pos"\nc, neg\nd, pos\n'),
    ("t.csv", 'text,label\n"a, b",  pos\nc,neg \n"d", "pos"\n'),
    ("t.csv", 'label, text\npos, "a, b"\n neg, "c"\n"pos", "d"\n'),
    ("t.csv", 'text; label\n"a, b"; "pos"\nc; neg\nd; pos\n'),
    ("t.csv", 'text, label\n"a, b", "pos"\ntext, label\nc, neg\nd, pos\n'),
    ("t.tsv", 'text\t label\na, b\t "pos"\nc\t neg\nd\tpos\n'),
    ("t.jsonl", _lines(" pos", "neg", "pos ")),
    ("t.jsonl", _lines(["pos", " pos"], "neg\n", "pos")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data"), BLANKS)
def test_blanks_around_a_label_make_no_class_of_their_own(name: str, data: str) -> None:
    found = Taken(data.encode(), name)
    assert found.contents == [("a, b", "pos"), ("c", "neg"), ("d", "pos")]


@pytest.mark.parametrize(
    ("data", "first"),
    [
        ("label,text\npos, a\nneg, b\n", " a"),
        ('label,text\npos, "a" he said\nneg, b\n', ' "a" he said'),
        ('label, text\npos, "a" he said\nneg, b\n', ' "a" he said'),
        ('text,label\n"a, ""b""",pos\nc,neg\n', 'a, "b"'),
        ("text,label\n a,pos\nb,neg\n", " a"),
    ],
)
def test_a_text_keeps_its_own_blanks_and_quotes(data: str, first: str) -> None:
    assert Taken(data.encode(), "t.csv").contents[0][0] == first


@pytest.mark.parametrize("several", [("pos", " pos"), ("pos ", "neg")])
def test_labels_of_several_have_no_blanks_around_them(several: tuple[str, str]) -> None:
    lines = [{"text": "a", "labels": several}, {"text": "b", "labels": [" neg"]}]
    data = "\n".join(map(json.dumps, lines)).encode()
    found = Taken(data, "t.jsonl", label_mode="multi_label")
    assert found.built is not None
    expected = tuple(sorted({one.strip() for one in several}))
    assert [one.labels for one in found.built.examples] == [expected, ("neg",)]
