"""What Python, numpy and torch print is read back, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from app.uploads.printed import LONGEST, UNPRINTED, listed, read, single, written


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("['a' 'b']", ["a", "b"]),
        ("['bank' 'late fee'\n 'c, d']", ["bank", "late fee", "c, d"]),
        ("[\"it's\" 'b']", ["it's", "b"]),
        ("['a', 'b']", ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("[0 4]", [0, 4]),
        ("[-1 2]", [-1, 2]),
        ("[0. 1.]", [0.0, 1.0]),
        ("[ True False]", [True, False]),
        ("[np.True_, np.False_]", [True, False]),
        ("[np.str_('a b') np.str_('c')]", ["a b", "c"]),
        ("array(['a b', 'c'], dtype=object)", ["a b", "c"]),
        ("tensor([0, 1], device='cuda:0')", [0, 1]),
        ("{'a'}", ["a"]),
        ("('a',)", ["a"]),
        ("frozenset({'a'})", ["a"]),
        ("set()", []),
        ("[]", []),
        ("[b'a' b'b']", ["a", "b"]),
        ("[0 0 ... 0]", [0, 0, ..., 0]),
        ("[[0 1]\n [1 0]]", [[0, 1], [1, 0]]),
        ("[nan]", [None]),
    ],
)
def test_lists(text: str, values: list[Any]) -> None:
    assert listed(text) == values
    assert listed(f" {text} ") == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("np.int64(0)", 0),
        ("numpy.float32(-1.5)", -1.5),
        ("np.str_('x y')", "x y"),
        ("np.True_", True),
        ("tensor(1, device='cuda:0')", 1),
        ("b'neg'", "neg"),
        ("array(0)", 0),
        ("Decimal('1.5')", "1.5"),
        ('="001"', "001"),
        ('="say ""yes"""', 'say "yes"'),
    ],
)
def test_single_values(text: str, value: Any) -> None:
    assert read(text) == value
    assert listed(text) is None


@pytest.mark.parametrize("text", ["{'label': 'neg', 'score': np.float32(0.9)}", '{"a": 1}', "{}"])
def test_objects(text: str) -> None:
    assert isinstance(read(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        *("", "neg", "-1", "(A)", "(1)", "('neg')", "'neg'", "[a]", "[bank, fee]", "{bank,fee}"),
        *("(0, 10]", "[0, 10)", "[ok] fine", "[a] (b)", "(y)es", "f(x)", "print('x')", "[1, 2"),
        *("['a''b']", "['a' 'b']]", "b'\\xff'", "[1 - 2]", "int(3)", "(:", "['x']['y']"),
        *("[" * 9000, "[1 " * 6000, "'" * 1001, "['a'" + " " * LONGEST + "]"),
    ],
)
def test_other_texts_are_what_they_are(text: str) -> None:
    assert read(text) is UNPRINTED


LOOKS_PRINTED = ["np.int64(0)", '="a"', "b'x'", "['neg']", '{"label": "neg"}', "[0, 1]", "set()"]


@pytest.mark.parametrize("label", [*LOOKS_PRINTED, "a", "(A)", "[b]", "'q'", '"', "=1+1"])
def test_what_is_written_is_read_as_it_was(label: str) -> None:
    told = written(label)
    assert told == label or read(told) == label
    assert (told == label) == (label not in LOOKS_PRINTED)


@pytest.mark.parametrize(
    ("said", "label"),
    [
        *(("np.int64(0)", "0"), ("tensor(1.)", "1"), ("b'x'", "x"), ('="001"', "001")),
        *(("['neg']", "neg"), ("np.True_", "true"), ("True", "true"), (" a b ", "a b")),
    ],
)
def test_one_label_is_read_without_what_is_around_it(said: str, label: str) -> None:
    assert single(said) == label


@pytest.mark.parametrize("said", ['{"label": "neg"}', "['a', 'b']", "[['a']]", "[]", "[0 ... 1]"])
def test_objects_and_several_are_no_one_label(said: str) -> None:
    with pytest.raises(ValueError, match="write the label alone"):
        single(said)
