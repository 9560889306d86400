"""What the road to the engine costs: core milliseconds beside decoding and the forward pass.

With the real engine against the bare pipeline, and with a stand-in that computes nothing at 5,000
images a second, against decoding alone: what a faster engine would be held up by.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.serving.bench import Bench, medians
from benchmarks.serving.world import multipart
from benchmarks.serving.wrk import Load

RATE = 5000
_PROCESSES = ("app_core_ms", "predictor_core_ms")


def road(bench: Bench) -> dict[str, Any]:
    """Single images of 64 clients and requests of 32 images of 4, with either engine."""
    real = [_sides(bench, lambda: _bare_core_ms(bench)) for _ in range(bench.rounds)]
    with bench.world.standing_in(RATE):
        fast = [_sides(bench, bench.bare.decoding) for _ in range(bench.rounds)]
    names = ("single", "requests_of_32")
    return {
        "real_engine": {name: medians([one[name] for one in real]) for name in names},
        f"stand_in_of_{RATE}_a_second": {
            name: medians([one[name] for one in fast]) for name in names
        },
    }


def _sides(bench: Bench, below: Any) -> dict[str, dict[str, float]]:
    """What is `below` the road is measured before and after each side."""
    jpegs, key = bench.world.jpegs, bench.world.key
    packs = [multipart(jpegs[at : at + 32]) for at in range(0, len(jpegs), 32)]
    bodies = [body for body, _ in packs]
    many = bench.load("many", Load(bodies, packs[0][1], [bench.world.path()], key))
    found: dict[str, dict[str, float]] = {}
    for name, folder, clients, images in (
        ("single", bench.single(), 64, 1),
        ("requests_of_32", many, 4, 32),
    ):
        before = below()
        side = bench.ask(folder, clients=clients, images=images)
        bare = median([before, below()])
        spent = sum(side[process] for process in _PROCESSES)
        found[name] = {
            **{process: side[process] for process in _PROCESSES},
            "below_core_ms": bare,
            "beyond_core_ms": spent - bare,
            "images_per_second": side["images_per_second"],
            "images_per_core_second": 1e3 / spent,
        }
    return found


def _bare_core_ms(bench: Bench) -> float:
    return bench.bare.throughput(bench.seconds / 2)["core_ms_per_image"]
