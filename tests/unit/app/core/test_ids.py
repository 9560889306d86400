"""Identifiers: their shape, and that order of making is order of sorting."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.ids import new_id, suffix_of

pytestmark = pytest.mark.slow


def test_an_id_is_a_prefix_and_26_characters() -> None:
    assert re.fullmatch(r"ds_[0-9a-z]{26}", new_id("ds_"))


def test_ids_of_one_millisecond_keep_their_order() -> None:
    made = [new_id("") for _ in range(10_000)]
    assert made == sorted(made)


def test_threads_never_make_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id(""), range(8_000)))
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("parts", "parts"), ("Größe, Kamera B", "Gro-e-Kamera-B"), ("  ", ""), ("x" * 90, "x" * 64)],
)
def test_a_name_becomes_a_suffix(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix
