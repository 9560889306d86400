"""Whoever waits for a predictor that has fallen silent is told so; for a busy one it is waited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.infra.predictor_client import silence
from app.infra.predictor_client.silence import Silence


class Waiting:
    """Notes that it was told."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    def silenced(self) -> None:
        self.told.set()


class Pinged:
    """Answers, or does not."""

    def __init__(self, *, answers: bool) -> None:
        self.answers, self.asked = answers, 0

    async def __call__(self) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answers


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "_EVERY", 0.005)
    monkeypatch.setattr(silence, "_QUIET", 0.01)


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def looked_at(body: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(body(), 30)

    asyncio.run(run())


def test_who_waits_for_a_silent_one_is_told_until_it_answers() -> None:
    async def body() -> None:
        ping = Pinged(answers=False)
        seen, one, other = Silence(ping), Waiting(), Waiting()
        with seen.waiting(one), seen.waiting(other):
            await one.told.wait()
            assert other.told.is_set()
        assert seen.is_known
        assert ping.asked >= silence._MISSED
        ping.answers = True
        await _until(lambda: not seen.is_known)
        later = Waiting()
        with seen.waiting(later):
            await asyncio.sleep(0.1)
            assert not later.told.is_set()
        seen.close()

    looked_at(body)


def test_a_busy_one_that_answers_questions_is_waited_for() -> None:
    async def body() -> None:
        ping, one = Pinged(answers=True), Waiting()
        seen = Silence(ping)
        with seen.waiting(one):
            await _until(lambda: ping.asked >= 3 * silence._MISSED)
        assert not one.told.is_set()
        seen.close()

    looked_at(body)


def test_one_that_answers_others_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "_QUIET", 10.0)

    async def body() -> None:
        ping, one = Pinged(answers=False), Waiting()
        seen = Silence(ping)
        with seen.waiting(one):
            for _ in range(20):
                seen.heard()
                await asyncio.sleep(0.005)
        assert (ping.asked, seen.is_known) == (0, False)
        seen.close()

    looked_at(body)


def test_nobody_is_looked_after_while_nobody_waits() -> None:
    async def body() -> None:
        ping, one = Pinged(answers=False), Waiting()
        seen = Silence(ping)
        with seen.waiting(one):
            pass
        await asyncio.sleep(0.05)
        assert seen._watch is None
        assert ping.asked == 0

    looked_at(body)
