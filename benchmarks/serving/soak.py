"""A hundred thousand predictions, and what the processes hold in memory meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.serving import wrk
from benchmarks.serving.bench import Bench
from benchmarks.serving.wrk import Load

PREDICTIONS = 100_000
CLIENTS = 64
EVERY = 5_000
"""Predictions between two samples, at least."""
LONGEST = 900.0
"""Seconds that each half may take; a CPU computes about so many predictions in them."""
SETTLED = 5_000
"""Predictions after which every buffer has met its largest load: growth counts from here."""


def soak(bench: Bench) -> dict[str, Any]:
    """Twice 100,000, or as many as there is time for: all computed, then from the cache."""
    world = bench.world
    path, key = [world.path()], world.key
    cached = bench.load("cached", Load(world.jpegs, "image/jpeg", path, key, cache="on"))
    return {
        "cache_off": _soaked(bench, bench.single()),
        "cache_on": _soaked(bench, cached),
    }


def _soaked(bench: Bench, folder: Path) -> dict[str, Any]:
    """Ask until 100,000 are answered or the time is over; sample now and then."""
    samples: list[dict[str, Any]] = []
    done, until = 0, time.monotonic() + LONGEST
    while done < PREDICTIONS and time.monotonic() < until:
        found = wrk.run(bench.world.url, folder, clients=CLIENTS, seconds=bench.seconds)
        if found["errors"]:
            raise SystemExit(f"wrk saw errors: {found}")
        done += int(found["requests"])
        if not samples or done >= samples[-1]["predictions"] + EVERY:
            sizes = {child: bench.world.resident_mb(child) for child in ("app", "predictor")}
            samples.append({"predictions": done, **sizes})
    settled = [sample for sample in samples if sample["predictions"] >= SETTLED] or samples
    growth = {
        f"{child}_growth_mb": settled[-1][child] - settled[0][child]
        for child in ("app", "predictor")
    }
    return {"predictions": done, **growth, "samples": samples}
