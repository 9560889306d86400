"""Heads in memory: loaded once, bounded, pinned, and never corrupt."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.core.messages import Target
from worker.predictor.head_cache import HeadCache
from worker.predictor.metrics import Metrics


@dataclass
class Weights:
    name: str
    nbytes: int = 10


def target(name: str) -> Target:
    return Target(model=name, backbone="b", artifact=f"models/{name}", sha256="0")


def pinned(alias: str, name: str, *, pinned: bool = True) -> Target:
    return replace(target(name), alias=alias, pinned=pinned)


class Disk:
    """Counts what is read; `broken` artifacts are corrupt."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.broken: set[str] = set()

    def load(self, wanted: Target) -> Weights:
        self.reads[wanted.model] += 1
        if wanted.model in self.broken:
            raise HeadstartError("model_corrupt")
        return Weights(wanted.model)


def run(body: Callable[[HeadCache[Weights], Disk], Coroutine[Any, Any, None]]) -> None:
    disk = Disk()
    with ThreadPoolExecutor(2) as executor:

        async def go() -> None:
            cache = HeadCache(disk.load, budget=30, executor=executor, metrics=Metrics())
            await body(cache, disk)

        asyncio.run(go())


def test_many_who_want_one_head_share_one_load() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        heads = await asyncio.gather(*(cache.get(target("a")) for _ in range(20)))
        assert len({id(head) for head in heads}) == 1
        assert disk.reads["a"] == 1
        assert cache.peek(target("a")) is heads[0]

    run(body)


def test_who_waits_no_longer_stops_no_load() -> None:
    """Loading that outlasts every deadline would never end otherwise."""

    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        asked = [asyncio.create_task(cache.get(target("a"))) for _ in range(2)]
        await asyncio.sleep(0)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert all(one.cancelled() for one in asked)
        assert (await cache.get(target("a"))).name == "a"
        assert disk.reads["a"] == 1

    run(body)


def test_the_least_recently_used_goes_first() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        for name in "abc":
            await cache.get(target(name))
        cache.peek(target("a"))
        await cache.get(target("d"))
        assert cache.peek(target("b")) is None
        assert cache.peek(target("a")) is not None
        assert (len(cache), cache.nbytes) == (3, 30)

    run(body)


def test_a_pinned_head_stays() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        cache.follow("t", pinned("live", "a"))
        for name in "abcdef":
            await cache.get(target(name))
        assert cache.peek(target("a")) is not None
        cache.follow("t", pinned("live", "z"))
        for name in "ghi":
            await cache.get(target(name))
        assert cache.peek(target("a")) is None

    run(body)


def test_an_alias_that_lets_go_holds_nothing_and_another_tenants_goes_on() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        cache.follow("one", pinned("live", "a"))
        cache.follow("two", pinned("live", "a"))
        cache.follow("one", pinned("live", "a", pinned=False))
        for name in "abcd":
            await cache.get(target(name))
        assert cache.peek(target("a")) is not None
        cache.follow("two", pinned("live", "", pinned=False))
        for name in "efgh":
            await cache.get(target(name))
        assert cache.peek(target("a")) is None

    run(body)


def test_pins_hold_half_the_budget_at_most() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        for name in "abc":
            cache.follow("t", pinned(name, name))
            await cache.get(target(name))
        for name in "defg":
            await cache.get(target(name))
        assert cache.peek(target("c")) is not None
        assert cache.peek(target("a")) is None
        assert cache.nbytes <= 30

    run(body)


def test_heads_of_deleted_models_go_pinned_or_not() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        cache.follow("t", pinned("a", "a"))
        for name in "abc":
            await cache.get(target(name))
        assert sorted(cache.artifacts) == ["models/a", "models/b", "models/c"]
        cache.forget({"models/a", "models/b", "models/never"})
        assert cache.artifacts == ["models/c"]
        assert (cache.pins, cache.nbytes) == (0, 10)

    run(body)


def test_a_corrupt_head_is_never_kept_and_not_read_in_a_loop() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        disk.broken.add("a")
        for _ in range(5):
            with pytest.raises(HeadstartError) as caught:
                await cache.get(target("a"))
            assert caught.value.code == "model_corrupt"
        assert disk.reads["a"] == 1
        assert len(cache) == 0

    run(body)


def test_the_same_name_with_another_hash_is_another_head() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        await cache.get(target("a"))
        other = Target(model="a", backbone="b", artifact="models/a", sha256="1")
        assert cache.peek(other) is None

    run(body)


def test_the_least_recently_used_make_way_and_no_more_than_is_asked() -> None:
    async def body(cache: HeadCache[Weights], disk: Disk) -> None:
        assert cache.oldest(newest_too=True) is None
        for name in ("a", "b", "c"):
            await cache.get(target(name))
        cache.follow("org", pinned("prod", "a"))
        oldest = cache.oldest(newest_too=True)
        assert oldest is not None
        assert await cache.let_go(5, before=float("inf"))
        assert (cache.nbytes, cache.peek(target("b"))) == (20, None)
        assert cache.oldest(newest_too=True) is None, "a is pinned, and c the newest"
        assert disk.reads == {"a": 1, "b": 1, "c": 1}

    run(body)


def test_those_that_were_used_after_a_time_stay() -> None:
    async def body(cache: HeadCache[Weights], _disk: Disk) -> None:
        for name in ("a", "b", "c"):
            await cache.get(target(name))
        oldest = cache.oldest(newest_too=True)
        assert oldest is not None
        await cache.let_go(1000, before=oldest)
        assert cache.nbytes == 20, "one goes whatever its time"

    run(body)
