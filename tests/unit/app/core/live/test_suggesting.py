"""Which inputs are suggested, and that they are not one input many times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.live.suggesting import Candidate, choose


def candidate(name: str, first: float, at: tuple[float, float], familiar: float = 1.0) -> Candidate:
    scores = {"a": first, "b": 1 - first}
    answer = {"label": "a", "scores": scores, "familiarity": familiar}
    return Candidate(id=name, answer=answer, embedding=at)


def test_the_doubtful_and_the_novel_come_first() -> None:
    sure = candidate("sure", 0.99, (1.0, 0.0))
    doubtful = candidate("doubtful", 0.5, (0.0, 1.0))
    novel = candidate("novel", 0.99, (-1.0, 0.0), familiar=0.01)
    names = [one.candidate.id for one in choose([sure, doubtful, novel], 2)]
    assert names == ["doubtful", "novel"]


def test_near_copies_wait_behind_what_is_different() -> None:
    copies = [candidate(f"copy{n}", 0.5, (1.0, n * 1e-6)) for n in range(10)]
    other = candidate("other", 0.7, (0.0, 1.0))
    assert {one.candidate.id for one in choose([*copies, other], 2)} == {"copy0", "other"}


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(1, 40))
def test_each_at_most_once_and_no_more_than_asked(firsts: list[float], limit: int) -> None:
    known = [candidate(str(n), first, (first, 1 - first)) for n, first in enumerate(firsts)]
    names = [one.candidate.id for one in choose(known, limit)]
    assert len(names) == len(set(names)) == min(limit, len(known))
