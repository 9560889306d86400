"""`auto` on texts with several labels: an embedding and character n-grams, a head a class.

As of one label: logistic regression on (1 - w)·embedding + w·n-grams, against the rest; w has the
same prior, and is chosen by the likelihood of marks out of fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml import threads
from worker.ml.artifact import Lexical
from worker.ml.assess.distance_cooling import Familiarity
from worker.ml.features import ngrams
from worker.ml.fitting import text_mix
from worker.ml.fitting.cross_fit import HeadFit
from worker.ml.fitting.text_kernel import Kernel, Mix
from worker.ml.folds import training_weights
from worker.ml.methods import text
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.multi_label import mixture
from worker.ml.multi_label.folds import MarkedFolds
from worker.ml.solvers import logistic
from worker.ml.solvers.problem import SolverProblem

NOT_COOLED = Familiarity(mean=-1.0, deviation=1.0)
"""No text is less like the others than this: dividing a logit would draw it to one half, not to
how frequent the class is."""


def fit_auto(setting: Setting, folds: MarkedFolds) -> Fitted:
    """Raises modality_mismatch without texts, invalid_hyperparameter where label names are to be
    examples."""
    texts = setting.support.texts
    if texts is None:
        raise HeadstartError("modality_mismatch", "A text head needs the examples' texts.")
    if setting.asked("label_names") is True:
        why = "label_names: they are examples of one label each, these have several"
        raise HeadstartError("invalid_hyperparameter", why, param="method")
    kernel = Kernel(
        parts=setting.transform.parts("look", setting.support.features[setting.primary]),
        table=ngrams.rows(texts),
        labels=folds.labels,
        importance=folds.balance.float(),
        classes=folds.classes,
        anchors=0,
    )
    with threads.enough(len(texts) ** 2 * folds.classes):
        return _fitted(kernel, folds)


def _fitted(kernel: Kernel, folds: MarkedFolds) -> Fitted:
    mix = _choose(kernel, folds)
    found = _solve(kernel, folds, mix, text_mix.EXACT).as_fit()
    final = text_mix.Final(mix=mix, weight=found.alpha, bias=found.bias)
    return Fitted(
        tensors=text.tensors(kernel, final),
        out_of_fold=found.out_of_fold.double(),
        used={"l2": text_mix.L2, "lexical_weight": mix.lexical, "label_names": False},
        shares=mix.shares if len(mix.shares) > 1 else (),
        lexical=Lexical(weight=mix.lexical, folded=kernel.folded, familiarity=NOT_COOLED),
        novelty=text.novelty_evidence(kernel, mix.lexical),
    )


def _choose(kernel: Kernel, folds: MarkedFolds) -> Mix:
    """The mean of the posterior met uphill from the gate, as `text_mix.choose` has it."""
    prior = text_mix.gate(kernel)
    some = folds.first(max(2, text_mix.MOST_CHOOSING // (folds.classes + 1)))
    thin, few = kernel.take(some), folds.take(some)
    if not few.count or not bool(few.judged.any()):
        return prior

    def scores(mixes: Sequence[Mix]) -> Iterator[float]:
        for mix in mixes:
            solved = _solve(thin, few, mix, text_mix.ROUGH).as_fit()
            yield -few.examples * mixture.loss(solved, few) - text_mix.distance(mix, prior) / 2

    return text_mix.averaged(text_mix.uphill(prior, scores))


@dataclass(frozen=True)
class _Solution:
    """Of one mix: weight [r, C] and bias [C] of all rows, and what was said out of fold [n, C]."""

    weight: Tensor
    bias: Tensor
    out_of_fold: Tensor

    def as_fit(self) -> HeadFit:
        return mixture.standard(HeadFit(self.weight, self.bias, self.out_of_fold))


def _solve(kernel: Kernel, folds: MarkedFolds, mix: Mix, tolerance: float) -> _Solution:
    """All fits, of all rows and without each fold, together; standardised a class at a time."""
    coordinates, n = kernel.coordinates(mix), len(folds.labels)
    masks = torch.ones(1, n)
    if folds.count:
        masks = torch.cat([masks, training_weights(folds.fold, folds.count).float()])
    problem = SolverProblem(
        x=coordinates[None], labels=folds.labels, classes=folds.classes, weights=masks
    )
    l2 = torch.full((len(masks),), text_mix.L2)
    affine = logistic.one_against_rest(problem, folds.marks, l2, iterations=60, tolerance=tolerance)
    logits = torch.empty(n, folds.classes)
    place = folds.fold + 1 if folds.count else folds.fold
    for at in torch.unique(place).tolist():
        rows = place == at
        logits[rows] = coordinates[rows] @ affine.weight[0, at] + affine.bias[0, at]
    return _Solution(affine.weight[0, 0], affine.bias[0, 0], logits)
