"""What bf16 costs and brings: speed against accuracy and calibration, and the rule for `auto`.

About eight minutes of two cores with units for bf16, without which there is nothing to measure.
Every draw is fitted and judged in f32, in bf16, and fitted in one and answered in the other.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from app.core import backbones
from app.infra.precision import Precision
from benchmarks.quality.cells import balanced_accuracy, fitted
from benchmarks.quality.draws import draw
from benchmarks.quality.image_sets import BACKBONE, Part
from benchmarks.quality.text_sets import BACKBONE as TEXT_BACKBONE
from benchmarks.quality.text_sets import TextPart, lines_of
from benchmarks.record import record, shared_data, spread
from worker.ml.assess.calibration import calibration_error
from worker.ml.engines import Engine, TextEngine, load_engine, precision
from worker.ml.engines.stream import embed_stream
from worker.ml.engines.torch_engine import load_torch
from worker.ml.heads import scoring

SETS = ("bccd_cells", "clothing", "omniglot", "sign_digits", "grocery")
TEXTS = "banking77"
SHOTS = (5, 10, 20)
LAYOUT = backbones.EFFICIENTNET.layout
PRECISIONS: tuple[Precision, ...] = ("f32", "bf16")
MOST_LOSS = 0.005
"""Of balanced accuracy and of calibration error: what bf16 may cost at most, its 95% bound."""
LEAST_SPEED = 1.2
"""Times the images of f32 a second: less is not worth two kinds of numbers."""
_EMULATED = 100
"""Pictures that torch's emulation of bf16 is compared on."""

MOST_EACH = {"train": 40, "test": 30}
"""Pictures of a class, the first by name: enough to draw from and to judge by."""
_MOST_TEXTS = 1500

Rows = Mapping[Precision, Tensor]


@dataclass(frozen=True)
class Split:
    """One split of a set, its embeddings [n, D] in both precisions."""

    rows: Rows
    labels: Tensor
    classes: tuple[str, ...]

    def part(self, computed_in: Precision) -> Part:
        """As the other figures have it, embeddings in one precision."""
        return Part({"squish": self.rows[computed_in]}, self.labels, self.classes)


def engines(name: str) -> dict[Precision, Engine]:
    """A backbone on this CPU in both precisions."""
    return {one: load_engine(name, None, device="cpu", precision=one) for one in PRECISIONS}


def images(name: str, split: str, by: Mapping[Precision, Engine]) -> Split:
    """Embed every picture of a split in both precisions."""
    folder = shared_data() / name / split
    classes = tuple(sorted(path.name for path in folder.iterdir()))
    files = [sorted((folder / label).iterdir())[: MOST_EACH[split]] for label in classes]
    blobs = [path.read_bytes() for own in files for path in own]
    labels = torch.tensor([c for c, own in enumerate(files) for _ in own])
    return Split({one: _embedded(engine, blobs) for one, engine in by.items()}, labels, classes)


def _embedded(engine: Engine, blobs: Sequence[bytes]) -> Tensor:
    rows = dict(embed_stream(engine, blobs))
    return torch.from_numpy(np.stack([cast("Any", rows[i]) for i in range(len(blobs))])).half()


def image_draw(train: Split, test: Split, shots: int, seed: int) -> dict[str, float]:
    """One draw by the method `auto`: what bf16 changes of it."""
    chosen = draw(train.labels, shots, seed)
    heads = {one: fitted(train.part(one).support(chosen, ("squish",))).head for one in PRECISIONS}

    def answered(fit_in: Precision, in_: Precision) -> Tensor:
        features = test.part(in_).features
        return scoring.probabilities(heads[fit_in], features, layout=LAYOUT)

    return _judged(answered, test.labels)


def text_draw(
    train: TextPart, rows: Rows, test: Split, *, shots: int, seed: int
) -> dict[str, float]:
    """One draw by logistic regression on the embeddings: what bf16 changes of it."""
    chosen = draw(train.labels, shots, seed)
    heads = {}
    for one in PRECISIONS:
        head = LogisticRegression(C=10, max_iter=2000)
        heads[one] = head.fit(rows[one][chosen].float(), train.labels[chosen])

    def answered(fit_in: Precision, in_: Precision) -> Tensor:
        return torch.from_numpy(heads[fit_in].predict_proba(test.rows[in_].float()))

    return _judged(answered, test.labels)


def _judged(answered: Callable[[Precision, Precision], Tensor], labels: Tensor) -> dict[str, float]:
    p = {one: answered(one, one) for one in PRECISIONS}
    mixed = answered("f32", "bf16")
    return {
        **{f"accuracy_{one}": balanced_accuracy(p[one], labels) for one in PRECISIONS},
        **{f"calibration_error_{one}": calibration_error(p[one], labels) for one in PRECISIONS},
        "top1_agreement": _agreement(p["f32"], p["bf16"]),
        "accuracy_fitted_f32_served_bf16": balanced_accuracy(mixed, labels),
        "top1_agreement_served_otherwise": _agreement(p["f32"], mixed),
        "largest_difference_served_otherwise": float((p["f32"] - mixed).abs().max()),
    }


def _agreement(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.argmax(1) == theirs.argmax(1)).double().mean())


def summary(draws: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means over draws, and what bf16 loses with its 95% interval (paired, normal)."""
    means: dict[str, Any] = {
        name: round(fmean(one[name] for one in draws), 4)
        for name in draws[0]
        if not name.startswith("largest")
    }
    largest = "largest_difference_served_otherwise"
    return {
        "draws": len(draws),
        **means,
        largest: round(max(one[largest] for one in draws), 4),
        "accuracy_lost": _lost([d["accuracy_f32"] - d["accuracy_bf16"] for d in draws]),
        "calibration_lost": _lost(
            [d["calibration_error_bf16"] - d["calibration_error_f32"] for d in draws]
        ),
    }


def _lost(differences: Sequence[float]) -> dict[str, float]:
    mean = fmean(differences)
    half = 1.96 * stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else 1.0
    return {
        "mean": round(mean, 5),
        "low": round(mean - half, 5),
        "high": round(mean + half, 5),
    }


def speed(by: Mapping[Precision, Engine], batch: Any, rounds: int) -> dict[str, Any]:
    """Inputs a second of a full batch and milliseconds of a lone one, precisions in turn."""
    rates: dict[str, list[float]] = {one: [] for one in PRECISIONS}
    lone: dict[str, list[float]] = {one: [] for one in PRECISIONS}
    for _ in range(rounds):
        for one, engine in by.items():
            forward: Callable[[Any], Any] = engine.embed
            rates[one].append(len(batch) / _seconds(partial(forward, batch)))
            lone[one] += [1e3 * _seconds(partial(forward, batch[:1])) for _ in range(5)]
    ratios = [half / full for full, half in zip(rates["f32"], rates["bf16"], strict=True)]
    return {
        "per_second": {one: spread(found) for one, found in rates.items()},
        "lone_ms": {one: round(median(found), 2) for one, found in lone.items()},
        "bf16_over_f32": spread(ratios),
    }


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def starts() -> dict[str, Any]:
    """Seconds until an engine is there, its graph converted before: compiled anew, and kept."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        load = partial(load_engine, BACKBONE, None, device="cpu", cache_dir=Path(folder))
        load(precision="f32", threads=1)  # converts and stores the graph; compiled for one thread
        for one in PRECISIONS:
            found[one] = {
                "first": round(_seconds(partial(load, precision=one)), 3),
                "kept": round(_seconds(partial(load, precision=one)), 3),
            }
    return found


def emulation(by: Mapping[Precision, Engine], folder: str) -> dict[str, float]:
    """How near torch's emulation of bf16 is to the units, and to f32, by their cosines."""
    files = sorted((shared_data() / folder / "test").glob("*/*"))[:_EMULATED]
    blobs = [path.read_bytes() for path in files]
    emulated = load_torch(backbones.EFFICIENTNET, None, "cpu", precision="bf16")
    rows = [_embedded(engine, blobs).float() for engine in (emulated, by["bf16"], by["f32"])]
    cosine = torch.nn.functional.cosine_similarity
    return {
        "pictures": len(blobs),
        "least_cosine_to_the_units": round(float(cosine(rows[0], rows[1]).min()), 5),
        "least_cosine_to_f32": round(float(cosine(rows[0], rows[2]).min()), 5),
        "least_cosine_of_the_units_to_f32": round(float(cosine(rows[1], rows[2]).min()), 5),
    }


def rule(of_inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What `auto` takes where there are units: bf16 if it is worth it for every kind of input."""
    worth = {
        kind: found["speed"]["bf16_over_f32"]["median"] >= LEAST_SPEED
        and found["all"]["accuracy_lost"]["high"] <= MOST_LOSS
        and found["all"]["calibration_lost"]["high"] <= MOST_LOSS
        for kind, found in of_inputs.items()
    }
    return {
        "bf16_at_least_as_fast_as": LEAST_SPEED,
        "loses_at_most": MOST_LOSS,
        "worth": worth,
        "auto": "bf16" if all(worth.values()) else "f32",
    }


def of_images(names: Sequence[str], seeds: int, rounds: int) -> dict[str, Any]:
    """Every image set, and the backbone's speed."""
    by = engines(BACKBONE)
    draws: dict[str, list[dict[str, float]]] = {}
    for name in names:
        train, test = (images(name, split, by) for split in ("train", "test"))
        least = int(torch.bincount(train.labels).min())
        for shots in (k for k in SHOTS if k <= least):
            count = seeds if shots < least else 1
            draws[f"{name} {shots}"] = [image_draw(train, test, shots, s) for s in range(count)]
            print(name, shots, summary(draws[f"{name} {shots}"])["accuracy_lost"])
    size = backbones.EFFICIENTNET.input_size
    pixels = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), np.uint8)
    return {
        "speed": speed(by, pixels, rounds),
        "emulation": emulation(by, names[0]),
        **_tables(draws),
    }


def of_texts(seeds: int, rounds: int) -> dict[str, Any]:
    """One set of texts, and the encoder's speed."""
    by = cast("dict[Precision, TextEngine]", engines(TEXT_BACKBONE))
    parts = {split: _some_lines(split) for split in ("train", "test")}
    classes = tuple(sorted({label for _, label in parts["train"]}))
    rows: dict[str, Rows] = {}
    for split, told in parts.items():
        said = [text for text, _ in told]
        rows[split] = {
            one: torch.from_numpy(engine.embed(said)).half() for one, engine in by.items()
        }
    labels = {
        split: torch.tensor([classes.index(label) for _, label in told])
        for split, told in parts.items()
    }
    train = TextPart(rows["train"]["f32"], (), labels["train"], classes)
    test = Split(rows["test"], labels["test"], classes)
    draws = {
        f"{TEXTS} {shots}": [
            text_draw(train, rows["train"], test, shots=shots, seed=seed) for seed in range(seeds)
        ]
        for shots in SHOTS[:2]
    }
    said = [text for text, _ in parts["test"][:256]]
    return {"speed": speed(cast("Any", by), said, rounds), **_tables(draws)}


def _some_lines(split: str) -> list[tuple[str, str]]:
    """Every so many lines of a split."""
    told = lines_of(TEXTS, split)
    return told[:: -(-len(told) // _MOST_TEXTS)]


def _tables(draws: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    return {
        "sets": {name: summary(found) for name, found in draws.items()},
        "all": summary([one for found in draws.values() for one in found]),
    }


def main() -> None:
    """Measure, and write down what `auto` is to take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    options = parser.parse_args()
    if "bf16" not in precision.units("cpu"):
        raise SystemExit("this CPU has no units for bf16: there is no speed to measure")
    found = {
        "images": of_images(options.sets, options.seeds, options.rounds),
        "texts": of_texts(options.seeds, options.rounds),
    }
    record(
        "precision",
        figure="what bf16 brings in speed and costs in accuracy and calibration, f32 beside it",
        method=f"{options.seeds} draws of {SHOTS} examples a class of {', '.join(options.sets)}, "
        f"`auto` on {BACKBONE}'s primary view; {TEXTS}, logistic regression on {TEXT_BACKBONE}; "
        "balanced test accuracy and calibration error (15 bins); lost: f32 against bf16, paired by "
        "draw, 95% interval over the draws; speed: random pixels, precisions in turn, on a machine "
        "that does other work",
        results={"rule": rule(found), "start_seconds": starts(), **found},
    )


if __name__ == "__main__":
    main()
