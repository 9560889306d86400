"""What every serving figure shares: one running service, its load, what processes use."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from app.infra.predictor_client import open_predictor
from benchmarks.serving import wrk
from benchmarks.serving.bare import Bare
from benchmarks.serving.open_loop import Outcome, Plan, http_request
from benchmarks.serving.open_loop import run as open_loop
from benchmarks.serving.world import World
from benchmarks.serving.wrk import Load

LONGER = 2
"""Requests of many images are few, and what is under way at the end is not counted."""


@dataclass
class Bench:
    """One run's world, and how long each measurement takes."""

    world: World
    bare: Bare
    folder: Path
    seconds: float
    rounds: int

    def load(self, name: str, load: Load) -> Path:
        """A load written down for wrk, once a name."""
        folder = self.folder / name
        return folder if folder.exists() else wrk.prepare(load, folder)

    def single(self, model: str | None = None) -> Path:
        """The load of single images for one model, not answered from the cache."""
        path = self.world.path(model)
        name = "single-" + path.rsplit(":", 1)[-1].split("/")[0]
        return self.load(name, Load(self.world.jpegs, "image/jpeg", [path], self.world.key))

    def ask(
        self, folder: Path, *, clients: int, images: int = 1, share: float = 1
    ) -> dict[str, float]:
        """wrk's figures, as images, with the processor time that each process spent on one."""
        before, own = self.world.core_seconds(), _children_seconds()
        seconds = round(self.seconds * share * (1 if images == 1 else LONGER)) or 1
        found = wrk.run(self.world.url, folder, clients=clients, seconds=seconds)
        if found["errors"]:
            raise SystemExit(f"wrk saw errors: {found}")
        done = found["requests"] * images
        spent = {name: s - before[name] for name, s in self.world.core_seconds().items()}
        spent["wrk"] = _children_seconds() - own
        return {
            "images_per_second": done / found["seconds"],
            "p50_ms": found["p50"],
            "p99_ms": found["p99"],
            **{f"{name}_core_ms": 1e3 * seconds / done for name, seconds in spent.items()},
        }

    def capacity(self) -> float:
        """Images a second of 64 clients with single images, now."""
        return self.ask(self.single(), clients=64)["images_per_second"]

    def open(
        self, rate: float, *, seconds: float, seed: int = 0, even: bool = False
    ) -> list[Outcome]:
        """Single images at random or even intervals, whether or not others have been answered."""
        world = self.world
        requests = [http_request(world.path(), world.key, jpeg) for jpeg in world.jpegs]
        return open_loop(
            world.url, requests, Plan(rate=rate, seconds=seconds, seed=seed, even=even)
        )

    def gauge(self, name: str) -> float:
        """One of the predictor's numbers."""

        async def read() -> bytes:
            client = open_predictor(self.world.service.supervisor.settings)
            try:
                return await client.metrics()
            finally:
                await client.close()

        return gauge_of(asyncio.run(read()), name)


def gauge_of(text: bytes, name: str) -> float:
    """One number of the predictor's metrics."""
    wanted = f"headstart_predictor_{name} "
    return next(float(x.split()[1]) for x in text.decode().splitlines() if x.startswith(wanted))


def medians(sides: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each number's median over the rounds."""
    return {name: median(side[name] for side in sides) for name in sides[0]}


def rounded(found: Any) -> Any:
    """Every number with three decimals, however deep."""
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    return round(found, 3) if isinstance(found, float) else found


def _children_seconds() -> float:
    """Processor time of the ended children, of which wrk is the only one while it runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
