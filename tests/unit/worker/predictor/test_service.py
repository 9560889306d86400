"""The predictor's service: every call ends with an answer, whatever goes wrong on its way."""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from app.core import messages
from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target
from app.infra.precision import Precisions
from worker.answers.rendering import Labels, Scores, render
from worker.predictor.batching import Batcher, Work
from worker.predictor.calls import InputOutcome, PendingInput
from worker.predictor.head_cache import HeadCache
from worker.predictor.http import Exchange
from worker.predictor.metrics import Metrics
from worker.predictor.networks.fleet import Fleet
from worker.predictor.networks.room import Room
from worker.predictor.prediction_cache import PredictionCache
from worker.predictor.service import Service

TRAINED, OTHER = "a" * 64, "b" * 64
TARGET = Target(model="m", backbone="resnet18", artifact="models/m", sha256="0")


BOTH = Precisions(default="openvino-bf16", available=("openvino-f32", "openvino-bf16"))
PLAIN = Precisions(default="openvino-f32", available=("openvino-f32",))


class Wire:
    """Where an exchange's answer goes."""

    def __init__(self) -> None:
        self.status, self.answer = 0, {}
        self.text = b""
        self.extra = ""
        self.done = asyncio.Event()

    def send(self, status: int, body: bytes, *, kind: str, extra: str) -> None:
        self.status, self.text, self.extra = status, body, extra
        if kind == "application/json":
            self.answer = json.loads(body)
        self.done.set()


@dataclass
class Bench:
    """A service whose backbone doubles nothing: it answers every input with the same scores."""

    weights_sha256: str = TRAINED
    read_as: str = ""
    limit: int = 10
    broken: Exception | None = None
    corrupt: Exception | None = None
    fitted: str = "openvino-bf16"
    depth: Any = None
    rehearse: Callable[[Any], None] = lambda _depth: None
    told: list[Any] = field(default_factory=list)
    precisions: Precisions = BOTH
    batches: list[int] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    service: Any = None
    cache: Any = None
    metrics: Any = None

    def build(self, name: str, precision: str) -> Batcher:
        self.built.append(precision)
        if self.broken is not None:
            raise self.broken
        service, loop = self.service, self.loop

        def deliver(outcomes: list[InputOutcome]) -> None:
            loop.call_soon_threadsafe(service.deliver, outcomes)

        return Batcher(
            name,
            Work(lambda item: bytes(item.input.data), self.answer),
            [list],
            sizes=(1, 2, 4),
            limit=100,
            wait=60,
            decoders=1,
            weights_sha256=self.weights_sha256,
            engine=f"openvino-{precision}",
            fingerprint="read so",
            former=["read before"],
            rehearse=self.rehearse,
            deliver=deliver,
            metrics=self.metrics,
        )

    def load(self, _target: Target) -> Any:
        if self.corrupt is not None:
            raise self.corrupt
        return SimpleNamespace(
            nbytes=1,
            labels=Labels(["x", "y"]),
            weights_sha256=TRAINED,
            fitted=self.fitted,
            read_as=self.read_as,
            depth=self.depth,
        )

    def answer(self, items: Sequence[PendingInput], _rows: Any) -> list[bytes]:
        self.batches.append(len(items))
        found = []
        for item in items:
            scores = Scores(item.call.head.labels, array("f", [0.75, 0.25]))
            if item.key:
                self.cache.put(item.key, scores)
            found.append(render(scores, index=item.index, options=item.call.request.options))
        return found

    def room(self) -> Room:
        return Room()

    def run(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with ThreadPoolExecutor(2) as executor:

            async def go() -> None:
                self.loop = asyncio.get_running_loop()
                self.metrics, self.cache = Metrics(), PredictionCache(10_000)
                heads: HeadCache[Any] = HeadCache(
                    self.load, budget=100, executor=executor, metrics=self.metrics
                )
                room, known = self.room(), self.precisions
                fleet = Fleet(self.build, executor=executor, precisions=known, room=room)
                room.holders = (fleet,)
                self.service = Service(
                    fleet=fleet,
                    heads=heads,
                    cache=self.cache,
                    metrics=self.metrics,
                    limit=self.limit,
                    served=lambda *network: self.told.append(network),
                )
                try:
                    await body()
                finally:
                    self.service.fleet.close()

            asyncio.run(go())

    def send(self, path: str, body: bytes) -> Wire:
        wire = Wire()
        self.service.handle(Exchange(wire, path=path, body=body))  # type: ignore[arg-type]
        return wire

    async def ask(self, path: str = "/predict", target: Target = TARGET, **options: Any) -> Wire:
        call = Call(
            id="p",
            tenant="t",
            target=target,
            options=Options(**options),
            inputs=(Input("image", b"one"),),
        )
        wire = self.send(path, b"".join(messages.encode(call)))
        await asyncio.wait_for(wire.done.wait(), 5)
        return wire

    async def is_idle(self) -> None:
        """Every call that was opened has been closed."""
        await asyncio.wait_for(self.service.drained(), 1)

    def lookups(self, result: str) -> float:
        return float(self.metrics.cache.labels(result)._value.get())


def test_a_head_is_not_asked_over_weights_it_was_not_trained_on() -> None:
    bench = Bench(weights_sha256=OTHER)

    async def body() -> None:
        for _ in range(2):  # while the head loads, and once it is in memory
            wire = await bench.ask()
            assert wire.answer["code"] == "backbone_unavailable"
            assert TRAINED in wire.answer["message"]
        wire = await bench.ask(explain=("saliency",))
        assert wire.answer["code"] == "backbone_unavailable"
        await bench.is_idle()

    bench.run(body)
    assert bench.batches == []


def test_a_head_is_not_asked_over_weights_that_are_read_otherwise() -> None:
    bench = Bench(read_as="read otherwise")

    async def body() -> None:
        wire = await bench.ask()
        assert wire.answer["code"] == "backbone_unavailable"
        assert "side file" in wire.answer["message"]
        await bench.is_idle()

    bench.run(body)
    assert bench.batches == []


@pytest.mark.parametrize("read_as", ["", "read so", "read before"])
def test_a_head_over_its_own_weights_is_asked(read_as: str) -> None:
    bench = Bench(read_as=read_as)

    async def body() -> None:
        assert (await bench.ask()).answer["data"][0]["label"] == "x"

    bench.run(body)


@pytest.mark.parametrize("fault", [RuntimeError("out of memory"), PermissionError("no")])
def test_a_backbone_that_breaks_while_loading_is_told_at_once(fault: Exception) -> None:
    bench = Bench(broken=fault)

    async def body() -> None:
        assert (await bench.ask()).answer["code"] == "internal"
        await bench.is_idle()

    bench.run(body)


@pytest.mark.parametrize("path", ["/predict", "/load"])
def test_a_head_that_breaks_while_loading_is_told_at_once(path: str) -> None:
    bench = Bench(corrupt=PermissionError("no"))

    async def body() -> None:
        assert (await bench.ask(path)).answer["code"] == "internal"
        await bench.is_idle()

    bench.run(body)


def test_a_call_that_is_refused_leaves_nothing_open() -> None:
    bench = Bench(limit=0)

    async def body() -> None:
        assert (await bench.ask()).answer["code"] == "overloaded"
        await bench.is_idle()

    bench.run(body)


def test_a_bug_is_an_error_of_ours_and_leaves_nothing_open() -> None:
    bench = Bench()

    async def body() -> None:
        bench.service.heads = None
        assert (await bench.ask()).answer["code"] == "internal"
        await bench.is_idle()
        bench.service.metrics = SimpleNamespace(calls=bench.metrics.calls)
        assert bench.send("/metrics", b"").answer["code"] == "internal"

    bench.run(body)


def test_nonsense_is_named_so() -> None:
    bench = Bench()

    async def body() -> None:
        assert bench.send("/predict", b"").answer["code"] == "bad_request"
        assert bench.send("/nowhere", b"").answer["code"] == "not_found"

    bench.run(body)


def test_only_what_the_cache_answers_is_a_hit() -> None:
    bench = Bench()

    async def body() -> None:
        first, second = await bench.ask(), await bench.ask()
        assert first.answer == second.answer
        await bench.ask(explain=("neighbours",))

    bench.run(body)
    assert (bench.lookups("miss"), bench.lookups("hit")) == (1, 1)
    assert bench.batches == [1, 1]


@pytest.mark.parametrize(
    ("machine", "fitted", "built", "told"),
    [
        (BOTH, "openvino-bf16", "bf16", "openvino-bf16"),
        (BOTH, "openvino-f32", "f32", "openvino-f32"),
        (BOTH, "", "bf16", "openvino-bf16"),
        (PLAIN, "openvino-f32", "f32", "openvino-f32"),
        (PLAIN, "openvino-bf16", "f32", "openvino-f32; fitted=openvino-bf16"),
    ],
)
def test_a_model_is_answered_in_its_own_precision_or_it_is_said(
    machine: Precisions, fitted: str, built: str, told: str
) -> None:
    bench = Bench(precisions=machine, fitted=fitted)

    async def body() -> None:
        for _ in range(2):  # while the head and its network load, and from the cache
            wire = await bench.ask()
            assert f"x-headstart-precision: {told}\r\n" in wire.extra
        wire = bench.send("/precision", b"")
        assert Precisions.read(wire.text) == machine
        assert bench.send("/metrics", b"").text.count(_counted(fitted, built)) == 1

    bench.run(body)
    assert bench.built == [built]


def _counted(fitted: str, served: str) -> bytes:
    name = "headstart_predictor_precision_inputs_total"
    was = fitted.removeprefix("openvino-") or "unknown"
    return f'{name}{{fitted="{was}",served="{served}"}} 2.0'.encode()


def test_each_precision_is_loaded_when_it_is_asked_for_and_once() -> None:
    bench = Bench(fitted="openvino-f32")

    async def body() -> None:
        await bench.service.fleet.load("resnet18")  # as the process does before anybody asks
        assert bench.built == ["bf16"]
        await asyncio.gather(*(bench.ask() for _ in range(3)))
        plain = replace(TARGET, artifact="")
        bench.service.fleet.get("resnet18")._work = Work(
            lambda item: b"", lambda items, _rows: [b"{}" for _ in items]
        )
        assert "x-headstart-precision: openvino-bf16\r\n" in (await bench.ask(target=plain)).extra

    bench.run(body)
    assert bench.built == ["bf16", "f32"]


def test_a_head_that_is_made_ready_has_its_network_ready() -> None:
    bench = Bench(fitted="openvino-f32")

    async def body() -> None:
        assert (await bench.ask("/load")).status == 200
        assert bench.built == ["f32"]

    bench.run(body)


@pytest.mark.parametrize("said", [b"", b"[]", b'{"default":"openvino-f32"}', b"nonsense"])
def test_nonsense_about_precision_is_no_answer(said: bytes) -> None:
    with pytest.raises(HeadstartError) as caught:
        Precisions.read(said)
    assert caught.value.code == "predictor_unavailable"
