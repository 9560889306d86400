"""Drift: how often it is told when nothing has changed, and how soon when something has.

`python -m benchmarks.drift`, some minutes.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from app.core.live import drifting
from benchmarks.quality import image_sets
from benchmarks.quality.image_sets import CACHE
from benchmarks.record import record, shared_data
from worker.ml.images.views import decode_to
from worker.trainer.kinds.drift import Sample, window_result

SETS = ("clothing", "sign_digits")
PER_CLASS = 20
POOL = 400
REFERENCE, WINDOW = 200, 100
MONTHS, WINDOWS = 400, 30
TRIALS = 40
LATEST = 3
"""Windows after which a shift that was not told counts as missed."""
TESTS = ("inputs", "outputs", "inputs_mean", "outputs_mean")
MIX = "class mix: one class four times as frequent"
Rows = NDArray[np.float64]


def _brightness(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def _jpeg(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "jpeg", quality=15)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


SHIFTS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "brightness x 0.6": _brightness(0.6),
    "brightness x 1.5": _brightness(1.5),
    "blur of 2 pixels in 224": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "JPEG quality 15": _jpeg,
}


@dataclass(frozen=True)
class Pool:
    """What inputs are drawn from: embeddings, probabilities and labels, the same places in each."""

    embeddings: Rows
    scores: Rows
    labels: NDArray[np.int_]

    def draw(self, random: np.random.Generator, size: int, weights: Rows | None = None) -> Sample:
        """Inputs drawn with replacement, as a live stream has them."""
        places = random.choice(len(self.labels), size, p=weights)
        answers = [
            {"label": str(row.argmax()), "scores": {str(n): p for n, p in enumerate(row)}}
            for row in self.scores[places]
        ]
        return Sample(embeddings=self.embeddings[places], answers=answers, labels=[None] * size)


def main() -> None:
    """Measure every set, and write it down."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with ProcessPoolExecutor(2) as pool:
        results = dict(zip(SETS, pool.map(_measured, SETS), strict=True))
    record(
        "drift",
        figure="False alarms in 400 simulated months of 30 windows each, and the windows that it "
        "takes until a shift is told.",
        method=f"{image_sets.BACKBONE}'s embeddings of real pictures of the sets' test parts and "
        f"train parts, of which {PER_CLASS} a class fitted a logistic regression (the head's "
        f"outputs) and were "
        f"set aside; a reference of {REFERENCE} and windows of {WINDOW} drawn from the rest with "
        "replacement; the trainer's own test. Shifts: the same pictures changed before they are "
        f"embedded, or one class four times as frequent; {TRIALS} trials each. The interval of the "
        "false alarms is a Poisson count's (Garwood 1936).",
        results={
            "stated": {
                "alpha_per_window": drifting.ALPHA,
                "false_alarms_expected_at_most": drifting.ALPHA * MONTHS * WINDOWS,
                "least_effect": drifting.LEAST_EFFECT,
                "reference": REFERENCE,
                "window": WINDOW,
            },
            **results,
        },
    )


def _measured(name: str) -> dict[str, Any]:
    pictures, labels, known = _pictures(shared_data() / name)
    plain = _embedded(name, "plain", pictures)
    head = LogisticRegression(C=10, max_iter=2000).fit(plain[known], labels[known])
    rest = ~known

    def pool(rows: Rows) -> Pool:
        return Pool(rows[rest], head.predict_proba(rows[rest]), labels[rest])

    own = pool(plain)
    delays = {
        shift: _delays(
            own, pool(_embedded(name, shift, [change(one) for one in pictures])), lambda _: None
        )
        for shift, change in SHIFTS.items()
    }
    delays[f"{MIX}, the first"] = _delays(own, own, lambda _: _often(own, 0))
    delays[f"{MIX}, each in turn"] = _delays(own, own, lambda trial: _often(own, trial))
    return {"pool": len(own.labels), "nothing changed": _months(own), "shifts": delays}


def _often(pool: Pool, trial: int) -> Rows:
    """Weights under which one class comes four times as often."""
    weights = np.where(pool.labels == trial % (1 + int(pool.labels.max())), 4.0, 1.0)
    drawn: Rows = weights / weights.sum()
    return drawn


def _pictures(folder: Path) -> tuple[list[Image.Image], NDArray[np.int_], NDArray[np.bool_]]:
    """Pictures squished to 224 pixels, their labels, and which are set aside for the head."""
    random = np.random.default_rng(1)
    classes = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    found: list[Path] = []
    labels: list[int] = []
    known: list[bool] = []
    each = PER_CLASS + POOL // len(classes)
    for place, name in enumerate(classes):
        paths = sorted(p for part in ("train", "test") for p in (folder / part / name).glob("*.*"))
        picked = [paths[at] for at in random.permutation(len(paths))[:each]]
        found += picked
        labels += [place] * len(picked)
        known += [at < PER_CLASS for at in range(len(picked))]
    images = [Image.open(path).convert("RGB").resize((224, 224)) for path in found]
    return images, np.array(labels), np.array(known)


def _embedded(name: str, shift: str, pictures: list[Image.Image]) -> Rows:
    """The last layer, of length one, in half precision as the log keeps it; embedded once."""
    path = CACHE / f"drift.{name}.{shift.replace(' ', '_')}.npy"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(path, _last_layer(image_sets.engine(), pictures))
    halved: Rows = np.load(path).astype(np.float64)
    return halved


def _last_layer(engine: Any, pictures: list[Image.Image]) -> NDArray[np.float16]:
    rows = []
    for start in range(0, len(pictures), 32):
        pixels = [
            decode_to(_png(one), "squish", engine.spec.input_size)
            for one in pictures[start : start + 32]
        ]
        rows.append(engine.embed(np.stack(pixels)))
    (block,) = engine.spec.lasts
    last = np.vstack(rows)[:, block.start : block.stop].astype(np.float64)
    unit = last / np.linalg.norm(last, axis=1, keepdims=True)
    halved: NDArray[np.float16] = unit.astype("<f2")
    return halved


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "png", compress_level=1)
    return out.getvalue()


def _months(pool: Pool) -> dict[str, Any]:
    """A reference and 30 windows a month; nothing changes."""
    random = np.random.default_rng(2)
    alarms, months = 0, 0
    ps: list[float] = []
    for month in range(MONTHS):
        reference = pool.draw(random, REFERENCE)
        found = [
            window_result(reference, pool.draw(random, WINDOW), WINDOWS * month + number)
            for number in range(WINDOWS)
        ]
        ps += [one["p"] for one in found]
        told = [one["drifted"] for one in found]
        alarms, months = alarms + sum(told), months + any(told)
    return {
        "months": MONTHS,
        "windows": MONTHS * WINDOWS,
        "false_alarms": alarms,
        "false_alarms_95": [round(one, 1) for one in _garwood(alarms)],
        "months_with_one": months,
        "share_with_p_at_most": {
            str(level): round(float(np.mean(np.array(ps) <= level)), 4)
            for level in (drifting.ALPHA, 0.01, 0.05)
        },
    }


def _garwood(count: int) -> tuple[float, float]:
    """The exact 95% interval of what a Poisson count is expected to be."""
    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(0.975, 2 * count + 2)) / 2


def _delays(before: Pool, after: Pool, weights: Callable[[int], Rows | None]) -> dict[str, Any]:
    """In how many windows a shift is told, and how large the tests say it is."""
    random = np.random.default_rng(3)
    delays: list[int] = []
    effects: dict[str, list[float]] = {name: [] for name in TESTS}
    for trial in range(TRIALS):
        reference = before.draw(random, REFERENCE)
        for number in range(1, LATEST + 1):
            found = window_result(
                reference, after.draw(random, WINDOW, weights(trial)), 100 * trial + number
            )
            if number == 1:
                for name in TESTS:
                    effects[name].append(found[name]["effect"])
            if found["drifted"]:
                delays.append(number)
                break
    return {
        "trials": TRIALS,
        "told_in_window_1": sum(one == 1 for one in delays),
        f"told_within_{LATEST}": len(delays),
        "median_effect": {name: round(float(np.median(own)), 4) for name, own in effects.items()},
    }


if __name__ == "__main__":
    main()
