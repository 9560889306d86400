"""What smoothing over a batch gains: `python -m benchmarks.figures.transduction`, some minutes."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from app.core import backbones
from benchmarks.figures import pictures
from benchmarks.quality import text_sets
from benchmarks.quality.cells import LAYOUT, balanced_accuracy, fitted
from benchmarks.quality.draws import draw
from benchmarks.record import record
from worker.ml import fit
from worker.ml.artifact import HeadArtifact
from worker.ml.assess.calibration import calibration_error
from worker.ml.features import spaces
from worker.ml.heads import scoring, transduction
from worker.ml.tasks import Task

SHOTS = (1, 2, 5, 10, 20)
SEEDS = 4
PART = 500
TEXTS = ("banking77", "naijasenti_hau")
Gains = dict[tuple[str, int], list[float]]


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    gains: Gains = defaultdict(list)
    for name in pictures.SETS:
        _of_images(name, gains)
    for name in TEXTS:
        _of_texts(name, gains)
    record(
        "transduction",
        figure="points of balanced accuracy (of unbalanced batches: accuracy) that smoothing over "
        "the batch gains, by examples a class",
        method=f"{SEEDS} draws, sets {', '.join(pictures.SETS)} (views squish and mirror) and the "
        f"texts of {', '.join(TEXTS)}; the test inputs in random order, in parts of {PART}; "
        "unbalanced: 200 inputs of which one class, in turn, has half, nine tenths or all; always: "
        "without the guard; guarded: as the service does it; kept: share of batches that the guard "
        "left to smoothing; calibration error with 15 bins, in points",
        results=_table(gains),
    )


def _table(gains: Gains) -> dict[str, Any]:
    kinds = dict.fromkeys(kind for kind, _ in gains)
    return {
        kind: {
            str(shots): round(100 * mean(gains[kind, shots]), 2)
            for shots in SHOTS
            if gains.get((kind, shots))
        }
        for kind in kinds
    }


def _of_images(name: str, gains: Gains) -> None:
    train, test = pictures.train(name), pictures.unseen(name, None)
    for shots in (k for k in SHOTS if k <= int(torch.bincount(train.labels).min())):
        for seed in range(SEEDS):
            head = fitted(train.support(draw(train.labels, shots, seed))).head
            p = scoring.probabilities(head, test.features, layout=LAYOUT)
            rows = _rows(head, "late", test.features["squish"], LAYOUT)
            _judge(name, p, rows, test.labels, shots=shots, seed=seed, gains=gains)


def _of_texts(name: str, gains: Gains) -> None:
    found = text_sets.load(name)
    for shots in SHOTS:
        for seed in range(SEEDS):
            support = found.train.support(draw(found.train.labels, shots, seed))
            head = fit.fit(
                Task(
                    method="auto",
                    hyperparameters={},
                    support=support,
                    layout=text_sets.LAYOUT,
                    backbone=backbones.MINILM.name,
                    label_embeddings=found.names.float(),
                )
            ).head
            features = {"text": found.test.rows}
            p = scoring.probabilities(
                head, features, layout=text_sets.LAYOUT, texts=found.test.texts
            )
            rows = _rows(head, "look", found.test.rows, text_sets.LAYOUT)
            _judge(name, p, rows, found.test.labels, shots=shots, seed=seed, gains=gains)


def _rows(head: HeadArtifact, space: str, rows: Tensor, layout: Sequence[Any]) -> Tensor:
    made = spaces.transform(tuple(layout), head.config.statistics, head.config.shares)
    return made(space, rows)


def _judge(
    name: str, p: Tensor, rows: Tensor, labels: Tensor, *, shots: int, seed: int, gains: Gains
) -> None:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    p, rows, labels = p[order], rows[order], labels[order]
    smooth = _in_parts(p, rows, shots=shots, guarded=False)
    guarded = _in_parts(p, rows, shots=shots, guarded=True)
    before = balanced_accuracy(p, labels)
    if name in TEXTS:
        guarded = p
    kind = "texts" if name in TEXTS else "images"
    told: Mapping[str, float] = {
        f"{kind}, always": balanced_accuracy(smooth, labels) - before,
        f"{kind}, guarded": balanced_accuracy(guarded, labels) - before,
        name: balanced_accuracy(guarded, labels) - before,
        f"{kind}, calibration error before": calibration_error(p, labels),
        f"{kind}, calibration error, always": calibration_error(smooth, labels),
    }
    for what, value in told.items():
        gains[what, shots].append(value)
    for share in (0.5, 0.9, 1.0):
        _unbalanced(share, p, rows, labels, shots=shots, seed=seed, gains=gains)


def _unbalanced(
    share: float,
    p: Tensor,
    rows: Tensor,
    labels: Tensor,
    *,
    shots: int,
    seed: int,
    gains: Gains,
) -> None:
    """Of the batch that is left when one class is to have `share` of it."""
    large = labels == seed % (int(labels.max()) + 1)
    own, others = torch.nonzero(large)[:, 0][:200], torch.nonzero(~large)[:, 0]
    kept = torch.cat([own, others[: round(len(own) * (1 - share) / share)]])
    p, rows, labels = p[kept], rows[kept], labels[kept]
    if len(kept) < transduction.LEAST_INPUTS:
        return
    before = _right(p, labels)
    always = transduction.smoothed(p, rows, per_class=shots)
    kind = f"one class has {share:.0%}"
    over, left = transduction.over(p, rows, per_class=shots)
    gains[f"{kind}, always", shots].append(_right(always, labels) - before)
    gains[f"{kind}, guarded", shots].append(_right(over, labels) - before)
    gains[f"{kind}, kept", shots].append(float(left is None))


def _right(p: Tensor, labels: Tensor) -> float:
    return float((p.argmax(1) == labels).double().mean())


def _in_parts(p: Tensor, rows: Tensor, *, shots: int, guarded: bool) -> Tensor:
    made = []
    for start in range(0, len(p), PART):
        own, near = p[start : start + PART], rows[start : start + PART]
        over, _ = transduction.over(own, near, per_class=shots)
        made.append(over if guarded else transduction.smoothed(own, near, per_class=shots))
    return torch.cat(made)


if __name__ == "__main__":
    main()
