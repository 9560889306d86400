"""Many models, a head that is read for the first time, an alias that moves under load."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from math import inf
from statistics import median
from typing import Any

import httpx

from app.core.messages import Call, Options
from app.infra.predictor_client import open_predictor
from benchmarks.record import spread
from benchmarks.serving.bench import Bench, gauge_of, medians
from benchmarks.serving.open_loop import Plan, http_request, run_async
from benchmarks.serving.open_loop import run as open_loop
from benchmarks.serving.world import many_models, zipf
from benchmarks.serving.wrk import Load

MODELS = 10_000


def many(bench: Bench) -> dict[str, Any]:
    """Ten thousand models asked in Zipf's proportions, against one, in turns."""
    world = bench.world
    alone_mb = world.resident_mb("predictor")
    models = many_models(world, MODELS)
    paths = [world.path(model) for model in zipf(models, 50_000)]
    spread_out = bench.load("zipf", Load(world.jpegs, "image/jpeg", paths, world.key))
    asyncio.run(_load_all(bench, models))
    one, zipfs, over = [bench.ask(bench.single(), clients=64)], [], []
    for _ in range(bench.rounds):
        zipfs.append(bench.ask(spread_out, clients=64))
        one.append(bench.ask(bench.single(), clients=64))
        around = (one[-1]["images_per_second"] + one[-2]["images_per_second"]) / 2
        over.append(zipfs[-1]["images_per_second"] / around)
    resident, heads = world.resident_mb("predictor"), bench.gauge("heads_bytes") / 1e6
    return {
        "one": medians(one),
        "ten_thousand": medians(zipfs),
        "over_one": spread(over),
        "heads_in_memory": bench.gauge("heads"),
        "heads_mb": heads,
        "resident_mb_one_model": alone_mb,
        "resident_mb": resident,
        "resident_beyond_one_over_heads": (resident - alone_mb) / heads,
    }


async def _load_all(bench: Bench, models: list[str]) -> None:
    """Load every head once, as an alias that moves does, some at a time."""
    services = bench.world.service.supervisor.settings
    client, waiting = open_predictor(services), iter(bench.world.targets(models))

    async def some() -> None:
        for target in waiting:
            await client.load(Call(id="", tenant="", target=target, options=Options(), inputs=()))

    await asyncio.gather(*(some() for _ in range(8)))
    held = gauge_of(await client.metrics(), "heads")
    await client.close()
    if held < len(models):
        raise SystemExit("the predictor does not hold all heads; raise HEADS_CACHE_BYTES")


def cold(bench: Bench) -> dict[str, Any]:
    """A lone request to a model whose head was never loaded, against one whose head is there."""
    world = bench.world
    models = many_models(world, 200)
    body = world.jpegs[0]

    def ask(model: str) -> float:
        request = http_request(world.path(model), world.key, body)
        (outcome,) = open_loop(world.url, [request], Plan(rate=1, seconds=0.5))
        assert outcome.status == 200
        return outcome.took * 1e3

    first, second = [], []
    for model in models:
        first.append(ask(model))
        time.sleep(0.02)
        second.append(ask(model))
    added = median(first) - median(second)
    return {"cold_ms": median(first), "warm_ms": median(second), "added_ms": added}


@dataclass
class _Move:
    """To which model the alias moved, and when that was answered."""

    model: str
    done: float = inf


@dataclass
class _Watch:
    """Checks each answer against the two models and when the alias last moved."""

    classes: dict[str, set[str]]
    sent: list[float]
    moves: list[_Move] = field(default_factory=list)
    errors: int = 0
    mixed: int = 0
    stale: int = 0
    by_model: dict[str, int] = field(default_factory=dict)

    def __call__(self, number: int, status: int, body: bytes) -> None:
        if status != 200:
            self.errors += 1
            return
        answer = json.loads(body)
        labels = {p["label"] for item in answer["data"] for p in item["predictions"]}
        self.mixed += labels != self.classes.get(answer["model"])
        self.by_model[answer["model"]] = self.by_model.get(answer["model"], 0) + 1
        self.stale += answer["model"] not in self._possible(self.sent[number])

    def _possible(self, sent: float) -> set[str]:
        """The model that the last move finished before meant, and those moved to since."""
        before = [move.model for move in self.moves if move.done <= sent]
        return {*before[-1:], *(move.model for move in self.moves if move.done > sent)}


def swap(bench: Bench) -> dict[str, Any]:
    """An alias that moves twice a second between models without a class in common.

    200 requests a second of 128 pictures, which the prediction cache soon knows under both models;
    then, with the cache off, 70% of what the engine can do.
    """
    models = (bench.world.model, bench.world.another())
    rate = round(0.7 * bench.capacity())
    cached = asyncio.run(_swapped(bench, models, rate=200, cache="on"))
    computed = asyncio.run(_swapped(bench, models, rate=rate, cache="off"))
    return {"cache_on": cached, "cache_off": computed}


async def _swapped(
    bench: Bench, models: tuple[str, str], *, rate: float, cache: str
) -> dict[str, Any]:
    world = bench.world
    classes = {model: world.classes(model) for model in models}
    path = world.path("swapped@production")
    requests = [http_request(path, world.key, jpeg, cache=cache) for jpeg in world.jpegs]
    plan = Plan(rate=rate, seconds=2 * bench.seconds, even=True)
    headers = {"authorization": f"Bearer {world.key}"}
    async with httpx.AsyncClient(base_url=world.url, headers=headers) as client:
        await _point(client, models[0])
        start = time.perf_counter()
        watch = _Watch(classes, [start + due for due in plan.times()])
        watch.moves.append(_Move(models[0], start))
        moving = asyncio.ensure_future(_move(client, models, watch))
        outcomes = await run_async(world.url, requests, plan, check=watch)
        moving.cancel()
    return {
        "rate": rate,
        "answers": len(outcomes),
        "moves": len(watch.moves) - 1,
        "errors": watch.errors,
        "mixed": watch.mixed,
        "of_the_model_before": watch.stale,
        "answers_by_model": sorted(watch.by_model.values()),
    }


async def _move(client: httpx.AsyncClient, models: tuple[str, str], watch: _Watch) -> None:
    while True:
        await asyncio.sleep(0.5)
        move = _Move(models[len(watch.moves) % 2])
        watch.moves.append(move)
        await _point(client, move.model)
        move.done = time.perf_counter()


async def _point(client: httpx.AsyncClient, model: str) -> None:
    answer = await client.put("/v1/aliases/swapped@production", json={"model": model})
    answer.raise_for_status()
