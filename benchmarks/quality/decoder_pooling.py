"""Where a decoder's states tell classes apart: over all tokens or at the last, asked or unasked."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from app.core import backbones
from app.core.backbones import BackboneSpec, Pooling
from benchmarks.quality import text_sets
from benchmarks.quality.draws import draw
from benchmarks.quality.text import balanced_accuracy
from benchmarks.record import record
from worker.ml.engines import TextEngine
from worker.ml.engines.openvino_engine import load_openvino
from worker.ml.engines.openvino_graph import CpuOptions
from worker.ml.features.label_names import readable
from worker.ml.fit import fit
from worker.ml.heads import scoring
from worker.ml.tasks import Support, Task

ASKED = backbones.SMOLLM2.template
READ: Mapping[str, tuple[Pooling, int | None, str]] = {
    "mean": ("mean", None, ""),
    "weighted": ("weighted", None, ""),
    "last": ("last", None, ""),
    "asked, last": ("last", None, ASKED),
    "asked, last, block 25": ("last", 25, ASKED),
}
SHOTS = (1, 10)
CLASSES = 20
"""The first of a set: enough to tell the ways apart."""
TRAIN, TEST = 20, 400
"""Texts of a class that are drawn from, and of a set that are judged on."""
METHOD = (
    "`auto` as a job fits it, with label names, on K examples a class drawn from the first "
    f"{TRAIN} of each of a set's first {CLASSES} classes; balanced accuracy in percent on about "
    f"{TEST} of the test texts, mean over the draws"
)
Row = dict[str, Any]


class Sample:
    """Texts and labels of a set's first lines a class, and the classes."""

    def __init__(self, name: str) -> None:
        train, test = (text_sets.lines_of(name, split) for split in ("train", "test"))
        self.classes = tuple(sorted({label for _, label in train}))[:CLASSES]
        self.train = self._first(train, TRAIN)
        self.test = self._first(test, TEST // len(self.classes))

    def labels(self, lines: Sequence[tuple[str, str]]) -> Tensor:
        """[n]."""
        return torch.tensor([self.classes.index(label) for _, label in lines])

    def _first(self, lines: Sequence[tuple[str, str]], most: int) -> list[tuple[str, str]]:
        own = (islice((line for line in lines if line[1] == one), most) for one in self.classes)
        return [line for some in own for line in some]


def engine_of(spec: BackboneSpec) -> TextEngine:
    """In bf16 or f32, as this machine takes it."""
    from worker.ml.engines.precision import chosen

    return cast(
        "TextEngine", load_openvino(spec, None, CpuOptions(precision=chosen("auto", "cpu")))
    )


def measured(engine: TextEngine, sample: Sample, draws: int) -> Row:
    """Accuracy by number of examples."""
    spec = engine.spec
    train, test = (_rows(engine, [text for text, _ in one]) for one in (sample.train, sample.test))
    names = _rows(engine, [readable(label) for label in sample.classes])
    told: Row = {}
    for shots in SHOTS:
        scores = [
            _accuracy(spec, sample, (train, test, names), shots=shots, seed=seed)
            for seed in range(draws)
        ]
        told[str(shots)] = round(statistics.mean(scores), 1)
    return told


def _rows(engine: TextEngine, texts: Sequence[str]) -> Tensor:
    return torch.from_numpy(engine.embed(texts).astype(np.float16))


def _accuracy(
    spec: BackboneSpec,
    sample: Sample,
    rows: tuple[Tensor, Tensor, Tensor],
    *,
    shots: int,
    seed: int,
) -> float:
    train, test, names = rows
    labels = sample.labels(sample.train)
    chosen = draw(labels, shots, seed)
    texts = [sample.train[row][0] for row in chosen.tolist()]
    support = Support(
        features={"text": train[chosen]}, labels=labels[chosen], groups=torch.arange(len(chosen)),
        ids=[f"ex_{place}" for place in range(len(chosen))], classes=sample.classes, texts=texts,
    )  # fmt: skip
    made = fit(
        Task(
            method="auto",
            hyperparameters={},
            support=support,
            layout=spec.layout,
            backbone=spec.name,
            weights_sha256="",
            label_embeddings=names,
        )
    )
    asked = [text for text, _ in sample.test]
    scores = scoring.probabilities(made.head, {"text": test}, layout=spec.layout, texts=asked)
    return balanced_accuracy(scores, sample.labels(sample.test))


def main() -> None:
    """Measure the sets that are asked for, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=["banking77", "naijasenti_hau"])
    options = parser.parse_args()
    specs = {
        told: replace(backbones.SMOLLM2, pooling=pooling, layer=layer, template=template)
        for told, (pooling, layer, template) in READ.items()
    }
    specs = {"all-MiniLM-L6-v2": backbones.MINILM, **specs}
    samples = {name: Sample(name) for name in options.sets}
    results: dict[str, dict[str, Row]] = {name: {} for name in samples}
    for told, spec in specs.items():
        engine = engine_of(spec)
        for name, sample in samples.items():
            results[name][told] = measured(engine, sample, options.draws)
            print(name, told, results[name][told], flush=True)
    record(
        "decoder_pooling",
        figure="balanced test accuracy of texts by where SmolLM2-135M's states are read",
        method=f"{METHOD} ({options.draws})",
        results=results,
    )


if __name__ == "__main__":
    main()
