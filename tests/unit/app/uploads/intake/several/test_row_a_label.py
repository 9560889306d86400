"""A picture in several rows, a label each, as lists of findings have them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
PICTURES = {f"images/{at}.png": png(at) for at in range(4)}
ROWS = ["0.png,edema", "0.png,mass", "1.png,mass", "2.png,edema", "2.png,edema", "3.png,none"]
SEVERAL = IntakeOptions(label_mode="multi_label", negative_label="none")


def archive(name: str, header: str, rows: list[str]) -> bytes:
    return zipped({**PICTURES, name: "\n".join([header, *rows]).encode()})


@pytest.mark.parametrize("name", ["metadata.csv", "findings.csv"])
@pytest.mark.parametrize("header", ["path,label", "file_name,label"])
def test_it_has_the_labels_of_all_rows(take: Take, name: str, header: str) -> None:
    built = take(archive(name, header, ROWS), options=SEVERAL)
    assert [one.labels for one in sorted(built.examples, key=lambda one: one.path)] == [
        ("edema", "mass"),
        ("mass",),
        ("edema",),
        (),
    ]


@pytest.mark.parametrize("mode", [None, "single_label"])
def test_with_one_label_it_is_refused_and_the_mode_is_said(refused: Refused, mode: None) -> None:
    error = refused(
        archive("findings.csv", "path,label", ROWS), options=IntakeOptions(label_mode=mode)
    )
    assert error.code == "duplicate_name"
    assert "label_mode=multi_label" in error.message


@pytest.mark.parametrize(
    ("header", "rows", "why"),
    [
        ("path,label", ["0.png,mass", "0.png,none"], "belongs to no class in one row"),
        ("path,label,group", ["0.png,mass,a", "0.png,edema,b"], "the group of"),
        ("path,label,split", ["0.png,mass,train", "0.png,edema,test"], "the split of"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(
    refused: Refused, header: str, rows: list[str], why: str
) -> None:
    more = "".join(",a" if "group" in header else ",train" if "split" in header else "")
    rest = [f"{at}.png,{'mass' if at % 2 else 'edema'}{more}" for at in (1, 2, 3)]
    error = refused(archive("metadata.csv", header, [*rows, *rest]), options=SEVERAL)
    assert error.code == "invalid_value"
    assert why in error.message


TEXTS = [
    *("where is my card,card", "where is my card,urgent", "it hurts,pain", "it hurts ,urgent"),
    *("thanks,other", "thanks,other", "my card is gone,card"),
]


@pytest.mark.parametrize("rows", [TEXTS, TEXTS[::-1]])
def test_a_text_in_several_rows_has_the_labels_of_all(take: Take, rows: list[str]) -> None:
    table = "\n".join(["text,label", *rows]).encode()
    built = take(table, "x.csv", options=IntakeOptions(label_mode="multi_label"))
    assert sorted(one.labels or () for one in built.examples) == [
        ("card",),
        ("card", "urgent"),
        ("other",),
        ("pain", "urgent"),
    ]
    assert not [one for one in built.problems if one.code == "label_conflict"]
    assert any("3 row(s) have a text that another has" in note for note in built.notes)


def test_lists_of_labels_that_differ_stay_a_conflict(take: Take) -> None:
    rows = [("a b", ["x", "y"]), ("a b", ["x"]), ("c d", ["y"]), ("e f", ["x"])]
    lines = "\n".join(json.dumps({"text": text, "labels": told}) for text, told in rows).encode()
    built = take(lines, "x.jsonl", options=IntakeOptions(label_mode="multi_label"))
    assert [one.code for one in built.problems if one.excluded].count("label_conflict") == 2


def test_texts_of_two_groups_are_not_united(take: Take) -> None:
    rows = ["a b,x,1", "a b,y,2", "c d,x,1", "e f,y,2"]
    table = "\n".join(["text,label,group", *rows]).encode()
    built = take(table, "x.csv", options=IntakeOptions(label_mode="multi_label"))
    assert [one for one in built.problems if one.code == "label_conflict"]
