"""What encoders of texts buy: `auto` on MiniLM, multilingual-e5-small and both, same draws."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from app.core import backbones
from app.core.backbones import JOINT, BackboneSpec
from app.infra import weights
from benchmarks.quality import text_sets
from benchmarks.quality.draws import draw
from benchmarks.quality.text import balanced_accuracy, binned, calibration_error
from benchmarks.quality.text_sets import TextPart, TextSet
from benchmarks.record import record
from worker.ml.fit import fit
from worker.ml.heads import scoring
from worker.ml.tasks import Task

SHOTS = {
    "banking77": (1, 2, 5, 10),
    "naijasenti_hau": (1, 2, 5, 10, 20, 100),
    "naijasenti_ibo": (1, 2, 5, 10, 20, 100),
}
ENCODERS = (
    backbones.MINILM.name,
    backbones.E5.name,
    JOINT.join((backbones.MINILM.name, backbones.E5.name)),
)
METHOD = (
    "`auto` as a job fits it, with label names, on K examples a class; each draw is judged on the "
    "whole test split; balanced accuracy in percent, the calibration error of all draws pooled "
    "(15 bins), the mean weight of n-grams and of the second encoder, and a fit's median CPU "
    "seconds, over the draws"
)

Row = dict[str, Any]


def measured(name: str, encoder: str, shots: Sequence[int], draws: int) -> dict[str, Row]:
    """By number of examples: means over the draws."""
    spec = weights.get(encoder)
    data = joined([text_sets.load(name, one.name) for one in spec.parts])
    sha256 = JOINT.join(_sha256(one.name) for one in spec.parts)
    return {
        str(count): _told([_one(data, spec, sha256, count, seed) for seed in range(draws)])
        for count in shots
    }


def _sha256(name: str) -> str:
    source = weights.find(name, None)
    assert source is not None
    return weights.sha256(source.path)


def joined(sets: Sequence[TextSet]) -> TextSet:
    """The same texts under several encoders, their vectors side by side."""
    if len(sets) == 1:
        return sets[0]
    first = sets[0]
    train, test = (_beside([getattr(one, part) for one in sets]) for part in ("train", "test"))
    return TextSet(first.name, train, test, torch.cat([one.names for one in sets], 1))


def _beside(parts: Sequence[TextPart]) -> TextPart:
    rows: Tensor = torch.cat([part.rows for part in parts], 1)
    return TextPart(rows, parts[0].texts, parts[0].labels, parts[0].classes)


def _one(data: TextSet, spec: BackboneSpec, sha256: str, shots: int, seed: int) -> Row:
    support = data.train.support(draw(data.train.labels, shots, seed))
    task = Task(
        method="auto",
        hyperparameters={},
        support=support,
        layout=spec.layout,
        backbone=spec.name,
        weights_sha256=sha256,
        label_embeddings=data.names,
    )
    began = time.process_time()
    made = fit(task)
    seconds = time.process_time() - began
    features, texts = {"text": data.test.rows}, data.test.texts
    scores = scoring.probabilities(made.head, features, layout=spec.layout, texts=texts)
    return {
        "accuracy": balanced_accuracy(scores, data.test.labels),
        "w": made.hyperparameters["lexical_weight"],
        "share": made.head.config.shares[1] if made.head.config.shares else None,
        "cpu_seconds": seconds,
        **binned(scores, data.test.labels),
    }


def _told(rows: Sequence[Row]) -> Row:
    told = {
        "accuracy": round(statistics.mean(row["accuracy"] for row in rows), 1),
        "calibration_error": calibration_error(rows),
        "lexical_weight": round(statistics.mean(row["w"] for row in rows), 2),
        "cpu_seconds": round(statistics.median(row["cpu_seconds"] for row in rows), 2),
    }
    if rows[0]["share"] is None:
        return told
    return told | {"second_encoder": round(statistics.mean(row["share"] for row in rows), 2)}


def main() -> None:
    """Measure the sets that are asked for, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=list(SHOTS))
    parser.add_argument("--shots", nargs="*", type=int)
    options = parser.parse_args()
    record(
        "quality_text_e5",
        figure="balanced test accuracy of texts on either encoder and on both, from few examples",
        method=f"{METHOD} ({options.draws})",
        results={
            name: {
                one: measured(name, one, options.shots or SHOTS[name], options.draws)
                for one in ENCODERS
            }
            for name in options.sets
        },
    )


if __name__ == "__main__":
    main()
