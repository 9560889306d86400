"""Marks tell a content again, and nobody who has not the key."""

from __future__ import annotations

from app.datasets.erasing.marks import Marker


def test_a_mark_is_of_a_key_a_dataset_and_a_content() -> None:
    one = Marker("ab" * 32, "ds_1")
    assert one.of("content") == Marker("ab" * 32, "ds_1").of("content")
    others = {
        Marker("cd" * 32, "ds_1").of("content"),
        Marker("ab" * 32, "ds_2").of("content"),
        one.of("other"),
    }
    assert len(others - {one.of("content")}) == 3
    assert one.all_of(["b", "a"]) == one.all_of(["a", "b"])
    assert len(one.of("content")) == 32
