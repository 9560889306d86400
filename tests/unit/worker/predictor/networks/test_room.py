"""Memory has a bound: what was used least lately makes way, and no more of it than is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from worker.predictor.networks.room import NETWORK, PASSES, Room

BOUND = 10 * NETWORK + PASSES


class Process:
    """Its memory is that of its holders."""

    def __init__(self, **parts: list[tuple[float, int]]) -> None:
        """Of each holder what it has: when it was last used, and networks' worth of bytes."""
        self.beside, self.given_back = 0, 0
        self.holders = {name: Holder(has) for name, has in parts.items()}

    def own(self) -> int:
        has = sum(size for holder in self.holders.values() for _, size in holder.has)
        return (has + self.beside) * NETWORK

    def give_back(self) -> None:
        self.given_back += 1

    def room(self) -> Room:
        room = Room(BOUND, own=self.own, give_back=self.give_back)
        room.holders = tuple(self.holders.values())
        return room


class Holder:
    def __init__(self, has: list[tuple[float, int]]) -> None:
        self.has, self.asked = has, list[float]()
        self.is_free = True

    def oldest(self, *, newest_too: bool) -> float | None:
        return self.has[0][0] if len(self.has) > (0 if newest_too else 1) else None

    async def let_go(self, _excess: int, *, before: float) -> bool:
        self.asked.append(before)
        if self.is_free:
            del self.has[0]
        return self.is_free


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


def test_within_its_bound_nothing_happens() -> None:
    process = Process(heads=[(1, 5), (2, 5)])

    async def body() -> None:
        await process.room().keep()

    run(body)
    assert (process.given_back, process.own()) == (0, BOUND - PASSES)


def test_what_is_free_goes_back_before_anything_that_is_used() -> None:
    process = Process(heads=[(1, 5), (2, 3)])
    process.beside = 5

    def give_back() -> None:
        process.beside = 0

    async def body() -> None:
        room = Room(BOUND, own=process.own, give_back=give_back)
        room.holders = tuple(process.holders.values())
        await room.keep()

    run(body)
    assert len(process.holders["heads"].has) == 2


def test_the_least_recently_used_of_all_goes_first_and_the_newest_of_each_stays() -> None:
    process = Process(heads=[(1, 2), (4, 2), (6, 6)], networks=[(3, 2), (5, 3)])

    async def body() -> None:
        await process.room().keep()

    run(body)
    assert process.holders["heads"].asked == [3, float("inf")]
    assert process.holders["networks"].asked == [4]
    assert [age for one in process.holders.values() for age, _ in one.has] == [6, 5]


def test_what_is_still_in_use_is_not_made_up_for_by_others() -> None:
    process = Process(heads=[(2, 2), (4, 2)], networks=[(1, 6), (3, 6)])
    process.holders["networks"].is_free = False

    async def body() -> None:
        await process.room().keep()
        async with process.room().for_network() as has_room:
            assert not has_room

    run(body)
    assert len(process.holders["heads"].has) == 2


def test_a_network_alone_has_room_and_another_waits_for_it() -> None:
    process = Process(networks=[(1, 4)])
    process.beside = 10

    async def body() -> None:
        room = process.room()
        async with room.for_network() as has_room:
            assert has_room, "even the newest makes way, and then it is alone"
            second = asyncio.create_task(entered(room))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not second.done()
            process.beside = 2
        assert await second

    run(body)
    assert process.holders["networks"].has == []


def test_what_is_promised_to_one_is_not_there_for_another() -> None:
    process = Process(networks=[(1, 2), (2, 2)])
    process.beside = 5

    async def body() -> None:
        room = process.room()
        async with room.for_network() as first:
            assert (first, len(process.holders["networks"].has)) == (True, 2)
            async with room.for_network() as second:
                assert (second, len(process.holders["networks"].has)) == (True, 1)

    run(body)


def test_where_there_is_no_bound_nothing_makes_way() -> None:
    process = Process(heads=[(1, 50), (2, 50)])

    async def body() -> None:
        room = Room(0, own=process.own, give_back=process.give_back)
        room.holders = tuple(process.holders.values())
        await room.keep()
        async with room.for_network() as has_room:
            assert has_room

    run(body)
    assert process.own() == 100 * NETWORK


async def entered(room: Room) -> bool:
    async with room.for_network() as has_room:
        return has_room
