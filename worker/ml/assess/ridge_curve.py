"""The measured learning curve: ridge refitted with 1, 2, 4, … examples a class, judged by folds."""

from __future__ import annotations

import torch
from torch import Tensor

from worker.ml.assess import learning_curve
from worker.ml.folds import Folds
from worker.ml.solvers import ridge

L2 = 0.1

MOST_TRAINED = 600
"""Sizes at which a refit would take more examples than this are not measured."""


def points(gram: Tensor, judge: Folds) -> list[learning_curve.Point]:
    """From the examples' inner products [n, n]."""
    sizes = learning_curve.sizes(judge.labels, judge.fold)
    return [_point(gram, judge, size) for size in sizes if size * judge.classes <= MOST_TRAINED]


def _point(gram: Tensor, judge: Folds, size: int) -> learning_curve.Point:
    """Accuracy of fits on the first `size` examples of each class outside a fold."""
    masks = learning_curve.masks(judge.labels, judge.fold, size)
    hits = 0
    for number, mask in enumerate(masks):
        trained = torch.nonzero(mask > 0)[:, 0]
        judged = torch.nonzero((judge.fold == number) & judge.known)[:, 0]
        hits += _hits(gram, judge, trained, judged)
    count = int(judge.known.sum())
    return learning_curve.Point(per_class=float(size), accuracy=hits / count, judged=count)


def _hits(gram: Tensor, judge: Folds, trained: Tensor, judged: Tensor) -> int:
    targets = judge.targets[trained]
    alpha, bias = ridge.by_rows(gram[trained[:, None], trained], targets, l2=L2)
    scores = gram[judged[:, None], trained] @ alpha + bias
    return int((scores.argmax(1) == judge.labels[judged]).sum())
