"""What multilingual-e5-small buys over MiniLM: `auto` on either, same draws, same n-grams."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

from app.core import backbones
from app.infra import weights
from benchmarks.quality import text_sets
from benchmarks.quality.draws import draw
from benchmarks.quality.text import balanced_accuracy
from benchmarks.quality.text_sets import LAYOUT, TextSet
from benchmarks.record import record
from worker.ml.fit import fit
from worker.ml.heads import scoring
from worker.ml.tasks import Task

SETS = ("banking77", "naijasenti_hau", "naijasenti_ibo")
SHOTS = (2, 10, 20)
ENCODERS = (backbones.MINILM.name, backbones.E5.name)
METHOD = (
    "`auto` as a job fits it, with label names, on K examples a class; each draw is judged on the "
    "whole test split; balanced accuracy in percent and the mean weight of n-grams, over the draws"
)

Row = dict[str, Any]


def measured(name: str, encoder: str, shots: Sequence[int], draws: int) -> dict[str, Row]:
    """By number of examples: means over the draws."""
    data = text_sets.load(name, encoder)
    source = weights.find(encoder, None)
    assert source is not None
    sha256 = weights.sha256(source.path)
    found = {}
    for count in shots:
        rows = [_one(data, encoder, sha256, count, seed) for seed in range(draws)]
        found[str(count)] = {
            "accuracy": round(statistics.mean(row["accuracy"] for row in rows), 1),
            "lexical_weight": round(statistics.mean(row["w"] for row in rows), 2),
        }
    return found


def _one(data: TextSet, encoder: str, sha256: str, shots: int, seed: int) -> Row:
    support = data.train.support(draw(data.train.labels, shots, seed))
    made = fit(
        Task(
            method="auto",
            hyperparameters={},
            support=support,
            layout=LAYOUT,
            backbone=encoder,
            weights_sha256=sha256,
            label_embeddings=data.names,
        )
    )
    features, texts = {"text": data.test.rows}, data.test.texts
    scores = scoring.probabilities(made.head, features, layout=LAYOUT, texts=texts)
    return {
        "accuracy": balanced_accuracy(scores, data.test.labels),
        "w": made.hyperparameters["lexical_weight"],
    }


def main() -> None:
    """Measure the sets that are asked for, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--shots", nargs="*", type=int, default=list(SHOTS))
    options = parser.parse_args()
    record(
        "quality_text_e5",
        figure="balanced test accuracy of texts on either encoder, from few examples",
        method=f"{METHOD} ({options.draws})",
        results={
            name: {one: measured(name, one, options.shots, options.draws) for one in ENCODERS}
            for name in options.sets
        },
    )


if __name__ == "__main__":
    main()
