"""A lone request of one organisation beside another's flood: its latency, over the quiet one."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from typing import Any

from benchmarks.serving.bench import Bench, medians
from benchmarks.serving.open_loop import Outcome, Plan, http_request, percentile, run_async
from benchmarks.serving.world import World

SLOW = 20
FLOOD = 2
"""Times the capacity."""
LONE = 4
"""Requests a second, each answered long before the next one."""
_BEFORE = 2.0
"""Seconds in which the flood's queue fills."""


def fairness(bench: Bench) -> dict[str, Any]:
    """With the real engine, and with one that takes a twentieth of a second an image."""
    key = bench.world.service.tenant("lone").headers["authorization"].removeprefix("Bearer ")
    requests = [_embedding(key, jpeg) for jpeg in bench.world.jpegs]
    found = {"real_engine": _beside(bench, requests)}
    with bench.world.standing_in(SLOW):
        found[f"stand_in_of_{SLOW}_a_second"] = _beside(bench, requests)
    return found


def _beside(bench: Bench, requests: list[bytes]) -> dict[str, float]:
    rounds = []
    for seed in range(bench.rounds):
        rate = FLOOD * bench.capacity()
        time.sleep(1)
        plan = Plan(rate=LONE, seconds=2 * bench.seconds, even=True)
        quiet = asyncio.run(run_async(bench.world.url, requests, plan))
        lone, flood = asyncio.run(_both(bench.world, requests, plan, rate=rate, seed=seed))
        rounds.append(_compared(quiet, lone, flood, plan.seconds + _BEFORE))
    return medians(rounds)


async def _both(
    world: World, requests: list[bytes], plan: Plan, *, rate: float, seed: int
) -> tuple[list[Outcome], list[Outcome]]:
    loud = [http_request(world.path(), world.key, jpeg) for jpeg in world.jpegs]
    lasting = Plan(rate=rate, seconds=plan.seconds + _BEFORE, seed=seed)
    flood = asyncio.create_task(run_async(world.url, loud, lasting))
    await asyncio.sleep(_BEFORE)
    lone = await run_async(world.url, requests, plan)
    return lone, await flood


def _compared(
    quiet: list[Outcome], lone: list[Outcome], flood: list[Outcome], seconds: float
) -> dict[str, float]:
    told: dict[str, float] = {
        "lone_refused": sum(outcome.status != 200 for outcome in (*quiet, *lone)),
        "flood_served_a_second": sum(outcome.status == 200 for outcome in flood) / seconds,
    }
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        alone, beside = (
            percentile([one.took * 1e3 for one in side], share) for side in (quiet, lone)
        )
        told |= {f"quiet_{name}_ms": alone, f"{name}_ms": beside, f"{name}_over": beside / alone}
    return told


def _embedding(key: str, jpeg: bytes) -> bytes:
    """An organisation without a model asks the same engine for an embedding."""
    asked = {"model": "efficientnet_lite0", "input": [{"image": b64encode(jpeg).decode()}]}
    body = json.dumps(asked).encode()
    return http_request("/v1/embeddings", key, body, kind="application/json")
