"""What tuned networks read is got ready once, off the event loop, and whoever asks is told."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from app.core.errors import HeadstartError
from tests.unit.worker.predictor.test_service import TARGET, Bench
from worker.formats.served import TunedNetwork


def test_a_tuned_network_is_got_ready_once_for_all_who_ask() -> None:
    ready: list[str] = []
    bench = Bench(depth="partial", rehearse=ready.append)

    async def body() -> None:
        wires = await asyncio.gather(*(bench.ask() for _ in range(3)), bench.ask("/load"))
        assert [wire.status for wire in wires] == [200] * 4
        named = replace(TARGET, alias="prod")
        assert (await bench.ask(target=named)).status == 200
        await bench.is_idle()

    bench.run(body)
    assert ready == ["partial"]
    network = TunedNetwork("resnet18", "openvino-bf16", "partial")
    assert bench.told == [(network, False)] * 3 + [(network, True)]


def test_who_asks_while_it_is_got_ready_may_come_back_and_it_goes_on() -> None:
    began, goes_on = threading.Event(), threading.Event()
    ready: list[str] = []

    def rehearse(depth: str) -> None:
        ready.append(depth)
        began.set()
        assert goes_on.wait(30)

    bench = Bench(depth="full", rehearse=rehearse)

    async def body() -> None:
        wire = await bench.ask(timeout=0.2)
        assert (wire.status, wire.answer["code"]) == (503, "overloaded")
        assert wire.answer["retry_after"] > 0
        assert await asyncio.to_thread(began.wait, 30)
        waits = asyncio.create_task(bench.ask())
        await asyncio.sleep(0)
        goes_on.set()
        assert (await waits).status == 200
        await bench.is_idle()

    bench.run(body)
    assert ready == ["full"]


def test_what_could_not_be_got_ready_is_told_and_tried_again() -> None:
    tries: list[str] = []

    def rehearse(depth: str) -> None:
        tries.append(depth)
        if len(tries) == 1:
            raise HeadstartError("cut_unavailable", "no cut")

    bench = Bench(depth="partial", rehearse=rehearse)

    async def body() -> None:
        assert (await bench.ask()).answer["code"] == "cut_unavailable"
        assert (await bench.ask()).status == 200
        await bench.is_idle()

    bench.run(body)
    assert len(tries) == 2
