"""What three pieces of our own buy beside the library that has the same: ADRs 25, 26 and 27.

Processor time of one thread, so that a busy machine matters little; in one process, alternating,
medians of several. Many logistic regressions at once
against scikit-learn's one after another; hashed n-grams against scikit-learn's hashing vectorisers;
scoring of a batch in numpy against the same in torch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion
from threadpoolctl import threadpool_limits
from torch import Tensor

from app.core.backbones import BACKBONES
from benchmarks.record import record
from worker.ml.features import ngrams
from worker.ml.fit import fit
from worker.ml.heads import scoring, scoring_numpy
from worker.ml.solvers import logistic
from worker.ml.solvers.problem import SolverProblem
from worker.ml.tasks import Support, Task

REPEATS = 9
L2 = 1e-3
LAYOUT = BACKBONES["efficientnet_lite0"].layout
CASES = {"5 classes of 5": (5, 5), "10 classes of 10": (10, 10), "10 classes of 30": (10, 30)}
WORDS = ("card", "delivery", "password", "refund", "account", "please", "why", "not", "today")


def alternating(works: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of processor time of each, run in turn; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(REPEATS + 1):
        for name, work in works.items():
            began = time.process_time()
            work()
            seconds[name].append(time.process_time() - began)
    return {name: round(1000 * statistics.median(s[1:]), 3) for name, s in seconds.items()}


def clouds(classes: int, per_class: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows [n, width] of length one around a point a class, and their labels."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(classes * per_class) % classes
    points = torch.randn(classes, width, generator=random)
    rows = points[labels] + 2 * torch.randn(len(labels), width, generator=random)
    return torch.nn.functional.normalize(rows, dim=1), labels


def of_logistic(classes: int, per_class: int) -> dict[str, Any]:
    """The fit on all rows and those without each of five folds."""
    x, labels = clouds(classes, per_class, 256)
    x = torch.linalg.qr(x.T).R.T.contiguous() if len(x) < 256 else x
    fold = torch.arange(len(labels)) // classes % 5
    masks = torch.cat([torch.ones(1, len(labels)), (fold != torch.arange(5)[:, None]).float()])
    problem = SolverProblem(x=x[None], labels=labels, classes=classes, weights=masks)
    l2 = torch.full((6,), L2)
    theirs = [LogisticRegression(C=1 / L2, tol=1e-3, max_iter=60) for _ in masks]
    rows, true, weights = x.numpy(), labels.numpy(), masks.numpy()

    def one_after_another() -> None:
        for model, weight in zip(theirs, weights, strict=True):
            model.fit(rows, true, sample_weight=weight)

    def at_once() -> Tensor:
        return logistic.fit(problem, l2, iterations=60, tolerance=1e-3).logits(problem.x)[0]

    times = alternating({"ours": at_once, "scikit-learn": one_after_another})
    said = np.stack([model.predict(rows) for model in theirs])
    same = float((at_once().argmax(-1).numpy() == said).mean())
    ours, other = logistic.fit(problem, l2, iterations=60, tolerance=1e-3), theirs[0]
    losses = [
        _loss(x @ ours.weight[0, 0] + ours.bias[0, 0], labels, ours.weight[0, 0]),
        _loss(torch.from_numpy(other.decision_function(rows)), labels, torch.tensor(other.coef_)),
    ]
    return {
        "milliseconds": times,
        "same answers": round(same, 4),
        "loss reached": dict(zip(("ours", "scikit-learn"), losses, strict=True)),
    }


def _loss(logits: Tensor, labels: Tensor, weight: Tensor) -> float:
    """What both minimise, of the fit on all rows."""
    total = torch.nn.functional.cross_entropy(logits.double(), labels, reduction="sum")
    return round(float(total + L2 / 2 * weight.double().square().sum()), 5)


def of_ngrams(texts: int) -> dict[str, Any]:
    """Both families of n-grams of sentences, as sparse rows."""
    random = np.random.default_rng(0)
    given = [" ".join(random.choice(WORDS, 12)) for _ in range(texts)]
    families = [
        (
            analyzer,
            HashingVectorizer(
                analyzer=analyzer, ngram_range=span, n_features=ngrams.BUCKETS, alternate_sign=False
            ),
        )
        for analyzer, span in (("char_wb", (2, 5)), ("char", (1, 4)))
    ]
    union = FeatureUnion(families)

    def theirs() -> object:
        return union.transform(given).sqrt()

    times = alternating({"ours": lambda: ngrams.rows(given), "scikit-learn": theirs})
    return {"milliseconds": times}


def of_scoring(rows: int) -> dict[str, Any]:
    """A batch of `rows`, each under a head of its own."""
    x, labels = clouds(10, 10, LAYOUT[-1].stop)
    support = Support(
        features={"squish": x.abs().half()},
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[str(number) for number in range(len(labels))],
        classes=[str(number) for number in range(10)],
    )
    task = Task(
        method="auto", hyperparameters={}, support=support, layout=LAYOUT, backbone="made-up"
    )
    artifact = fit(task).head
    heads = [scoring.load(artifact) for _ in range(rows)]
    laid = [made for head in heads if (made := scoring_numpy.stacked(head)) is not None]
    asked = x[:rows].abs().contiguous()

    def in_torch() -> object:
        with torch.inference_mode():
            return scoring.predict({"squish": asked}, heads, layout=LAYOUT)

    def in_numpy() -> object:
        return scoring_numpy.predict(asked.numpy(), laid, layout=LAYOUT)

    return {"milliseconds": alternating({"numpy": in_numpy, "torch": in_torch})}


def main() -> None:
    """Measure all three and write them down."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        results = {
            "logistic regression": {name: of_logistic(*case) for name, case in CASES.items()},
            "n-grams": {f"{count} texts": of_ngrams(count) for count in (1, 32, 1000)},
            "scoring": {f"{count} heads": of_scoring(count) for count in (1, 8, 32)},
        }
    record(
        "own_code",
        figure="milliseconds of our own code and of the library's",
        method=__doc__ or "",
        results=results,
    )


if __name__ == "__main__":
    main()
