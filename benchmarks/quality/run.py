"""How good a head a few examples buy on real images: accuracy, calibration, intervals, unknowns.

About fifteen minutes of two cores. Every draw's result is kept under data/benchmarks/quality, so
that `--minutes` may split the work over several calls; the last one writes the figure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from multiprocessing import get_context

import torch

from benchmarks.quality import image_sets, tables
from benchmarks.quality.cells import Cell, cells, key_of_sources
from benchmarks.record import record


def main() -> None:
    """Measure what is missing, then write the tables if nothing is."""
    options = _options()
    wanted = list(cells(options.sets, options.seeds, options.draws))
    key = key_of_sources()
    missing = [cell for cell in wanted if cell.kept(key) is None]
    left = _measure(missing, key, deadline=time.monotonic() + 60 * options.minutes)
    if left:
        print(f"{len(wanted) - left} of {len(wanted)} draws are measured: call again")
        return
    kept = [cell.kept(key) for cell in wanted]
    record(
        "quality",
        figure="balanced test accuracy, calibration, intervals and unknowns from few examples",
        method=f"{options.seeds} seeds and {options.draws} draws for the intervals, sets "
        f"{', '.join(options.sets)}, {image_sets.BACKBONE}; generic statistics from pictures of "
        "none of the sets; full: every view of the examples is cached, cold: only squish, as in a "
        "job right after its upload; one forward pass a prediction unless said otherwise",
        results=tables.tables([row for row in kept if row is not None]),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--sets", nargs="*", default=list(image_sets.SETS))
    return parser.parse_args()


def _measure(missing: Sequence[Cell], key: str, *, deadline: float) -> int:
    """Measure on two processes of one thread until the deadline; answers how many are left."""
    done = 0
    with get_context("spawn").Pool(2, torch.set_num_threads, (1,)) as pool:
        work = ((cell, key, deadline) for cell in missing)
        for measured in pool.imap_unordered(_one, work):
            done += measured
    return len(missing) - done


def _one(work: tuple[Cell, str, float]) -> bool:
    cell, key, deadline = work
    if time.monotonic() > deadline:
        return False
    cell.measure(key)
    return True
