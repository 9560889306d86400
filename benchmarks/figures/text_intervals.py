"""How often what is stated of texts holds: of more like them, of another file, of careless typing.

`python -m benchmarks.figures.text_intervals`, some minutes of two cores.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core import backbones
from app.core.backbones import JOINT
from app.infra import weights
from benchmarks.figures.intervals import first_of_each, told_by_shots
from benchmarks.quality import text_sets
from benchmarks.quality.text import balanced_accuracy
from benchmarks.quality.text_e5 import joined
from benchmarks.quality.text_sets import CACHE, TextPart, TextSet, engine
from benchmarks.record import record
from worker.ml.artifact import Fit
from worker.ml.fit import fit
from worker.ml.heads import scoring
from worker.ml.tasks import Task

SETS = ("banking77", "naijasenti_hau", "naijasenti_ibo")
SHOTS = (2, 5, 10, 20, 100)
SEEDS = range(1200, 1210)
ENCODERS = (backbones.MINILM.name, backbones.E5.name)
MOST_TESTED = 1_000
OTHER_FILES = frozenset({"naijasenti_hau"})
"""Whose test file was written otherwise: in small letters, without who is spoken to."""
LEAST_LEFT = 4
"""Examples of each class that must be left to test on."""
Row = dict[str, Any]


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name in SETS:
        _careless(name)
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        kinds = [(name, seed) for name in SETS for seed in SEEDS]
        rows = [row for some in pool.map(_drawn, *zip(*kinds, strict=True)) for row in some]
    record(
        "text_intervals",
        figure="how often test accuracy of texts lies in the stated 95% intervals; percent",
        method=f"sets {', '.join(SETS)}, {len(SEEDS)} nested draws each, `auto` on "
        f"{' and '.join(ENCODERS)} with label names. No shift: examples from train and test "
        "together, judged by the rest, and forecasts by the same draw with more; other file: "
        "Hausa's test (small letters, no @user) by "
        "examples of its train; careless: the test texts in small letters without punctuation, "
        f"every tenth word with two letters swapped ({MOST_TESTED} at most)",
        results={kind: told_by_shots(_of(rows, kind)) for kind in ("no shift", *_shifts(rows))}
        | {f"no shift, {name}": told_by_shots(_of(rows, "no shift", name)) for name in SETS}
        | {"forecasts": _forecasts(_of(rows, "no shift"))},
    )


def _forecasts(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Of the same draw with twice and four times the examples: whether it was forecast."""
    later = {(row["set"], row["seed"], row["shots"]): row["true"] for row in rows}
    found: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for row in rows:
        for told in row["forecasts"]:
            true = later.get((row["set"], row["seed"], told["per_class"]))
            if true is not None:
                held = told["low"] <= true <= told["high"]
                way = f"{row['shots']} to {told['per_class']:.0f}"
                found[way].append((held, told["accuracy"] - true))
    return {
        way: {
            "draws": len(some),
            "held": round(100 * fmean(held for held, _ in some), 1),
            "too_high_by_points": round(100 * fmean(over for _, over in some), 2),
        }
        for way, some in found.items()
    }


def _of(rows: Iterable[Row], kind: str, name: str | None = None) -> list[Row]:
    return [row for row in rows if row["kind"] == kind and name in (None, row["set"])]


def _shifts(rows: Iterable[Row]) -> list[str]:
    return sorted({str(row["kind"]) for row in rows} - {"no shift"})


def _drawn(name: str, seed: int) -> list[Row]:
    data = loaded(name)
    return [
        *_at_home(name, whole(name), data.names, seed),
        *_elsewhere(name, data, seed),
    ]


def _at_home(name: str, every: TextPart, names: Tensor, seed: int) -> Iterator[Row]:
    order = torch.randperm(len(every.labels), generator=torch.Generator().manual_seed(seed))
    for shots in SHOTS:
        chosen = first_of_each(every.labels, order, shots)
        rest = torch.ones(len(every.labels), dtype=torch.bool)
        rest[chosen] = False
        left = torch.bincount(every.labels[rest], minlength=len(every.classes))
        if len(chosen) < shots * len(every.classes) or int(left.min()) < LEAST_LEFT:
            return
        if len(chosen) > 1_000:
            return
        made = _fitted(every, chosen, names)
        row = _row(name, made, shots, "no shift", taken(every, torch.nonzero(rest)[:, 0]))
        yield row | {"seed": seed, "forecasts": _forecast(made)}


def _elsewhere(name: str, data: TextSet, seed: int) -> Iterator[Row]:
    order = torch.randperm(len(data.train.labels), generator=torch.Generator().manual_seed(seed))
    for shots in SHOTS:
        chosen = first_of_each(data.train.labels, order, shots)
        if not shots * len(data.train.classes) <= len(chosen) <= 1_000:
            return
        made = _fitted(data.train, chosen, data.names)
        if name in OTHER_FILES:
            yield _row(name, made, shots, "other file", data.test)
        yield _row(name, made, shots, "careless", _careless(name))


def _forecast(made: Fit) -> list[dict[str, float]]:
    curve = made.advice["learning_curve"]
    return list(curve["forecast"]) if curve is not None else []


def _fitted(part: TextPart, chosen: Tensor, names: Tensor) -> Fit:
    return fit(task(part, chosen, names))


def task(part: TextPart, chosen: Tensor, names: Tensor) -> Task:
    """To learn from the chosen examples of a part, by `auto` on both encoders."""
    spec = weights.get(JOINT.join(ENCODERS))
    return Task(
        method="auto",
        hyperparameters={},
        support=part.support(chosen),
        layout=spec.layout,
        backbone=spec.name,
        weights_sha256=_sha256(),
        label_embeddings=names,
    )


def scores(made: Fit, test: TextPart) -> Tensor:
    """Probabilities [n, C] of a part."""
    layout = weights.get(JOINT.join(ENCODERS)).layout
    return scoring.probabilities(made.head, {"text": test.rows}, layout=layout, texts=test.texts)


def _row(name: str, made: Fit, shots: int, kind: str, test: TextPart) -> Row:
    said = made.evaluation
    plain = said["accuracy"] | {"point": said["accuracy"]["expected"]}
    there = said["new_sources"]["accuracy"]
    stated = plain if kind == "no shift" else there | {"point": there["value"]}
    true = balanced_accuracy(scores(made, test), test.labels) / 100
    return {
        "set": name,
        "kind": kind,
        "shots": shots,
        "true": true,
        "plain": plain,
        "stated": stated,
    }


@cache
def _sha256() -> str:
    found = [weights.find(one, None) for one in ENCODERS]
    return JOINT.join(weights.sha256(one.path) for one in found if one is not None)


@cache
def loaded(name: str) -> TextSet:
    """A set under both encoders."""
    return joined([text_sets.load(name, one) for one in ENCODERS])


@cache
def whole(name: str) -> TextPart:
    """Both splits as one."""
    data = loaded(name)
    return TextPart(
        torch.cat([data.train.rows, data.test.rows]),
        data.train.texts + data.test.texts,
        torch.cat([data.train.labels, data.test.labels]),
        data.train.classes,
    )


def taken(part: TextPart, rows: Tensor) -> TextPart:
    """Of these rows."""
    texts = tuple(part.texts[row] for row in rows.tolist())
    return TextPart(part.rows[rows], texts, part.labels[rows], part.classes)


@cache
def _careless(name: str) -> TextPart:
    """Some test texts as somebody in a hurry types them."""
    test = loaded(name).test
    order = torch.randperm(len(test.labels), generator=torch.Generator().manual_seed(0))
    some = taken(test, order[:MOST_TESTED].sort().values)
    texts = tuple(_hurried(text) for text in some.texts)
    rows = [_embedded(one, f"{name}.careless", texts) for one in ENCODERS]
    return TextPart(torch.cat(rows, 1), texts, some.labels, some.classes)


def _hurried(text: str) -> str:
    chance = random.Random(text)
    words = re.sub(r"[^\w\s@']", "", text.lower()).split()
    return " ".join(_swapped(word, chance) if chance.random() < 0.1 else word for word in words)


def _swapped(word: str, chance: random.Random) -> str:
    if len(word) < 4:
        return word
    at = chance.randrange(1, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _embedded(backbone: str, part: str, texts: Sequence[str]) -> Tensor:
    path = CACHE / f"{backbone}.{part}.npy"
    if not path.exists():
        parts = [engine(backbone).embed(texts[i : i + 64]) for i in range(0, len(texts), 64)]
        np.save(path, np.concatenate(parts).astype(np.float16))
    return torch.from_numpy(np.load(path))


if __name__ == "__main__":
    main()
