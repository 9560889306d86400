"""A table without an ending is a table alone and within an archive, where nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

CSV = b"text,label\none fine day,a\ntwo bad nights,b\nthree good things,a\nfour stones,b\n"
JSONL = "\n".join(
    json.dumps({"text": f"the number {n}", "label": "ab"[n % 2]}) for n in range(4)
).encode()
LINES = b"__label__a one fine day\n__label__b two bad nights\n"


@pytest.mark.parametrize("table", [CSV, JSONL, LINES])
def test_it_is_the_same_alone_and_in_a_zip(take: Take, table: bytes) -> None:
    alone, within = take(table, "data"), take(zipped({"data": table, "README": b"of what"}))
    said = [[(one.label, one.sha256) for one in built.examples] for built in (alone, within)]
    assert said[0] == said[1] != []


def test_names_say_their_splits(take: Take) -> None:
    other = b"text,label\nfive green hills,a\nsix grey ones,b\n"
    built = take(zipped({"set/train": CSV, "set/test": other}))
    assert [one.split for one in built.examples] == ["train"] * 4 + ["test"] * 2


def test_where_something_else_is_there_it_lies_beside(take: Take) -> None:
    pictures = {f"{label}/{n}.png": png(n) for n, label in enumerate("aabb")}
    built = take(zipped({**pictures, "notes": CSV}))
    assert len(built.examples) == len(pictures)
    assert any("notes" in one.message for one in built.problems)


def test_texts_of_classes_are_no_tables(refused: Callable[..., HeadstartError]) -> None:
    texts = {"a/1": b"label, text: that is how it begins", "a/2": b"a letter", "b/1": b"another"}
    assert refused(zipped(texts)).code == "empty_dataset"
