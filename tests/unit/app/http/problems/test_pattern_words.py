"""Who writes a name wrong is told in words, whichever place it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.http.problems.pattern_words import words_of
from app.main import create_app


def _patterns(told: Any) -> Iterator[str]:
    """Every pattern of a document."""
    if isinstance(told, dict):
        if isinstance(told.get("pattern"), str):
            yield told["pattern"]
        for one in told.values():
            yield from _patterns(one)
    elif isinstance(told, list):
        for one in told:
            yield from _patterns(one)


def test_every_pattern_that_a_request_is_held_against_has_words() -> None:
    found = set(_patterns(create_app().openapi()))
    assert len(found) > 20
    assert [one for one in sorted(found) if words_of(one) is None] == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("^ds_[0-9a-z]{26}$", "it is no such id: those begin with ds_"),
        ("^(ds_|file-)[0-9a-z]{26}$", "it is no such id: those begin with ds_ or file-"),
        ("^ftevent-[0-9]{1,18}$", "it is no such id: those begin with ftevent-"),
    ],
)
def test_an_id_is_told_by_how_it_begins(pattern: str, words: str) -> None:
    assert words_of(pattern) == words


def test_what_nobody_has_words_for_has_none() -> None:
    assert words_of("^abc$") is None
