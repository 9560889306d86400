"""One organisation holds few threads at a time, whatever it asks; others' are there."""

from __future__ import annotations

import gc
import threading

import anyio
from anyio import to_thread

from app.infra.turns import OWN_BUILDS, Builds, Turns


def test_an_organisation_waits_behind_itself_alone() -> None:
    turns, gate = Turns(at_once=2), threading.Event()
    running: list[str] = []
    third = threading.Event()

    def work(name: str) -> None:
        running.append(name)
        if len(running) >= 3:
            third.set()
        gate.wait(20)

    async def ask(name: str) -> None:
        await to_thread.run_sync(work, name, limiter=turns.of(name))

    async def all_of_them() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(ask, "greedy")
            tasks.start_soon(ask, "modest")
            await to_thread.run_sync(third.wait, 20)
            await anyio.sleep(0.05)
            assert sorted(running) == ["greedy", "greedy", "modest"]
            gate.set()

    anyio.run(all_of_them)
    assert running.count("greedy") == 6


def test_who_asks_nothing_is_forgotten() -> None:
    async def ask() -> int:
        turns = Turns()
        for number in range(100):
            async with turns.of(str(number)):
                pass
        gc.collect()
        return len(turns._limiters)

    assert anyio.run(ask) == 0


def test_many_builds_of_one_leave_a_turn_for_another() -> None:
    builds, begun, over = Builds(), threading.Semaphore(0), threading.Event()

    def slow() -> None:
        begun.release()
        assert over.wait(30)

    async def all_of_it() -> str:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(builds.run, "many", slow)
            for _ in range(OWN_BUILDS):
                await to_thread.run_sync(begun.acquire)
            assert builds.under_way == OWN_BUILDS
            answer = await builds.run("one", lambda: "made")
            assert builds.under_way == OWN_BUILDS
            over.set()
        return answer

    assert anyio.run(all_of_it) == "made"
    assert builds.under_way == 0
