"""Drift: how often it is told when nothing has changed, and how soon when something has.

`python -m benchmarks.drift`, some minutes.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from worker.trainer.windows import Sample, told_apart, window_result

SETS = ("clothing", "sign_digits")
PER_CLASS = 20
POOL = 400
REFERENCE, WINDOW = 200, 100
MONTHS, WINDOWS = 100, 30
TRIALS = 40
LATEST = 8
"""Windows after which a shift that was not told counts as missed."""
WITHIN = (1, 3, 4, LATEST)
LABELLED = ((50, 25), (100, 50))
"""How many inputs of the reference and of the window audited feedback has named."""
CHANGES = ("inputs", "class_mix", "both", "undecided")
QUIET = 100
TESTS = ("inputs", "outputs", "inputs_mean", "outputs_mean")
MIX = "class mix: one class four times as frequent"
Rows = NDArray[np.float64]
Weights = Callable[[int], Rows | None]
Change = Callable[[Image.Image], Image.Image]


def _brightness(factor: float) -> Change:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def _jpeg(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "jpeg", quality=15)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


SHIFTS: Mapping[str, Change] = {
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

    def draw(
        self,
        random: np.random.Generator,
        size: int,
        weights: Rows | None = None,
        labelled: int = 0,
    ) -> Sample:
        """Inputs drawn with replacement, as a live stream has them; so many of them have labels."""
        places = random.choice(len(self.labels), size, p=weights)
        answers = [
            {"label": str(row.argmax()), "scores": {str(n): p for n, p in enumerate(row)}}
            for row in self.scores[places]
        ]
        named = [str(self.labels[place]) for place in places[:labelled]]
        return Sample(
            embeddings=self.embeddings[places],
            answers=answers,
            labels=[*named, *[None] * (size - labelled)],
        )


def main() -> None:
    """Measure every set, and write it down."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    tasks = [(name, part) for name in SETS for part in (_changes, _months)]
    results: dict[str, dict[str, Any]] = {name: {} for name in SETS}
    with ProcessPoolExecutor(len(tasks)) as pool:
        for (name, _), found in zip(
            tasks, pool.map(_measured, *zip(*tasks, strict=True)), strict=True
        ):
            results[name] |= found
    record(
        "drift",
        figure=f"False alarms in {MONTHS} simulated months a set of {WINDOWS} windows each, the "
        "windows that it takes until a shift is told, and whether labels tell which it was.",
        method=f"{image_sets.BACKBONE}'s embeddings of real pictures of the sets' test parts and "
        f"train parts, of which {PER_CLASS} a class fitted a logistic regression (the head's "
        f"outputs) and were "
        f"set aside; a reference of {REFERENCE} and windows of {WINDOW} drawn from the rest with "
        "replacement; the trainer's own test. Shifts: the same pictures changed before they are "
        f"embedded, or one class four times as frequent; {TRIALS} trials each, in which zero to "
        "three quiet windows come before it. Told apart: what a window's labels say the shift is, "
        "at their first test, where so many inputs of the reference and the window have one; of "
        f"{QUIET} quiet windows the share in which either test is evident. The interval of the "
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


Part = Callable[[str], dict[str, Any]]


def _measured(name: str, part: Part) -> dict[str, Any]:
    return part(name)


def _pools(name: str, shifts: Mapping[str, Change]) -> tuple[Pool, dict[str, Pool]]:
    """A set's inputs as they are, and as each shift has them."""
    pictures, labels, known = _pictures(shared_data() / name)
    plain = _embedded(name, "plain", pictures)
    head = LogisticRegression(C=10, max_iter=2000).fit(plain[known], labels[known])
    rest = ~known

    def pool(rows: Rows) -> Pool:
        return Pool(rows[rest], head.predict_proba(rows[rest]), labels[rest])

    return pool(plain), {
        shift: pool(_embedded(name, shift, [change(one) for one in pictures]))
        for shift, change in shifts.items()
    }


def _changes(name: str) -> dict[str, Any]:
    """How soon each shift is told, and whether labels say which it is."""
    own, changed = _pools(name, SHIFTS)
    shifts: dict[str, tuple[Pool, Weights]] = {
        **{shift: (after, lambda _: None) for shift, after in changed.items()},
        f"{MIX}, the first": (own, lambda _: _often(own, 0)),
        f"{MIX}, each in turn": (own, lambda trial: _often(own, trial)),
    }
    return {
        "pool": len(own.labels),
        "shifts": {shift: _delays(own, *what) for shift, what in shifts.items()},
        "told_apart": {
            f"{first} and {second} labelled": {
                **{
                    shift: _told_apart(own, *what, (first, second))
                    for shift, what in shifts.items()
                },
                "nothing changed": _quiet(own, (first, second)),
            }
            for first, second in LABELLED
        },
    }


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


class _Stream:
    """Windows of a reference, each tested as a trainer does."""

    def __init__(self, reference: Sample, seed: int) -> None:
        self._reference = reference
        self._seed = seed
        self._answers: list[Sequence[Mapping[str, Any]]] = []

    def test(self, window: Sample) -> dict[str, Any]:
        """What the next window shows."""
        number = len(self._answers) + 1
        before = self._answers[-(drifting.LONGER - 1) :]
        self._answers.append(window.answers)
        return window_result(self._reference, window, 100 * self._seed + number, before)


def _months(name: str) -> dict[str, Any]:
    """A reference and 30 windows a month; nothing changes."""
    pool, _ = _pools(name, {})
    random = np.random.default_rng(2)
    alarms, months, together = 0, 0, 0
    ps: list[float] = []
    for month in range(MONTHS):
        stream = _Stream(pool.draw(random, REFERENCE), month)
        found = [stream.test(pool.draw(random, WINDOW)) for _ in range(WINDOWS)]
        ps += [one["p"] for one in found]
        together += sum(one["outputs_mean_of_four"] is not None for one in found)
        told = [one["drifted"] for one in found]
        alarms, months = alarms + sum(told), months + any(told)
    counted = {
        "months": MONTHS,
        "windows": MONTHS * WINDOWS,
        "of_which_four_were_tested_together": together,
        "false_alarms": alarms,
        "false_alarms_95": [round(one, 1) for one in _garwood(alarms)],
        "months_with_one": months,
        "share_with_p_at_most": {
            str(level): round(float(np.mean(np.array(ps) <= level)), 4)
            for level in (drifting.ALPHA, 0.01, 0.05)
        },
    }
    return {"nothing changed": counted}


def _garwood(count: int) -> tuple[float, float]:
    """The exact 95% interval of what a Poisson count is expected to be."""
    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(0.975, 2 * count + 2)) / 2


def _delays(before: Pool, after: Pool, weights: Weights) -> dict[str, Any]:
    """In how many windows a shift is told, and how large the tests say it is."""
    random = np.random.default_rng(3)
    delays: list[int] = []
    effects: dict[str, list[float]] = {name: [] for name in TESTS}
    for trial in range(TRIALS):
        stream = _Stream(before.draw(random, REFERENCE), trial)
        for _ in range(trial % drifting.LONGER):
            stream.test(before.draw(random, WINDOW))
        for number in range(1, LATEST + 1):
            found = stream.test(after.draw(random, WINDOW, weights(trial)))
            if number == 1:
                for name in TESTS:
                    effects[name].append(found[name]["effect"])
            if found["drifted"]:
                delays.append(number)
                break
    return {
        "trials": TRIALS,
        **{f"told_within_{most}": sum(one <= most for one in delays) for most in WITHIN},
        "median_effect": {name: round(float(np.median(own)), 4) for name, own in effects.items()},
    }


def _told_apart(
    before: Pool, after: Pool, weights: Weights, labelled: tuple[int, int]
) -> dict[str, int]:
    """What the labels of a window that has drifted say that it is, of all trials."""
    random = np.random.default_rng(4)
    found: Counter[str] = Counter()
    for trial in range(TRIALS):
        reference = before.draw(random, REFERENCE, None, labelled[0])
        window = after.draw(random, WINDOW, weights(trial), labelled[1])
        found[told_apart(reference, window, trial, drifted=True)["change"]] += 1
    return {change: found[change] for change in CHANGES}


def _quiet(pool: Pool, labelled: tuple[int, int]) -> dict[str, float]:
    """How often labels speak of a change where there is none."""
    random = np.random.default_rng(5)
    evident = {"given_class": 0, "labelled_mix": 0}
    for trial in range(QUIET):
        reference = pool.draw(random, REFERENCE, None, labelled[0])
        found = told_apart(
            reference, pool.draw(random, WINDOW, None, labelled[1]), trial, drifted=True
        )
        for name in evident:
            evident[name] += found[name]["p"] <= drifting.EVIDENT
    return {name: count / QUIET for name, count in evident.items()}


if __name__ == "__main__":
    main()
