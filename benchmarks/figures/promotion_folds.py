"""The gate where nothing is held out: which candidates it promotes by what folds say.

`python -m benchmarks.figures.promotion_folds`, some minutes of two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from torch import Tensor

from app.core.promotion.gate import PromotionGate, decide
from app.core.promotion.pairs import Pair, Verdicted
from app.core.promotion.spending import Budget
from benchmarks.figures import pictures
from benchmarks.figures.pictures import Pictures
from benchmarks.quality.cells import LAYOUT, fitted
from benchmarks.record import record
from worker.ml.artifact import Fit
from worker.ml.heads import scoring

SETS = ("sign_digits", "clothing", "bccd_cells")
SEEDS = range(700, 712)
KNOWN, NEW = 20, 10
"""Examples a class that both are trained on, and that the candidate alone is."""
MARGINS = (0.02, 0.05, 0.1)
DRAWS = 200
WRONG = {"right labels": 0.0, "half of the new labels wrong": 0.5, "all new labels wrong": 1.0}
"""The share of new labels that name the next class."""
Answers = Mapping[str, tuple[str, Verdicted]]
Row = Mapping[str, Any]


def main() -> None:
    """Measure and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        kinds = [(name, seed) for name in SETS for seed in SEEDS]
        rows = [row for some in pool.map(_drawn, *zip(*kinds, strict=True)) for row in some]
    record(
        "promotion_folds",
        figure="shares of candidates that the gate promotes by answers out of fold, by what their "
        "accuracy on test pictures really is beside the incumbent's",
        method=f"sets {', '.join(SETS)}, {len(SEEDS)} draws each; the incumbent has {KNOWN} "
        f"examples a class, the candidate {NEW} more, of which none, half or all are labelled as "
        "the next class; compared on the examples that both have, each answered by a fit that had "
        "not seen it; first look, default gate with three margins. The truth is counted on all "
        "pictures that neither was trained on",
        results={f"margin {margin:g}": _told(rows, margin) for margin in MARGINS},
    )


def _told(rows: Sequence[Row], margin: float) -> dict[str, Any]:
    some = [row for row in rows if row["margin"] == margin]
    worse = [row for row in some if row["true"] <= -margin]
    better = [row for row in some if row["true"] >= 0]
    return {
        "worse by the margin": _shares(worse),
        "not worse": _shares(better),
        "by kind": {kind: _shares([row for row in some if row["kind"] == kind]) for kind in WRONG},
    }


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    said = [row["verdict"] for row in rows]
    count = max(1, len(said))
    names = ("promoted", "refused", "inconclusive")
    return {"draws": len(said)} | {name: round(said.count(name) / count, 3) for name in names}


def _drawn(name: str, seed: int) -> list[dict[str, Any]]:
    whole = pictures.whole(name)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    known, both = (_first(whole.labels, order, count) for count in (KNOWN, KNOWN + NEW))
    rest = torch.ones(len(whole), dtype=torch.bool)
    rest[both] = False
    test = whole.take(rest.nonzero()[:, 0])
    incumbent = fitted(whole.support(known))
    right, theirs = _right(incumbent, test), _answers(incumbent)
    rows = []
    for kind, share in WRONG.items():
        candidate = fitted(_poisoned(whole, known, both, share).support(both))
        mine, true = _answers(candidate), _right(candidate, test) - right
        pairs = [
            Pair(label, key, mine[key][1], said)
            for key, (label, said) in theirs.items()
            if key in mine and mine[key][0] == label
        ]
        for margin in MARGINS:
            said = decide(pairs, PromotionGate(margin=margin), Budget(0.05), draws=DRAWS)
            rows.append({"kind": kind, "margin": margin, "true": true, "verdict": said.verdict})
    return rows


def _poisoned(whole: Pictures, known: Tensor, both: Tensor, share: float) -> Pictures:
    """The pictures, a share of what only the candidate is trained on labelled as the next class."""
    new = both[~torch.isin(both, known)]
    wrong, labels = new[: round(share * len(new))], whole.labels.clone()
    labels[wrong] = (labels[wrong] + 1) % len(whole.classes)
    return Pictures(whole.features, labels, whole.groups, whole.classes)


def _first(labels: Tensor, order: Tensor, count: int) -> Tensor:
    """The first `count` of each class in an order, or as many as leave half of it to test on."""
    chosen = []
    for c in labels.unique().tolist():
        own = order[labels[order] == c]
        chosen.append(own[: min(count, len(own) // 2)])
    found = torch.cat(chosen)
    return found[torch.argsort(torch.argsort(order)[found])]


def _answers(fit: Fit) -> Answers:
    """By id: the label, and what was said by a fit that had not seen the example."""
    assert fit.answers is not None
    return {
        row["example_id"]: (
            row["expected"],
            Verdicted(row["label"], row["expected_probability"]),
        )
        for row in fit.answers.rows()
    }


def _right(fit: Fit, test: Pictures) -> float:
    found = scoring.probabilities(fit.head, {"squish": test.features["squish"]}, layout=LAYOUT)
    return float((found.argmax(1) == test.labels).double().mean())


if __name__ == "__main__":
    main()
