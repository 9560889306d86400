"""Hooks that are looked at: each organisation's first before any one's second."""

from __future__ import annotations

from app.hooks.new_labels import in_turn


def test_organisations_take_turns() -> None:
    many = [("many", f"m{n}") for n in range(4)]
    assert in_turn([*many, ("one", "o0"), ("two", "t0"), ("two", "t1")]) == [
        *("m0", "o0", "t0", "m1", "t1", "m2", "m3"),
    ]
    assert in_turn([]) == []
