"""What is kept within bytes is made once, and found for as long as anybody holds it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from worker.ml.byte_cache import ByteCache


class Weight:
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def cache(budget: int = 100) -> ByteCache[str, Weight]:
    return ByteCache(budget=budget, size=lambda value: value.nbytes)


def test_the_least_recently_used_goes_when_bytes_are_short_and_the_newest_stays() -> None:
    held, made = cache(), []

    def ask(key: str, nbytes: int) -> None:
        def make() -> Weight:
            made.append(key)
            return Weight(nbytes)

        held.get(key, make)

    for key in ("a", "b", "a", "c"):
        ask(key, 50)
    assert held.nbytes == 100
    assert ("a" in held, "b" in held, "c" in held) == (True, False, True)
    ask("large", 1000)
    assert held.nbytes == 1000
    assert "large" in held
    ask("a", 50)
    assert held.nbytes == 50, "what is too large for the budget goes with the next"
    assert made == ["a", "b", "c", "large", "a"]


def test_what_is_in_use_elsewhere_is_found_again_rather_than_made_twice() -> None:
    held = cache()
    first = held.get("a", lambda: Weight(80))
    held.get("b", lambda: Weight(80))
    assert held.nbytes == 80
    assert held.get("a", lambda: pytest.fail("it is in memory")) is first


def test_threads_share_one_making_and_wait_for_no_other_key() -> None:
    held, going, goes_on = cache(), Event(), Event()
    made: list[str] = []

    def slowly() -> Weight:
        made.append("slow")
        going.set()
        assert goes_on.wait(30)
        return Weight(1)

    with ThreadPoolExecutor(3) as pool:
        both = [pool.submit(held.get, "slow", slowly) for _ in range(2)]
        assert going.wait(30)
        assert held.get("other", lambda: Weight(1)).nbytes == 1
        goes_on.set()
        values = {id(one.result(30)) for one in both}
    assert (len(values), made) == (1, ["slow"])


def test_who_waited_for_what_failed_tries_again() -> None:
    held = cache()

    def fails() -> Weight:
        raise ValueError("no weights")

    with pytest.raises(ValueError, match="no weights"):
        held.get("a", fails)
    assert held.get("a", lambda: Weight(3)).nbytes == 3


def test_what_is_cleared_is_found_where_somebody_has_it() -> None:
    held = cache()
    used = held.get("used", lambda: Weight(10))
    held.get("unused", lambda: Weight(10))
    held.clear()
    assert (held.nbytes, "used" in held, "unused" in held) == (0, True, False)
    assert held.get("used", lambda: Weight(20)) is used
