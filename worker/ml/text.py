"""The text road: an encoder's embedding and character n-grams in one logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml import (
    advice,
    calibration,
    curve,
    evaluation,
    familiarity,
    label_names,
    ngrams,
    selection,
    spaces,
    text_head,
    text_mix,
    threads,
    unknown,
)
from worker.ml.heads.base import Fit, HeadArtifact, Support, Task
from worker.ml.text_head import VIEW, answer, predict

__all__ = ["answer", "fit", "predict"]

PRIOR_TEMPERATURE = {1: 0.5, 2: 0.42, 5: 0.42, 20: 0.45}
"""Examples per class → temperature expected before out-of-fold logits are seen (measured)."""


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A support set in canonical order, and its rows in both views, anchors last."""

    support: Support
    rows: Tensor
    table: ngrams.Rows
    views: text_mix.Views

    @property
    def per_class(self) -> float:
        """Examples a class has, on average."""
        return len(self.support) / len(self.support.classes)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What out-of-fold logits (None where there are no folds) say about the final fit."""

    w: float
    fold: Tensor | None
    folds: int
    oof: Tensor | None
    heat: float
    known: familiarity.Familiarity

    @property
    def probabilities(self) -> Tensor | None:
        """Calibrated and out of fold [n, C]."""
        return None if self.oof is None else (self.oof / self.heat).softmax(1)


def fit(task: Task) -> Fit:
    """Fit on `task.support`: its view "text" [n, D] and its texts.

    `task.label_embeddings` are the encoder's of `label_names.readable(label)`; each is one more
    example of its class if they tell classes apart.
    """
    with threads.enough(len(task.support) ** 2 * len(task.support.classes)):
        return _fit(task)


def _fit(task: Task) -> Fit:
    prepared = _prepare(task)
    judged = _judge(prepared)
    head = _artifact(task, prepared, judged)
    return Fit(
        head=head,
        evaluation=_evaluation(task, prepared.support, judged, head),
        advice=advice.advise(_evidence(task, prepared, judged)),
        hyperparameters={
            "l2": text_mix.L2,
            "lexical_weight": judged.w,
            "label_names": prepared.views.anchors > 0,
        },
    )


def _prepare(task: Task) -> _Prepared:
    if task.support.texts is None:
        raise HeadstartError("modality_mismatch", "A text head needs the examples' texts.")
    support = selection.canonical(task.support, task.seed)
    texts = list(support.texts or [])
    embeddings = spaces.last(support.features[VIEW], task.layout)
    anchors = _anchors(task, support, embeddings)
    rows = torch.cat([embeddings, anchors])
    said = [label_names.readable(label) for label in support.classes[: len(anchors)]]
    table = ngrams.rows([*texts, *said])
    return _Prepared(
        support=support, rows=rows, table=table, views=_views(support, rows, table, len(anchors))
    )


def _anchors(task: Task, support: Support, embeddings: Tensor) -> Tensor:
    """Unit rows [C, D] of the label names in the support's order, or none [0, D]."""
    wanted = task.hyperparameters.get("label_names", "auto")
    if task.label_embeddings is None or wanted is False:
        return embeddings[:0]
    order = [list(task.support.classes).index(label) for label in support.classes]
    anchors = spaces.unit(task.label_embeddings.float())[order]
    useful = wanted is True or label_names.helpful(anchors, embeddings, support.labels)
    return anchors if useful else anchors[:0]


def _views(support: Support, rows: Tensor, table: ngrams.Rows, anchors: int) -> text_mix.Views:
    classes = len(support.classes)
    balance = selection.balanced(support.labels, classes).float()
    return text_mix.Views(
        embedding=rows @ rows.T,
        lexical=torch.from_numpy(ngrams.gram(table)),
        labels=torch.cat([support.labels, torch.arange(anchors)]),
        importance=torch.cat([balance, torch.ones(anchors)]),
        classes=classes,
        anchors=anchors,
    )


def _judge(prepared: _Prepared) -> _Judged:
    """Choose the mixing weight, and calibrate at it."""
    support, views = prepared.support, prepared.views
    folds = selection.fold_count(support.labels, support.groups)
    fold = selection.folds(support.labels, support.groups, folds) if folds else None
    choice = text_mix.choose(views, fold, per_class=prepared.per_class)
    known, similarity = familiarity.of_support(views.judged(choice.w))
    oof = None if choice.oof is None else familiarity.cooled(choice.oof, known.factor(similarity))
    heat = _temperature(oof, support.labels, prepared.per_class)
    return _Judged(w=choice.w, fold=fold, folds=folds, oof=oof, heat=heat, known=known)


def _temperature(oof: Tensor | None, labels: Tensor, per_class: float) -> float:
    """From out-of-fold logits [n, C] where there are any, else the prior's."""
    logits, true = (torch.zeros(0, 1), labels[:0]) if oof is None else (oof, labels)
    return calibration.temperature(logits, true, per_class=per_class, prior=PRIOR_TEMPERATURE)


def _evaluation(
    task: Task, support: Support, judged: _Judged, head: HeadArtifact
) -> dict[str, Any]:
    """Out of fold; with a validation set held out, and out of fold beside it."""
    nothing = torch.zeros(len(support), len(support.classes))
    crossed = evaluation.evaluate(
        nothing if judged.probabilities is None else judged.probabilities,
        support.labels,
        support.classes,
        how="k-fold",
        folds=judged.folds,
    )
    held = task.validation
    if held is None or held.texts is None or len(held) == 0:
        return crossed
    answered = answer(head, spaces.last(held.features[VIEW], task.layout), held.texts)
    found = evaluation.evaluate(answered.probabilities, held.labels, held.classes, how="hold-out")
    return found | {"out_of_fold": crossed}


def _evidence(task: Task, prepared: _Prepared, judged: _Judged) -> advice.Evidence:
    """What advice is given from; the learning curve has the two largest halvings."""
    support = prepared.support
    sets = [advice.Set(rows=prepared.rows[: len(support)], ids=support.ids, split="train")]
    held = task.validation
    if held is not None:
        rows = spaces.last(held.features[VIEW], task.layout)
        sets.append(advice.Set(rows=rows, ids=held.ids, split="val"))
    return advice.Evidence(
        probabilities=judged.probabilities,
        labels=support.labels,
        classes=support.classes,
        points=_points(prepared, judged),
        sets=sets,
    )


def _points(prepared: _Prepared, judged: _Judged) -> list[curve.Point]:
    """Accuracy at a quarter, at half and at all that a fold's fit has."""
    fold, labels = judged.fold, prepared.support.labels
    if fold is None or judged.oof is None:
        return []
    found = [(judged.oof, prepared.per_class * (judged.folds - 1) / judged.folds)]
    for size in curve.sizes(labels, fold)[-2:]:
        trained = curve.masks(labels, fold, size)
        oof = text_mix.out_of_fold(prepared.views, [judged.w], fold, trained=trained)[0]
        found.append((oof, float(size)))
    return [
        curve.Point(
            per_class=size,
            accuracy=float((oof.argmax(1) == labels).double().mean()),
            judged=len(labels),
        )
        for oof, size in found
    ]


def _artifact(task: Task, prepared: _Prepared, judged: _Judged) -> HeadArtifact:
    """The head with classes in the caller's order."""
    caller = list(task.support.classes)
    order = [prepared.support.classes.index(label) for label in caller]
    number = torch.tensor([caller.index(label) for label in prepared.support.classes])
    coefficients, bias = text_mix.dual(prepared.views, judged.w)
    parts = text_head.Parts(
        rows=prepared.rows,
        table=prepared.table,
        labels=number[prepared.support.labels],
        coefficients=coefficients[:, order],
        bias=bias[order],
        w=judged.w,
    )
    config = {
        "format": 1,
        "method": task.method,
        "classes": caller,
        "spaces": [VIEW],
        "prediction_views": [VIEW],
        "temperature": judged.heat,
        "lexical_weight": judged.w,
        "familiarity": familiarity.stored(judged.known),
        "unknown": unknown.stored(_detector(prepared, judged)),
    }
    return HeadArtifact(tensors=text_head.tensors(parts), config=config)


def _detector(prepared: _Prepared, judged: _Judged) -> unknown.Unknown:
    """The threshold of `unknown`, from the support's own out-of-fold scores."""
    labels, count = prepared.support.labels, prepared.views.count
    rows = prepared.rows[:count]
    shared = text_head.coverage(_elsewhere(prepared.table, count))
    if judged.probabilities is None:
        cosine = unknown.between_classes(rows, labels)
        return unknown.fit_threshold(None, (1 - judged.w) * cosine + judged.w * shared)
    top, predicted = judged.probabilities.max(1)
    cosine = unknown.of_support(rows, labels, predicted)
    return unknown.fit_threshold(top, (1 - judged.w) * cosine + judged.w * shared)


def _elsewhere(table: ngrams.Rows, count: int) -> ngrams.Rows:
    """Of the first `count` rows, the entries whose bucket another row has too."""
    stop = int(table.starts[count])
    buckets, rows = np.unique(table.buckets, return_counts=True)
    first = ngrams.Rows(
        buckets=table.buckets[:stop],
        weights=table.weights[:stop],
        starts=table.starts[: count + 1],
    )
    return ngrams.within(first, buckets[rows > 1])
