"""How good heads against the rest are on tiles of real pictures, and whether what is stated holds.

Two by two pictures make a tile, which has the union of their labels; every label is on 20 tiles or
more of a draw. Ten minutes of two cores; the tiles' embeddings are kept under data/benchmarks.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import Tensor

from benchmarks.quality import tiled_sets
from benchmarks.quality.cells import LAYOUT, fitted
from benchmarks.quality.tiled_sets import TiledPart
from benchmarks.record import record
from worker.ml.artifact import Fit
from worker.ml.features import spaces
from worker.ml.heads import scoring
from worker.ml.tasks import Support

POSITIVES = 20
REFERENCE = "one-against-rest logistic regression, C=10, last layer, squish"
COLD = tiled_sets.VIEWS[:1]
Rows = list[dict[str, Any]]


def main() -> None:
    """Measure and write the figure."""
    options = _options()
    torch.set_num_threads(2)
    found = {name: _of_set(name, options) for name in options.sets}
    record(
        "multi_label",
        figure="mean average precision of several labels a picture, and what thresholds state",
        method=f"pictures of {', '.join(options.sets)} tiled two by two, the tile with the union of"
        f" their labels; {options.draws} draws a set of {tiled_sets.TILES['train']} tiles, until "
        f"every label is on {POSITIVES}; judged on {tiled_sets.TILES['test']} tiles of the sets' "
        "own test pictures (grocery's are from other shops and days); cold: only squish is cached, "
        f"as in a job right after its upload; full: {', '.join(tiled_sets.VIEWS)}, in "
        f"{options.full} draws a set",
        results=_table(found),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--full", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=list(tiled_sets.SETS))
    return parser.parse_args()


def _of_set(name: str, options: argparse.Namespace) -> Rows:
    train, test = tiled_sets.load(name)
    found = []
    for seed in range(options.draws):
        rows = tiled_sets.draw(train.marks, POSITIVES, seed)
        cold = fitted(train.support(rows, COLD))
        one = {"examples": len(rows), "cold": _mean_ap(_answers(cold, test), test.marks)}
        one |= {"reference": _mean_ap(reference(train.support(rows, COLD), test), test.marks)}
        if seed < options.full:
            full = fitted(train.support(rows, tiled_sets.VIEWS))
            one["full"] = _mean_ap(_answers(full, test), test.marks)
        found.append(one | _stated(cold, test))
    return found


def reference(support: Support, test: TiledPart) -> Tensor:
    """What everybody would do first: [n, C]."""
    x = spaces.last(support.features["squish"], LAYOUT).numpy()
    asked = spaces.last(test.features["squish"], LAYOUT).numpy()
    assert support.marks is not None
    columns = [_column(x, own.numpy(), asked) for own in support.marks.T]
    return torch.from_numpy(np.stack(columns, 1))


def _column(
    x: NDArray[np.float32], marks: NDArray[np.bool_], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    head = LogisticRegression(C=10, max_iter=5000).fit(x, marks)
    found: NDArray[np.float64] = head.predict_proba(asked)[:, 1]
    return found


def _answers(found: Fit, test: TiledPart) -> Tensor:
    return scoring.probabilities(found.head, test.features, layout=LAYOUT)


def _mean_ap(scores: Tensor, marks: Tensor) -> float:
    pairs = zip(marks.T.numpy(), scores.T.numpy(), strict=True)
    return mean(float(average_precision_score(own, said)) for own, said in pairs)


def _stated(found: Fit, test: TiledPart) -> dict[str, Any]:
    """For every class whether the truth is in the interval that is stated of its threshold."""
    p = _answers(found, test).double()
    said = p >= torch.tensor(found.head.config.thresholds, dtype=torch.double)
    hits, per_class = (said & test.marks).sum(0), found.evaluation["per_class"]
    precision = hits / said.sum(0)
    recall = hits / test.marks.sum(0)
    f1 = 2 * hits / (said.sum(0) + test.marks.sum(0))
    return {
        "precision": [
            _held(one["precision"], truth)
            for one, truth in zip(per_class, precision.tolist(), strict=True)
        ],
        "recall": [
            _held(one["recall"], truth)
            for one, truth in zip(per_class, recall.tolist(), strict=True)
        ],
        "stated_precision": [one["precision"]["value"] for one in per_class],
        "true_precision": precision.tolist(),
        "width": [one["precision"]["high"] - one["precision"]["low"] for one in per_class],
        "mean_average_precision": _held(
            found.evaluation["mean_average_precision"], _mean_ap(p, test.marks)
        ),
        "macro_f1": _held(found.evaluation["macro_f1"], float(f1.mean())),
        "calibration_error": _calibration_error(p, test.marks),
    }


def _held(stated: Mapping[str, float], truth: float) -> bool:
    return stated["low"] <= truth <= stated["high"]


def _calibration_error(p: Tensor, marks: Tensor, bins: int = 15) -> float:
    place = (p.flatten() * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(bins, dtype=torch.double)
    gap.index_add_(0, place, (p - marks.double()).flatten())
    return float(gap.abs().sum() / p.numel())


def _table(found: Mapping[str, Rows]) -> dict[str, Any]:
    told = {name: _summary(rows) for name, rows in found.items()}
    every = [row for rows in found.values() for row in rows]
    return {"sets": told, "all": _summary(every)}


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    full = [row["full"] - row["reference"] for row in rows if "full" in row]
    return {
        "examples": round(mean(row["examples"] for row in rows), 1),
        "mean_average_precision": {
            REFERENCE: _points(row["reference"] for row in rows),
            "auto, cold": _points(row["cold"] for row in rows),
            "auto, full": _points(row["full"] for row in rows if "full" in row),
        },
        "points_over_reference": {
            "cold": _points(row["cold"] - row["reference"] for row in rows),
            "full": _points(full),
        },
        "draws": len(rows),
        "stated_holds": {
            "precision_of_a_class": _share(rows, "precision"),
            "recall_of_a_class": _share(rows, "recall"),
            "mean_average_precision": _points(row["mean_average_precision"] for row in rows),
            "macro_f1": _points(row["macro_f1"] for row in rows),
        },
        "precision": {
            "stated": _points(x for row in rows for x in row["stated_precision"]),
            "true": _points(x for row in rows for x in row["true_precision"]),
            "width_of_interval": _points(x for row in rows for x in row["width"]),
        },
        "calibration_error": round(mean(row["calibration_error"] for row in rows), 4),
    }


def _share(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return _points(held for row in rows for held in row[name])


def _points(values: Any) -> float:
    """Their mean in points of a hundred."""
    return round(100 * mean(float(value) for value in values), 2)


if __name__ == "__main__":
    main()
