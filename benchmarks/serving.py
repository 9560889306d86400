"""Serving over HTTP against the bare pipeline: throughput, latency, many models, overload.

Every ratio is within one run; the sides alternate, so that a drifting machine meets both. wrk, the
app and the predictor share the cores that the bare pipeline has to itself.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import wrk
from benchmarks.bare import Bare
from benchmarks.open_loop import Outcome, Plan, http_request, percentile
from benchmarks.open_loop import run as open_loop
from benchmarks.record import record, spread
from benchmarks.serving_world import World, many_models, multipart, world, zipf
from benchmarks.wrk import Load

SECTIONS = ("throughput", "lone", "rate", "overload", "many", "cold")


@dataclass
class Bench:
    """One run's world, and how long each measurement takes."""

    world: World
    bare: Bare
    folder: Path
    seconds: float
    rounds: int

    def load(self, name: str, load: Load) -> Path:
        """A load written down for wrk."""
        return wrk.prepare(load, self.folder / name)

    def ask(self, folder: Path, *, clients: int, images: int = 1) -> dict[str, float]:
        """wrk's figures, as images, with the processor time that each process spent on one."""
        before = self.world.core_seconds()
        found = wrk.run(self.world.url, folder, clients=clients, seconds=self.seconds)
        if found["errors"]:
            raise SystemExit(f"wrk saw errors: {found}")
        done = found["requests"] * images
        after = self.world.core_seconds()
        return {
            "images_per_second": done / found["seconds"],
            "p50_ms": found["p50"],
            "p99_ms": found["p99"],
            **{f"{name}_core_ms": 1e3 * (after[name] - before[name]) / done for name in after},
        }


def throughput(bench: Bench) -> dict[str, Any]:
    """Over HTTP against bare: 32-image requests of 4 clients, single images of 64 clients."""
    jpegs, path, key = bench.world.jpegs, bench.world.path(), bench.world.key
    packs = [multipart(jpegs[at : at + 32]) for at in range(0, len(jpegs), 32)]
    many = bench.load("many", Load([body for body, _ in packs], packs[0][1], [path], key))
    single = bench.load("single", Load(jpegs, "image/jpeg", [path], key))
    sides: dict[str, list[dict[str, float]]] = {"bare": [], "requests_of_32": [], "single_64": []}
    for _ in range(bench.rounds):
        sides["bare"].append(bench.bare.throughput(bench.seconds))
        sides["requests_of_32"].append(bench.ask(many, clients=4, images=32))
        sides["bare"].append(bench.bare.throughput(bench.seconds))
        sides["single_64"].append(bench.ask(single, clients=64))
    bare = median(side["images_per_second"] for side in sides["bare"])
    found = {name: _medians(side) for name, side in sides.items()}
    for name in ("requests_of_32", "single_64"):
        found[name]["over_bare"] = found[name]["images_per_second"] / bare
    return _rounded(found)


def lone(bench: Bench) -> dict[str, Any]:
    """One client that asks one image at a time, against decode and batch 1 in one process."""
    load = Load(bench.world.jpegs, "image/jpeg", [bench.world.path()], bench.world.key)
    folder = bench.load("lone", load)
    bare, ours = [], []
    for _ in range(bench.rounds):
        bare.append(median(bench.bare.lone(200)))
        ours.append(bench.ask(folder, clients=1)["p50_ms"])
    return {
        "bare_p50_ms": spread(bare),
        "http_p50_ms": spread(ours),
        "added_ms": round(median(ours) - median(bare), 2),
    }


def at_rate(bench: Bench) -> dict[str, Any]:
    """Random arrivals at 70% of the capacity found just before."""
    capacity = _capacity(bench)
    outcomes = _open(bench, 0.7 * capacity)
    took = [outcome.took * 1e3 for outcome in outcomes]
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    return _rounded(
        {
            "capacity": capacity,
            "rate": 0.7 * capacity,
            "errors": sum(outcome.status != 200 for outcome in outcomes),
            "p50_ms": p50,
            "p99_ms": p99,
            "p99_over_p50": p99 / p50,
        }
    )


def overload(bench: Bench) -> dict[str, Any]:
    """Random arrivals at three times the capacity found just before."""
    capacity = _capacity(bench)
    outcomes = _open(bench, 3 * capacity)
    end = max(outcome.due for outcome in outcomes)
    served = [o for o in outcomes if o.status == 200]
    refused = [o.took * 1e3 for o in outcomes if o.status == 503]
    last = max(outcome.due + outcome.took for outcome in served)
    return _rounded(
        {
            "capacity": capacity,
            "offered": len(outcomes) / end,
            "goodput": len(served) / last,
            "goodput_over_capacity": len(served) / last / capacity,
            "refused": len(refused),
            "refused_p50_ms": percentile(refused, 0.5) if refused else None,
            "refused_p99_ms": percentile(refused, 0.99) if refused else None,
            "others": sum(o.status not in (200, 503) for o in outcomes),
        }
    )


def many(bench: Bench) -> dict[str, Any]:
    """Ten thousand models asked in Zipf's proportions, against one."""
    world = bench.world
    one = bench.load("one", Load(world.jpegs, "image/jpeg", [world.path()], world.key))
    alone_mb, alone = world.resident_mb("predictor"), bench.ask(one, clients=64)
    models = many_models(world, 10_000)
    paths = [world.path(model) for model in zipf(models, 50_000)]
    spread_out = bench.load("zipf", Load(world.jpegs, "image/jpeg", paths, world.key))
    every = bench.load(
        "every", Load(world.jpegs[:1], "image/jpeg", [world.path(m) for m in models], world.key)
    )
    _visit_all(bench, every, len(models))
    single, zipfs = [alone], []
    for _ in range(bench.rounds):
        zipfs.append(bench.ask(spread_out, clients=64))
        single.append(bench.ask(one, clients=64))
    resident, heads = world.resident_mb("predictor"), _gauge(world, "heads_bytes") / 1e6
    found = {"one": _medians(single), "ten_thousand": _medians(zipfs)}
    rate = {name: side["images_per_second"] for name, side in found.items()}
    return _rounded(
        {
            **found,
            "over_one": rate["ten_thousand"] / rate["one"],
            "heads_in_memory": _gauge(world, "heads"),
            "heads_mb": heads,
            "resident_mb_one_model": alone_mb,
            "resident_mb": resident,
            "resident_beyond_one_over_heads": (resident - alone_mb) / heads,
        }
    )


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
        second.append(ask(model))
    added = median(first) - median(second)
    return _rounded({"cold_ms": median(first), "warm_ms": median(second), "added_ms": added})


RUNS: dict[str, Callable[[Bench], dict[str, Any]]] = dict(
    zip(SECTIONS, (throughput, lone, at_rate, overload, many, cold), strict=True)
)


def main() -> None:
    """The sections asked for, all by default, into one result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="headstart-serving-") as name:
        folder = Path(name)
        with world(folder) as made, Bare(made.folder) as bare:
            bench = Bench(made, bare, folder, options.seconds, options.rounds)
            _warm(bench)
            found = {name: RUNS[name](bench) for name in options.only or SECTIONS}
    record(
        "serving",
        figure="predictions over HTTP (key checked, prediction cache off) against the bare"
        " pipeline on the same cores; efficientnet_lite0, 5 classes",
        method=f"128 clothing JPEGs; medians of {options.rounds} rounds of {options.seconds:g} s,"
        " sides alternating; app, predictor and load generator (wrk; for given rates an asyncio"
        " open loop) share the cores; bare: one process, decode threads overlapped with the engine"
        " at its best batch",
        results={"other_load_on_the_machine": round(load, 1), **found},
    )


def _warm(bench: Bench) -> None:
    load = Load(bench.world.jpegs, "image/jpeg", [bench.world.path()], bench.world.key)
    wrk.run(bench.world.url, bench.load("warm", load), clients=16, seconds=3)


def _capacity(bench: Bench) -> float:
    load = Load(bench.world.jpegs, "image/jpeg", [bench.world.path()], bench.world.key)
    folder = bench.folder / "capacity"
    if not folder.exists():
        wrk.prepare(load, folder)
    return bench.ask(folder, clients=64)["images_per_second"]


def _open(bench: Bench, rate: float) -> list[Outcome]:
    world = bench.world
    requests = [http_request(world.path(), world.key, jpeg) for jpeg in world.jpegs]
    return open_loop(world.url, requests, Plan(rate=rate, seconds=2 * bench.seconds))


def _visit_all(bench: Bench, folder: Path, count: int) -> None:
    """Load every head once (wrk goes through the paths in turn)."""
    while _gauge(bench.world, "heads") < count:
        before = _gauge(bench.world, "heads")
        wrk.run(bench.world.url, folder, clients=64, seconds=bench.seconds)
        if _gauge(bench.world, "heads") == before:
            raise SystemExit("the predictor does not hold all heads; raise HEADS_CACHE_BYTES")


def _gauge(world: World, name: str) -> float:
    import asyncio

    from app.infra.predictor_client import open_predictor

    async def read() -> bytes:
        client = open_predictor(world.service.supervisor.settings)
        try:
            return await client.metrics()
        finally:
            await client.close()

    lines = asyncio.run(read()).decode().splitlines()
    return next(float(x.split()[1]) for x in lines if x.startswith(f"headstart_predictor_{name} "))


def _medians(sides: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(side[name] for side in sides) for name in sides[0]}


def _rounded(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _rounded(value) for name, value in found.items()}
    return round(found, 3) if isinstance(found, float) else found


if __name__ == "__main__":
    main()
