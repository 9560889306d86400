"""A label's cell with what Python, numpy and torch print."""

from __future__ import annotations

import ast
import csv
import io
import json
from collections.abc import Callable, Sequence

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
JUDGED = IntakeOptions(label_mode=None)
SINGLE = IntakeOptions(label_mode="single_label")


def as_csv(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([("text", "labels"), *((f"t{n}", c) for n, c in enumerate(cells))])
    return out.getvalue().encode()


def as_jsonl(cells: Sequence[object]) -> bytes:
    rows = ({"text": f"t{n}", "labels": cell} for n, cell in enumerate(cells))
    return "\n".join(map(json.dumps, rows)).encode()


TABLES = {"x.csv": as_csv, "x.jsonl": as_jsonl}


def names(built: Built) -> list[list[str]]:
    return [list(one.names) for one in built.examples]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["['a' 'b']", "['b']", "[]"], [["a", "b"], ["b"], []]),
        (["{'a', 'b'}", "{'b'}", "set()"], [["a", "b"], ["b"], []]),
        (["('a', 'b')", "('b',)", "()"], [["a", "b"], ["b"], []]),
        (["[0 4]", "[4]", "[]"], [["0", "4"], ["4"], []]),
        (["[0, 4]", "[4.0]", "[]"], [["0", "4"], ["4"], []]),
        (["[np.str_('a') np.str_('b')]", "[np.str_('b')]", "[]"], [["a", "b"], ["b"], []]),
    ],
)
def test_lists_are_several_labels(
    take: Take, name: str, cells: list[str], expected: list[list[str]]
) -> None:
    built = take(TABLES[name](cells), name, options=JUDGED)
    assert built.label_mode == "multi_label"
    assert names(built) == expected


def test_lists_are_never_parted_by_a_separator(take: Take) -> None:
    options = IntakeOptions(label_mode="multi_label", label_separator=",")
    built = take(as_csv(["['a', 'b']", "b,c", "c"]), "x.csv", options=options)
    assert names(built) == [["a", "b"], ["b", "c"], ["c"]]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["np.int64(0)", "np.int64(1)"], ["0", "1"]),
        (["tensor(0)", "tensor(1, device='cuda:0')"], ["0", "1"]),
        (["b'neg'", "b'pos'"], ["neg", "pos"]),
        (["np.True_", "np.False_"], ["true", "false"]),
        (['="001"', '="1"'], ["001", "1"]),
        (["(A)", "[b]"], ["(A)", "[b]"]),
    ],
)
def test_single_values_are_read_without_their_type(
    take: Take, name: str, cells: list[str], expected: list[str]
) -> None:
    built = take(TABLES[name](cells), name, options=JUDGED)
    assert built.label_mode == "single_label"
    assert [one.label for one in built.examples] == expected


def test_said_to_have_one_label_a_list_of_one_is_it(take: Take) -> None:
    built = take(as_csv(["['a']", "{'b'}", "[]"]), "x.csv", options=SINGLE)
    assert [one.label for one in built.examples] == ["a", "b"]
    assert [one.code for one in built.problems] == ["unlabelled"]


def test_said_to_have_one_label_a_list_of_several_is_refused(refused: Refused) -> None:
    error = refused(as_csv(["['a' 'b']", "['b']"]), "x.csv", options=SINGLE)
    assert error.code == "several_labels"


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("[0, 1, 0]", "a 0 or 1 for each class"),
        ("[0 1 0]", "a 0 or 1 for each class"),
        ("[0. 1. 0.]", "a 0 or 1 for each class"),
        ("[False  True False]", "a 0 or 1 for each class"),
        ("[0.1 0.9]", "probabilities"),
        ("[0 0 ... 0]", "cut short"),
        ("[['a' 'b']]", "marks passages"),
        ("{'label': 'neg'}", "an object as a text"),
        ('{"label": "neg"}', "an object as a text"),
    ],
)
def test_what_says_no_labels_is_refused(refused: Refused, name: str, cell: str, said: str) -> None:
    error = refused(TABLES[name]([cell] * 2), name, options=JUDGED)
    assert error.code == "invalid_value"
    assert said in error.message


def test_a_table_of_pictures_says_the_same(take: Take) -> None:
    table = b"file_name,labels\n1.png,['a' 'b']\n2.png,['b']\n"
    files = {"1.png": png(1), "2.png": png(2), "metadata.csv": table}
    assert names(take(zipped(files), options=JUDGED)) == [["a", "b"], ["b"]]


@pytest.mark.parametrize("cells", [["[bank, fee]", "[fee]"], ["{bank,fee}", "{card,fee}"]])
def test_lists_without_quotation_marks_are_told(take: Take, cells: list[str]) -> None:
    built = take(as_csv(cells), "x.csv", options=JUDGED)
    assert {one.label for one in built.examples} == set(cells)
    (told,) = (one for one in built.problems if one.code == "labels_joined")
    assert "look like lists" in told.message
    assert cells[0] in told.message


@pytest.mark.parametrize(
    ("cells", "mode"),
    [
        (["['a']", "['b']", "['a']", "['b']"], "single_label"),
        (["a", "b", "a", "b", "[]"], "single_label"),
        (['["a"]', '["b"]', '["a"]', '["b"]', "[]"], "single_label"),
        (["['a']", "['b']", "['a', 'b']", "[]"], "multi_label"),
    ],
)
def test_a_list_counts_as_one_however_it_is_written(
    take: Take, cells: list[str], mode: str
) -> None:
    """Lists of JSON and lists as texts, of any table, say one dataset."""
    meant = [ast.literal_eval(one) if one.startswith("[") else one for one in cells]
    said = [
        take(as_csv(cells), "x.csv", options=JUDGED),
        take(as_jsonl(cells), "x.jsonl", options=JUDGED),
        take(as_jsonl(meant), "x.jsonl", options=JUDGED),
    ]
    assert {built.label_mode for built in said} == {mode}
    assert names(said[0]) == names(said[1]) == names(said[2])
    told = [sum("label_mode=multi_label" in one.message for one in b.problems) for b in said]
    assert told == [mode == "single_label" and "[]" in cells] * 3
