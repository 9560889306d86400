"""Serving over HTTP against the bare pipeline: throughput, latency, many models, overload.

Every ratio is within one run; the sides alternate, so that a drifting machine meets both. wrk, the
app and the predictor share the cores that the bare pipeline has to itself. Sections may be run one
at a time: each replaces its own part of the result.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, commit, machine, record
from benchmarks.serving import wrk
from benchmarks.serving.bare import Bare
from benchmarks.serving.bench import Bench, rounded
from benchmarks.serving.competing import competitors
from benchmarks.serving.fairness import fairness
from benchmarks.serving.load import at_rate, lone, overload, throughput
from benchmarks.serving.models import cold, many, swap
from benchmarks.serving.road import road
from benchmarks.serving.soak import soak
from benchmarks.serving.world import world

SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "throughput": throughput,
    "lone": lone,
    "rate": at_rate,
    "overload": overload,
    "many": many,
    "cold": cold,
    "swap": swap,
    "soak": soak,
    "competitors": competitors,
    "road": road,
    "fairness": fairness,
}
_NAME = "serving"


def main() -> None:
    """The sections asked for, all by default, into one result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # the service stops, too
    with tempfile.TemporaryDirectory(prefix="headstart-serving-") as name:
        folder = Path(name)
        load = os.getloadavg()[0]
        with world(folder) as made, Bare(made.folder) as bare:
            bench = Bench(made, bare, folder, options.seconds, options.rounds)
            wrk.run(made.url, bench.single(), clients=16, seconds=3)
            about = _about(options, load)
            for section in options.only or SECTIONS:
                _record({section: {**rounded(SECTIONS[section](bench)), "run": about}})


def _about(options: argparse.Namespace, load: float) -> dict[str, Any]:
    return {
        "commit": commit(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "other_load_on_the_machine": round(load, 1),
    }


def _record(found: dict[str, Any]) -> None:
    """Write down a section with those of former runs on the same machine, in their order."""
    known = _known() | found
    record(
        _NAME,
        figure="predictions over HTTP (key checked, prediction cache off unless said) against the"
        " bare pipeline on the same cores; efficientnet_lite0, 5 classes",
        method="128 clothing JPEGs; medians over rounds (in each section's `run`), sides in turn;"
        " app, predictor and load generator (wrk; for given rates an asyncio open loop) share the"
        " cores; bare: one process, decode threads overlapped with the engine at its best batch",
        results={name: known[name] for name in SECTIONS if name in known},
    )


def _known() -> dict[str, Any]:
    path = RESULTS / f"{_NAME}.json"
    if not path.exists():
        return {}
    document = json.loads(path.read_text())
    return dict(document["results"]) if document["machine"] == machine() else {}
