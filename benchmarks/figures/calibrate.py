"""What unlabelled inputs of a new source tell: `python -m benchmarks.figures.calibrate`."""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from app.core.calibration import recalibration
from app.core.calibration.recalibration import Judged
from benchmarks.figures import pictures
from benchmarks.quality.cells import LAYOUT, fitted
from benchmarks.quality.draws import draw
from benchmarks.record import record
from worker.ml.artifact import Fit
from worker.ml.assess.answers import HeldOutAnswers
from worker.ml.heads import scoring

SHOTS = (5, 10, 20)
SEEDS = 3
INPUTS = 100
RATE = 0.05
Found = dict[str, list[float]]


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    found: dict[str, Found] = defaultdict(lambda: defaultdict(list))
    for name in pictures.SETS:
        train = pictures.train(name)
        for shots in (k for k in SHOTS if k <= int(torch.bincount(train.labels).min())):
            for seed in range(SEEDS):
                fit = fitted(train.support(draw(train.labels, shots, seed)))
                for drift in (None, *pictures.DRIFTS):
                    test = pictures.unseen(name, drift)
                    kind = drift or ("other shops" if name in pictures.ELSEWHERE else "no shift")
                    _judge(fit, test, seed, found[kind])
    record(
        "calibrate",
        figure="false unknowns at a stated rate of 5% before and after calibrating on unlabelled "
        "inputs of the source, and the accuracy told without labels",
        method=f"sets {', '.join(pictures.SETS)}, {SEEDS} draws each at {SHOTS} examples a class, "
        f"views squish and mirror; {INPUTS} test inputs to calibrate, judged on the others; points;"
        " missed: mean absolute difference from the accuracy on those others; held: share of draws "
        "in which it lies in the estimate's 95% interval. The residual's deviation in that interval"
        " was chosen on other draws of the same sets",
        results={kind: _table(rows) for kind, rows in found.items()},
    )


def _table(rows: Found) -> dict[str, Any]:
    told: dict[str, Any] = {name: round(100 * fmean(rows[name]), 1) for name in rows}
    far = [abs(100 * one - 100 * RATE) <= 3 for one in rows["false unknown, after"]]
    return told | {"after within 3 points": round(100 * fmean(far), 1), "draws": len(far)}


def _judge(fit: Fit, test: pictures.Pictures, seed: int, rows: Found) -> None:
    head = scoring.load(fit.head)
    said = scoring.predict(test.features, [head] * len(test), layout=LAYOUT)
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed)).tolist()
    sent, others = order[:INPUTS], order[INPUTS:]
    threshold = recalibration.thresholds([said[at].score for at in sent])
    level = threshold[recalibration.RATES.index(RATE)]
    right = fmean(said[at].label == test.classes[int(test.labels[at])] for at in others)
    judged = _judged(fit)
    told = recalibration.accuracy(judged, [float(said[at].probabilities.max()) for at in sent])
    own = fmean(judged.right)
    rows["false unknown, before"].append(fmean(said[at].unknown for at in others))
    rows["false unknown, after"].append(fmean(said[at].score < level for at in others))
    rows["missed by the evaluation"].append(abs(own - right))
    rows["missed by the estimate"].append(abs(told["value"] - right))
    rows["held"].append(float(told["low"] <= right <= told["high"]))


def _judged(fit: Fit) -> Judged:
    assert isinstance(fit.answers, HeldOutAnswers)
    known: Tensor = fit.answers.known
    p, labels = fit.answers.probabilities[known], fit.answers.labels[known]
    top, said = p.max(1)
    return Judged(confidences=top.tolist(), right=(said == labels).tolist())


if __name__ == "__main__":
    main()
