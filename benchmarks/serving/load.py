"""One model under load: throughput and latency against bare, a given rate, overload."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from benchmarks.record import spread
from benchmarks.serving.bench import Bench, medians
from benchmarks.serving.open_loop import Outcome, percentile
from benchmarks.serving.world import multipart
from benchmarks.serving.wrk import Load

TURNS = 4
SETTLE = 1.0
"""Seconds in which the server ends what wrk had under way when it left."""

PROMPT = 50
"""Milliseconds within which a refusal should come."""


def throughput(bench: Bench) -> dict[str, Any]:
    """Over HTTP against bare: 32-image requests of 4 clients, single images of 64 clients.

    Bare runs before and after each; a round's ratio is to the mean of its two neighbours.
    """
    jpegs, path, key = bench.world.jpegs, bench.world.path(), bench.world.key
    packs = [multipart(jpegs[at : at + 32]) for at in range(0, len(jpegs), 32)]
    many = bench.load("many", Load([body for body, _ in packs], packs[0][1], [path], key))
    loads = {"requests_of_32": (many, 4, 32), "single_64": (bench.single(), 64, 1)}
    bare = [bench.bare.throughput(bench.seconds)]
    sides: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
    over: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(bench.rounds):
        for name, (folder, clients, images) in loads.items():
            sides[name].append(bench.ask(folder, clients=clients, images=images))
            bare.append(bench.bare.throughput(bench.seconds))
            around = (bare[-1]["images_per_second"] + bare[-2]["images_per_second"]) / 2
            over[name].append(sides[name][-1]["images_per_second"] / around)
    return {
        "bare": medians(bare),
        **{name: {"over_bare": spread(over[name]), **medians(sides[name])} for name in loads},
    }


def lone(bench: Bench) -> dict[str, Any]:
    """One client that asks one image at a time, against decode and batch 1 in one process.

    Short turns: what a request adds is a tenth of what the machine drifts by in a minute.
    """
    bare = [bench.bare.lone(len(bench.world.jpegs))]
    ours, added = [], []
    for _ in range(TURNS * bench.rounds):
        ours.append(bench.ask(bench.single(), clients=1, share=1 / TURNS)["p50_ms"])
        bare.append(bench.bare.lone(len(bench.world.jpegs)))
        added.append(ours[-1] - (median(bare[-1]) + median(bare[-2])) / 2)
    return {
        "bare_p50_ms": spread([median(one) for one in bare]),
        "http_p50_ms": spread(ours),
        "added_ms": spread(added),
    }


def at_rate(bench: Bench) -> dict[str, Any]:
    """At 70% of the capacity found just before each round: evenly paced, and at random (Poisson).

    At random, queueing alone gives a server of constant service time a p99 / p50 of 3 to 4.
    """
    rounds = [
        {"paced": _at_rate(bench, seed, even=True), "random": _at_rate(bench, seed, even=False)}
        for seed in range(bench.rounds)
    ]
    return {
        name: {
            **medians([one[name] for one in rounds]),
            "p99_over_p50_each": spread([one[name]["p99_over_p50"] for one in rounds]),
        }
        for name in ("paced", "random")
    }


def _at_rate(bench: Bench, seed: int, *, even: bool) -> dict[str, float]:
    capacity = bench.capacity()
    time.sleep(SETTLE)
    outcomes = bench.open(0.7 * capacity, seconds=2 * bench.seconds, seed=seed, even=even)
    took = [outcome.took * 1e3 for outcome in outcomes]
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    return {
        "capacity": capacity,
        "rate": 0.7 * capacity,
        "errors": sum(outcome.status != 200 for outcome in outcomes),
        "p50_ms": p50,
        "p99_ms": p99,
        "p99_over_p50": p99 / p50,
    }


def overload(bench: Bench) -> dict[str, Any]:
    """Random arrivals at three times the capacity found just before and after.

    `*_core_ms` are what each process spent on a request, served or refused, the generator's own
    included: what refusals and it take of the cores is not there for those who are served.
    """
    capacity, rounds = [bench.capacity()], []
    for seed in range(bench.rounds):
        before = {"generator": time.process_time(), **bench.world.core_seconds()}
        outcomes = bench.open(3 * capacity[-1], seconds=2 * bench.seconds, seed=seed)
        after = {"generator": time.process_time(), **bench.world.core_seconds()}
        capacity.append(bench.capacity())
        found = _overloaded(outcomes, (capacity[-1] + capacity[-2]) / 2)
        for name, seconds in after.items():
            found[f"{name}_core_ms"] = 1e3 * (seconds - before[name]) / len(outcomes)
        rounds.append(found)
    return medians(rounds)


def _overloaded(outcomes: list[Outcome], capacity: float) -> dict[str, float]:
    """Goodput counts from the first request to the last answer, the queue's rest included."""
    served = [outcome for outcome in outcomes if outcome.status == 200]
    refused = [outcome.took * 1e3 for outcome in outcomes if outcome.status == 503]
    last = max(outcome.due + outcome.took for outcome in served)
    return {
        "capacity": capacity,
        "offered": len(outcomes) / max(outcome.due for outcome in outcomes),
        "goodput": len(served) / last,
        "goodput_over_capacity": len(served) / last / capacity,
        "served": len(served),
        "served_p50_ms": percentile([outcome.took * 1e3 for outcome in served], 0.5),
        "served_p99_ms": percentile([outcome.took * 1e3 for outcome in served], 0.99),
        "refused": len(refused),
        "refused_p50_ms": percentile(refused, 0.5),
        "refused_p99_ms": percentile(refused, 0.99),
        "refused_max_ms": max(refused),
        "refused_within_50_ms": sum(took <= PROMPT for took in refused) / len(refused),
        "others": sum(outcome.status not in (200, 503) for outcome in outcomes),
    }
