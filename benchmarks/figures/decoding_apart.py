"""What it costs to decode a picture in a child: milliseconds here, and apart."""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.core import image_header
from benchmarks.record import record
from worker.ml.images import decoding
from worker.ml.images.apart.pool import Pool

KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "JPEG2000")
ROUNDS = 40
_MIB = 2**20


def _photograph() -> Image.Image:
    """640 x 480, as smooth as a photograph is and a little noisy."""
    random = np.random.default_rng(0)
    rough = Image.fromarray(random.integers(0, 256, (15, 20, 3), np.uint8))
    smooth = np.asarray(rough.resize((640, 480), Image.Resampling.BICUBIC)).astype(int)
    noisy = smooth + random.integers(-4, 5, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _best(work: Callable[[], object]) -> float:
    """Milliseconds of the quickest round."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return round(min(took), 2)


def main() -> None:
    """Every kind here and apart; how long a decoder takes to start, and what it holds."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    pool, picture = Pool(), _photograph()
    results: dict[str, Any] = {}
    began = time.perf_counter()
    for kind in KINDS:
        out = io.BytesIO()
        picture.save(out, kind)
        data, header = out.getvalue(), image_header.inspect(out.getvalue())
        pool.decode(data, header, at_least=None, ends=None)
        results.setdefault("first picture of a decoder, s", round(time.perf_counter() - began, 2))
        here = _best(lambda: decoding.decode(data, header, at_least=None))  # noqa: B023
        there = _best(lambda: pool.decode(data, header, at_least=None, ends=None))  # noqa: B023
        results[kind] = {"here, ms": here, "apart, ms": there}
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pool.pids]
    results["resident, MiB"] = round(pages[0] * 4096 / _MIB)
    pool.close()
    record(
        "decoding_apart",
        figure="what a picture of 640 x 480 takes to decode in this process and in a child",
        method=f"best of {ROUNDS}, one thread; python -m benchmarks.figures.decoding_apart",
        results=results,
    )


if __name__ == "__main__":
    main()
