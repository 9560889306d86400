"""Networks make way by when they were last used; no call that is under way feels it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.messages import Target
from tests.unit.worker.predictor.test_service import TARGET, Bench
from worker.predictor.batching import Batcher
from worker.predictor.networks.room import NETWORK, PASSES, Room


def of(name: str) -> Target:
    return replace(TARGET, backbone=name)


@dataclass
class Crowded(Bench):
    """A process that has room for so many networks, each of which is as large as is reckoned."""

    places: int = 2
    alive: weakref.WeakSet[Batcher] = field(default_factory=weakref.WeakSet)
    loads: Counter[str] = field(default_factory=Counter)
    most: int = 0
    began: threading.Event = field(default_factory=threading.Event)
    holds: Any = None

    def own(self) -> int:
        return len(self.alive) * NETWORK

    def build(self, name: str, precision: str) -> Batcher:
        batcher = super().build(name, precision)
        self.alive.add(batcher)
        self.loads[name] += 1
        self.most = max(self.most, len(self.alive))
        return batcher

    def answer(self, items: Any, rows: Any) -> list[bytes]:
        self.began.set()
        if self.holds is not None:
            assert self.holds.wait(30)
        return super().answer(items, rows)

    def room(self) -> Room:
        return Room(self.places * NETWORK + PASSES, own=self.own, give_back=lambda: None)


def test_a_network_that_is_always_asked_stays_beside_others_that_come_and_go() -> None:
    bench = Crowded()
    answers: Counter[int] = Counter()

    async def asked(name: str) -> None:
        answers[(await bench.ask(target=of(name))).status] += 1

    async def body() -> None:
        for number in range(12):
            await asyncio.gather(asked("always"), asked(f"other-{number % 3}"))
            await asked("always")
        await bench.is_idle()

    bench.run(body)
    assert answers == {200: 36}
    assert bench.loads["always"] == 1
    assert sum(bench.loads.values()) == 13, "the others have one place between them"
    assert bench.most == 2


def test_who_is_being_answered_is_answered_and_the_next_call_waits_for_room() -> None:
    bench = Crowded(places=1)

    async def body() -> None:
        bench.holds = threading.Event()
        first = asyncio.create_task(bench.ask(target=of("one")))
        assert await asyncio.to_thread(bench.began.wait, 30)
        second = asyncio.create_task(bench.ask(target=of("two")))
        await asyncio.sleep(0.1)
        assert bench.loads == {"one": 1}
        bench.holds.set()
        assert [(await one).status for one in (first, second)] == [200, 200]
        await bench.is_idle()

    bench.run(body)
    assert (bench.loads, bench.most) == ({"one": 1, "two": 1}, 1)


def test_who_waits_for_room_in_vain_may_come_back() -> None:
    bench = Crowded(places=1)

    async def body() -> None:
        bench.service.fleet.users = lambda: list(bench.alive)  # as if a call never ended
        assert (await bench.ask(target=of("one"))).status == 200
        wire = await bench.ask(target=of("two"), timeout=0.3)
        assert (wire.status, wire.answer["code"]) == (503, "overloaded")
        assert wire.answer["retry_after"] > 0
        bench.service.fleet.users = list
        assert (await bench.ask(target=of("two"), timeout=20)).status == 200

    bench.run(body)


def test_what_makes_way_leaves_nothing() -> None:
    bench = Crowded(places=1, depth="partial")

    async def body() -> None:
        for name in ("one", "two", "one"):
            assert (await bench.ask(target=of(name))).status == 200
        await bench.is_idle()
        assert len(bench.alive) == 1, "nobody waits for the garbage collector"
        assert len(bench.service.fleet._rehearsed) == 1

    bench.run(body)
    assert bench.loads == {"one": 2, "two": 1}
