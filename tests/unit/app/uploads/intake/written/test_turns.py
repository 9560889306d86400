"""Tables in turn: who waits is asked again once all others were."""

from __future__ import annotations

from app.uploads.intake.tables.turns import by_turns


def test_who_waits_comes_last_and_once() -> None:
    asked: list[tuple[str, bool]] = []

    def take(one: str, may_wait: bool) -> bool | None:
        asked.append((one, may_wait))
        return None if may_wait and one == "a" else one != "c"

    assert list(by_turns("abc", take)) == [("b", True), ("c", False), ("a", True)]
    assert asked == [("a", True), ("b", True), ("c", False), ("a", False)]


def test_one_alone_may_not_wait() -> None:
    assert list(by_turns("a", lambda _one, may_wait: None if may_wait else True)) == [("a", True)]
