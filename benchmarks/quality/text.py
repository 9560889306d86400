"""How good a head a few texts buy: accuracy against its parts alone, calibration, intervals."""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from benchmarks.quality import text_sets
from benchmarks.quality.draws import draw
from benchmarks.quality.text_sets import LAYOUT, TextPart, TextSet
from benchmarks.record import record
from worker.ml import fit
from worker.ml.artifact import Fit
from worker.ml.assess import calibration
from worker.ml.features import ngrams, spaces
from worker.ml.heads import scoring_text
from worker.ml.tasks import Support, Task

SHOTS = {"banking77": (1, 2, 5, 10, 20), "naijasenti_hau": (1, 2, 5, 10, 20, 50, 100)}
DRAWS = {"naijasenti_hau": 25}
"""Draws for intervals, where a fit takes no time; those beyond the seeds are of `auto` alone."""

MEASURED = text_sets.CACHE / "quality_text.jsonl"
BINS = 15
MOST_OTHERS = 1500
METHOD = (
    "`auto` with and without label names, each draw judged on the whole test split; MiniLM and "
    "character n-grams (hashed, 1 to 5 characters) alone: scikit-learn's logistic regression, "
    "C=30; calibration error over 15 bins of all draws pooled; balanced accuracy in percent. "
    "Intervals against texts of the training split that were not drawn, as the promise is about "
    "inputs like the examples, and against the test split (naijasenti_hau's is cleaned of names, "
    "signs and capitals, its training split is not)"
)

Row = dict[str, Any]


def fitted(data: TextSet, support: Support, *, names: bool) -> Fit:
    """A fit as a job makes it."""
    return fit.fit(
        Task(
            method="auto",
            hyperparameters={} if names else {"label_names": False},
            support=support,
            layout=LAYOUT,
            backbone=text_sets.BACKBONE,
            label_embeddings=data.names.float(),
        )
    )


def cell(data: TextSet, shots: int, seed: int, *, compared: bool) -> Row:
    """One draw: `auto`, and what it is compared with."""
    row: Row = {"set": data.name, "shots": shots, "seed": seed, "compared": compared}
    drawn = draw(data.train.labels, shots, seed)
    support, others = data.train.support(drawn), _others(data.train, drawn, seed)
    row["auto"] = _auto(data, support, others, names=True)
    if not compared:
        return row
    row["auto, no label names"] = _auto(data, support, others, names=False)
    row["MiniLM alone"] = balanced_accuracy(_embedding_alone(support, data.test), data.test.labels)
    if len(support.classes) < 20:
        row["n-grams alone"] = balanced_accuracy(_grams_alone(support, data.test), data.test.labels)
    return row


def _others(train: TextPart, drawn: Tensor, seed: int) -> TextPart:
    """Some of the training split that were not drawn."""
    left = torch.ones(len(train.labels), dtype=torch.bool)
    left[drawn] = False
    order = torch.randperm(len(left), generator=torch.Generator().manual_seed(seed))
    rows = order[left[order]][:MOST_OTHERS]
    texts = tuple(train.texts[row] for row in rows.tolist())
    return TextPart(train.rows[rows], texts, train.labels[rows], train.classes)


def _auto(data: TextSet, support: Support, others: TextPart, *, names: bool) -> Row:
    found = fitted(data, support, names=names)
    same = scoring_text.answer(found.head, others.rows, others.texts).probabilities
    scores = scoring_text.answer(found.head, data.test.rows, data.test.texts).probabilities
    return _judged(found, scores, data.test.labels) | {
        "like the examples": balanced_accuracy(same, others.labels)
    }


def balanced_accuracy(scores: Tensor, labels: Tensor) -> float:
    """The mean over classes of the share that is right, in percent."""
    hits = (scores.argmax(1) == labels).double()
    return 100 * float(torch.stack([hits[labels == c].mean() for c in labels.unique()]).mean())


def _judged(found: Fit, scores: Tensor, labels: Tensor) -> Row:
    """Accuracy, what the interval said of it, and by bin: gap times count, and count."""
    said = found.evaluation["accuracy"]
    return {
        "accuracy": balanced_accuracy(scores, labels),
        **binned(scores, labels),
        "low": said["low"],
        "high": said["high"],
        "w": found.hyperparameters["lexical_weight"],
        "names": found.hyperparameters["label_names"],
    }


def binned(scores: Tensor, labels: Tensor) -> Row:
    """By bin of confidence: the gap to accuracy times the count, and the count."""
    gaps, shares = calibration.calibration_gaps(scores, labels, bins=BINS)
    return {
        "excess": (gaps * shares * len(labels)).tolist(),
        "count": (shares * len(labels)).tolist(),
    }


def _embedding_alone(support: Support, test: TextPart) -> Tensor:
    rows = spaces.last(support.features["text"], LAYOUT)
    return _alone(rows, support.labels, spaces.last(test.rows, LAYOUT))


def _grams_alone(support: Support, test: TextPart) -> Tensor:
    """On the n-grams that the examples have; a text is of length one before others are dropped."""
    given, asked = ngrams.rows(support.texts or ()), ngrams.rows(test.texts)
    seen = ngrams.seen(given)
    rows, other = (ngrams.dense(ngrams.within(t, seen), len(seen)) for t in (given, asked))
    return _alone(torch.from_numpy(rows), support.labels, torch.from_numpy(other))


def _alone(rows: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    head = LogisticRegression(C=30, max_iter=2000).fit(rows, labels)
    return torch.from_numpy(head.predict_proba(asked))


def summary(rows: Sequence[Row]) -> Row:
    """By set and number of examples: means over draws."""
    cells: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        cells[row["set"], row["shots"]].append(row)
    table = {f"{name} {shots}": _means(found) for (name, shots), found in sorted(cells.items())}
    return {"cells": table, "promises": promises(table)}


def _means(rows: Sequence[Row]) -> Row:
    compared = [row for row in rows if row["compared"]]
    names = [name for name in ("MiniLM alone", "n-grams alone") if name in compared[0]]
    found: Row = {"draws": len(compared)}
    found |= {name: round(statistics.mean(row[name] for row in compared), 1) for name in names}
    for name in ("auto", "auto, no label names"):
        found[name] = _mean_of([row[name] for row in compared])
    return found | {"honesty": _honesty([row["auto"] for row in rows])}


def _mean_of(rows: Sequence[Row]) -> Row:
    return {
        "accuracy": round(statistics.mean(row["accuracy"] for row in rows), 1),
        "calibration_error": calibration_error(rows),
        "lexical_weight": round(statistics.mean(row["w"] for row in rows), 2),
        "label_names_used": round(statistics.mean(row["names"] for row in rows), 2),
    }


def calibration_error(rows: Sequence[Row]) -> float:
    """Of all draws pooled, 15 bins."""
    excess = torch.tensor([row["excess"] for row in rows]).sum(0)
    return round(float(excess.abs().sum()) / sum(sum(row["count"]) for row in rows), 3)


def _honesty(rows: Sequence[Row]) -> Row:
    """Of all draws: how often the stated interval holds the accuracy, and how wide it is."""
    found: Row = {"draws": len(rows), "calibration_error": calibration_error(rows)}
    said = [row for row in rows if row["low"] is not None]
    if not said:
        return found
    width = statistics.mean(row["high"] - row["low"] for row in said)
    return found | {
        "interval_width": round(width, 3),
        "interval_holds_on_others_of_the_split": _holding(said, "like the examples"),
        "interval_holds_on_the_test_split": _holding(said, "accuracy"),
    }


def _holding(rows: Sequence[Row], truth: str) -> float:
    held: list[bool] = [row["low"] <= row[truth] / 100 <= row["high"] for row in rows]
    return round(sum(held) / len(held), 3)


def promises(table: Row) -> Row:
    """What was promised, as measured."""
    banking = {key: row for key, row in table.items() if key.startswith("banking77")}
    behind = {
        name: [row["MiniLM alone"] - row[name]["accuracy"] for row in banking.values()]
        for name in ("auto", "auto, no label names")
    }
    found: Row = {
        "banking77 behind MiniLM alone, at worst": {
            name: round(max(values), 1) for name, values in behind.items() if values
        },
        "calibration error at 20": {
            key: row["honesty"]["calibration_error"]
            for key, row in table.items()
            if key[-3:] == " 20"
        },
        "interval holds on others of the split, on the test split": [
            _overall(table, f"interval_holds_on_{where}_split")
            for where in ("others_of_the", "the_test")
        ],
    }
    if "banking77 5" in table:
        found["banking77 at 5"] = table["banking77 5"]["auto"]["accuracy"]
    if "naijasenti_hau 100" in table:
        row = table["naijasenti_hau 100"]
        best = max(row["MiniLM alone"], row["n-grams alone"])
        found["naijasenti_hau at 100, over the better part"] = round(
            row["auto"]["accuracy"] - best, 1
        )
    return found


def _overall(table: Row, name: str) -> float:
    """The mean over all draws."""
    rows = [row["honesty"] for row in table.values() if name in row["honesty"]]
    total = sum(float(row["draws"]) * float(row[name]) for row in rows)
    return round(total / sum(float(row["draws"]) for row in rows), 3)


def cells(options: argparse.Namespace) -> Iterator[Row]:
    """The cells that are asked for; draws beyond `seeds` only for the intervals."""
    for name in options.sets:
        data = text_sets.load(name)
        for shots in options.shots or SHOTS[name]:
            for seed in range(max(options.seeds, options.draws or DRAWS.get(name, 0))):
                yield cell(data, shots, seed, compared=seed < options.seeds)


def known(path: Path) -> dict[tuple[str, int, int], Row]:
    """What was measured before, the last word on each cell."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {(row["set"], row["shots"], row["seed"]): row for row in rows}


def main() -> None:
    """Measure a part, or all, and write down everything measured since `--fresh`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draws", type=int, help="at each number of examples, for the intervals")
    parser.add_argument("--sets", nargs="*", default=list(text_sets.SETS))
    parser.add_argument("--shots", nargs="*", type=int)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    if options.fresh:
        MEASURED.unlink(missing_ok=True)
    for row in cells(options):
        with MEASURED.open("a") as file:
            file.write(json.dumps(row) + "\n")
    record(
        "quality_text",
        figure="balanced test accuracy, calibration and intervals of texts, from few examples",
        method=METHOD,
        results=summary(list(known(MEASURED).values())),
    )


if __name__ == "__main__":
    main()
