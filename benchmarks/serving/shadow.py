"""What a shadow costs whoever is answered: one model under two aliases, of which one has a shadow.

Requests go to both in turn, one after another over one connection, so that whatever else the
machine does meets them alike; processor time is of short turns of either.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.record import record, spread
from benchmarks.serving.world import World, many_models, world

PLAIN, SHADOWED = "plain@production", "shadowed@production"
PAIRS, BLOCKS, WARM = 300, 6, 20
TURNS, TURN = 6, 20
LIMIT = 1.03
"""What p50 with a shadow should be at most, as a part of that without."""


def main() -> None:
    """Measure, and write it down."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="headstart-shadow-") as name, world(Path(name)) as made:
        _aliases(made)
        one = _one_at_a_time(made)
        core = _core_time(made)
        compared = _compared(made)
        if compared < PAIRS:
            raise SystemExit(f"the shadow answered {compared} of {PAIRS} requests")
    record(
        "shadow",
        figure="p50 of a prediction over HTTP under an alias that has a shadow, as a part of that "
        "under one that has none; both mean the same model",
        method=f"single clothing JPEGs, prediction cache off; the shadow is a second head on the "
        f"same backbone (efficientnet_lite0, 5 classes). One at a time: {PAIRS} requests to each "
        f"alias in turn over one connection; a ratio is of the p50s, its spread that of {BLOCKS} "
        f"blocks. Core milliseconds are the app's and the predictor's of a request, in {TURNS} "
        f"turns of {TURN} requests each, a ratio of a turn to the mean of those around it. The "
        "load generator and other work share the cores",
        results={
            "limit": LIMIT,
            "other_load_on_the_machine": round(load, 1),
            "one_at_a_time": one,
            "processor_time": core,
        },
    )


def _aliases(made: World) -> None:
    client = made.service.client
    (candidate,) = many_models(made, 1)
    for alias in (PLAIN, SHADOWED):
        client.put(f"/v1/aliases/{alias}", json={"model": made.model}).raise_for_status()
    changed = client.patch(f"/v1/aliases/{SHADOWED}", json={"shadow": candidate})
    changed.raise_for_status()


def _compared(made: World) -> int:
    """How many answers of the shadow have been compared, once they are counted."""
    path = f"/v1/aliases/{SHADOWED}/shadow"
    time.sleep(3)
    return int(made.service.client.get(path).raise_for_status().json()["compared"])


def _one_at_a_time(made: World) -> dict[str, Any]:
    took: dict[str, list[float]] = {PLAIN: [], SHADOWED: []}
    with closing(HTTPConnection(urlsplit(made.url).netloc, timeout=60)) as connection:
        for turn in range(WARM + PAIRS):
            order = (PLAIN, SHADOWED) if turn % 2 else (SHADOWED, PLAIN)
            for alias in order:
                seconds = _ask(connection, made, alias, made.jpegs[turn % len(made.jpegs)])
                if turn >= WARM:
                    took[alias].append(1e3 * seconds)
    return {
        "requests_of_each": PAIRS,
        "p50_ms_without": round(median(took[PLAIN]), 3),
        "p50_ms_with": round(median(took[SHADOWED]), 3),
        "p50_ratio": round(median(took[SHADOWED]) / median(took[PLAIN]), 4),
        "p50_ratio_of_blocks": spread(
            [
                median(with_) / median(without)
                for with_, without in zip(
                    _blocks(took[SHADOWED]), _blocks(took[PLAIN]), strict=True
                )
            ]
        ),
    }


def _blocks(took: Sequence[float]) -> list[Sequence[float]]:
    size = len(took) // BLOCKS
    return [took[at * size : (at + 1) * size] for at in range(BLOCKS)]


def _ask(connection: HTTPConnection, made: World, alias: str, jpeg: bytes) -> float:
    headers = {
        "authorization": f"Bearer {made.key}",
        "content-type": "image/jpeg",
        "x-headstart-cache": "off",
    }
    began = time.perf_counter()
    connection.request("POST", made.path(alias), jpeg, headers)
    answer = connection.getresponse()
    body = answer.read()
    seconds = time.perf_counter() - began
    if answer.status != 200:
        raise SystemExit(f"{alias} answered {answer.status}: {body[:200]!r}")
    return seconds


def _core_time(made: World) -> dict[str, Any]:
    """Processor time of app and predictor, with a shadow and without."""
    without, with_, ratios = [_core_ms(made, PLAIN)], [], []
    for _ in range(TURNS):
        with_.append(_core_ms(made, SHADOWED))
        without.append(_core_ms(made, PLAIN))
        ratios.append(2 * with_[-1] / (without[-1] + without[-2]))
    return {
        "core_ms_without": round(median(without), 3),
        "core_ms_with": round(median(with_), 3),
        "ratio": spread(ratios),
    }


def _core_ms(made: World, alias: str) -> float:
    with closing(HTTPConnection(urlsplit(made.url).netloc, timeout=60)) as connection:
        before = made.core_seconds()
        for turn in range(TURN):
            _ask(connection, made, alias, made.jpegs[turn % len(made.jpegs)])
        after = made.core_seconds()
    return 1e3 * sum(after[name] - before[name] for name in ("app", "predictor")) / TURN


if __name__ == "__main__":
    main()
