"""The text road: an encoder's embedding and character n-grams in one logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml import folds as selection
from worker.ml import threads
from worker.ml.artifact import Fit, HeadArtifact
from worker.ml.assess import advice, evaluation, learning_curve, novelty
from worker.ml.assess import distance_cooling as familiarity
from worker.ml.features import label_names, ngrams, spaces
from worker.ml.fitting import text_mix
from worker.ml.fitting.text_kernel import Views
from worker.ml.fitting.text_mix import Final
from worker.ml.heads import scoring_text
from worker.ml.heads.scoring_text import VIEW, answer, predict
from worker.ml.methods import finish
from worker.ml.tasks import Support, Task

__all__ = ["VIEW", "answer", "fit", "predict"]

MOST_EXEMPLARS = 2000
"""Support examples in all that thresholds of likeness are estimated from, and that are kept."""


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What out-of-fold logits [n, C] (None where there are no folds) say about the final fit."""

    w: float
    fold: Tensor
    folds: int
    oof: Tensor | None
    heat: float
    familiarity: familiarity.Familiarity
    known: Tensor
    """Which examples [n] are judged by a fit that has seen their class."""
    adjusted: Tensor
    """What is added to the logits [C] so that classes are as likely as they are frequent, or 0."""

    @property
    def probabilities(self) -> Tensor | None:
        """Calibrated and out of fold [n, C]."""
        return None if self.oof is None else (self.oof / self.heat).softmax(1)


def fit(task: Task) -> Fit:
    """Fit on `task.support`: its view "text" [n, D] and its texts.

    `task.label_embeddings` are the encoder's of `label_names.readable(label)`; each is one more
    example of its class if they tell classes apart.
    """
    if task.support.texts is None:
        raise HeadstartError("modality_mismatch", "A text head needs the examples' texts.")
    with threads.enough(len(task.support) ** 2 * len(task.support.classes)):
        return _fit(task, selection.canonical(task.support, task.seed))


def _fit(task: Task, support: Support) -> Fit:
    views = _views(task, support)
    judged = _judge(task, support, views)
    head = _artifact(task, support, views, judged)
    return Fit(
        head=head,
        evaluation=_evaluation(task, support, judged, head)
        | finish.class_balance(support, equal=not finish.as_they_come(task)),
        hyperparameters={
            "l2": text_mix.L2,
            "lexical_weight": judged.w,
            "label_names": views.anchors > 0,
            "class_balance": "none" if finish.as_they_come(task) else "balanced",
            "unknown_false_alarm_rate": _false_alarm(task),
        },
        advice=advice.advise(_evidence(task, support, views, judged)),
    )


def _views(task: Task, support: Support) -> Views:
    """The examples, and the label names behind them as anchors."""
    embeddings = spaces.last(support.features[VIEW], task.layout)
    anchors = _anchors(task, support, embeddings)
    said = [label_names.readable(label) for label in support.classes[: len(anchors)]]
    balance = selection.balanced(support.labels, len(support.classes)).float()
    return Views(
        rows=torch.cat([embeddings, anchors]),
        table=ngrams.rows([*(support.texts or ()), *said]),
        labels=torch.cat([support.labels, torch.arange(len(anchors))]),
        importance=torch.cat([balance, torch.ones(len(anchors))]),
        classes=len(support.classes),
        anchors=len(anchors),
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


def _judge(task: Task, support: Support, views: Views) -> _Judged:
    """Choose the mixing weight, and calibrate at it."""
    w = text_mix.choose(views, support.groups)
    familiar, factor = _familiarity(views, w)
    folds = selection.fold_count(support.labels, support.groups)
    fold, oof = torch.zeros_like(support.labels), None
    if folds:
        fold = selection.folds(support.labels, support.groups, folds)
        oof = familiarity.cooled(text_mix.out_of_fold(views, [w], fold)[0], factor)
    known = selection.known(support.labels, fold, folds)
    seen = torch.zeros(len(known), views.classes) if oof is None else oof
    heat = text_mix.temperature(seen[known], support.labels[known])
    adjusted = torch.zeros(views.classes)
    if finish.as_they_come(task):
        adjusted = heat * finish.frequencies(support.labels, views.classes).float()
    return _Judged(
        w=w,
        fold=fold,
        folds=folds,
        oof=None if oof is None else oof + familiarity.cooled(adjusted[None], factor),
        heat=heat,
        familiarity=familiar,
        known=known,
        adjusted=adjusted,
    )


def _familiarity(views: Views, w: float) -> tuple[familiarity.Familiarity, Tensor]:
    """The support's, and the factor that each example's logits are divided by."""
    similarity = views.similarity(w)
    known = familiarity.of_support(similarity)
    return known, known.factor(similarity)


def _evaluation(
    task: Task, support: Support, judged: _Judged, head: HeadArtifact
) -> dict[str, Any]:
    """Out of fold; with a validation set held out, and out of fold beside it."""
    crossed = finish.out_of_fold(
        task, support, judged.probabilities, folds=judged.folds, known=judged.known
    )
    held = task.validation
    if held is None or held.texts is None or len(held) == 0:
        return crossed
    answered = answer(head, spaces.last(held.features[VIEW], task.layout), held.texts)
    said = evaluation.evaluate(answered.probabilities, held.labels, held.classes, how="hold-out")
    return said | {"out_of_fold": crossed}


def _evidence(task: Task, support: Support, views: Views, judged: _Judged) -> advice.Evidence:
    """What advice is given from."""
    sets = [advice.Set(rows=views.rows[: views.count], ids=support.ids, split="train")]
    held = task.validation
    if held is not None and len(held):
        rows = spaces.last(held.features[VIEW], task.layout)
        sets.append(advice.Set(rows=rows, ids=held.ids, split="validation"))
    return advice.Evidence(
        probabilities=judged.probabilities,
        labels=support.labels,
        groups=support.groups,
        known=judged.known,
        classes=support.classes,
        points=_points(support, views, judged),
        sets=sets,
    )


def _points(support: Support, views: Views, judged: _Judged) -> list[learning_curve.Point]:
    """Accuracy at all that a fold's fit has, and of a few examples at a quarter and at half."""
    if judged.oof is None:
        return []
    trained = len(support) / len(support.classes) * (judged.folds - 1) / judged.folds
    points = [_point(judged.oof, support.labels, judged.known, trained)]
    chosen = text_mix.few(support.labels, len(support.classes))
    thin, labels, fold = views.take(chosen), support.labels[chosen], judged.fold[chosen]
    for size in learning_curve.sizes(labels, fold)[-2:]:
        masks = learning_curve.masks(labels, fold, size)
        oof = text_mix.out_of_fold(thin, [judged.w], fold, trained=masks, tolerance=text_mix.ROUGH)[
            0
        ]
        points.append(_point(oof, labels, judged.known[chosen], size))
    return points


def _point(oof: Tensor, labels: Tensor, known: Tensor, per_class: float) -> learning_curve.Point:
    right = (oof.argmax(1) == labels)[known]
    accuracy = float(right.double().mean())
    return learning_curve.Point(per_class=float(per_class), accuracy=accuracy, judged=len(right))


def _artifact(task: Task, support: Support, views: Views, judged: _Judged) -> HeadArtifact:
    """The head with classes in the caller's order."""
    caller = list(task.support.classes)
    order = [list(support.classes).index(label) for label in caller]
    number = torch.tensor([caller.index(label) for label in support.classes])
    most = max(1, min(scoring_text.EXEMPLARS, MOST_EXEMPLARS // len(caller)))
    kept = selection.first_of_each(support.labels, most)
    found = _tensors(views, text_mix.final(views, judged.w), kept)
    found["bias"] = found["bias"] + judged.adjusted
    for name in ("weight", "bias", "bucket_weight"):
        found[name] = found[name][..., order].contiguous()
    found["exemplar_labels"] = number[found["exemplar_labels"].long()].to(torch.int32)
    config = {
        "format": 2,
        "method": task.method,
        "classes": caller,
        "prediction_views": [VIEW],
        "temperature": judged.heat,
        "lexical_weight": judged.w,
        "folded": views.folded,
        "familiarity": familiarity.stored(judged.familiarity),
        "unknown": novelty.stored(_detector(views, judged, kept)),
        "unknown_false_alarm_rate": _false_alarm(task),
        "exemplar_ids": [support.ids[row] for row in kept.tolist()],
    }
    return HeadArtifact(tensors=found, config=config)


def _detector(views: Views, judged: _Judged, kept: Tensor) -> novelty.Unknown:
    """The threshold of `unknown`, from the scores of examples that their fit had not seen."""
    rows, labels = views.rows[kept], views.labels[kept]
    shared = torch.ones(len(kept)) if views.folded else _elsewhere(views.table)[kept]
    if judged.probabilities is None:
        likeness = novelty.between_classes(rows, labels)
        return novelty.fit_threshold(None, (1 - judged.w) * likeness + judged.w * shared)
    top, predicted = judged.probabilities[kept].max(1)
    likeness = (1 - judged.w) * novelty.of_support(rows, labels, predicted) + judged.w * shared
    known = judged.known[kept]
    return novelty.fit_threshold(top[known], likeness[known])


def _elsewhere(table: ngrams.SparseRows) -> Tensor:
    """The share [N] of each row's n-grams that another row has too, by squared weight."""
    buckets, rows = np.unique(table.buckets, return_counts=True)
    return scoring_text.coverage(ngrams.within(table, buckets[rows > 1]))


def _false_alarm(task: Task) -> float:
    rate = task.hyperparameters.get("unknown_false_alarm_rate", "auto")
    return novelty.FALSE_ALARM if rate == "auto" else float(rate)


def _tensors(views: Views, fit: Final, kept: Tensor) -> dict[str, Tensor]:
    """The tensors of an artifact, `kept` being the exemplars' places in `views`.

    The support's mean row is one more column beside the classes.
    """
    total = len(views.labels)
    share = (torch.arange(total) < views.count).float()[:, None] / views.count
    buckets, embedding, lexical = views.weights(fit.w, fit.weight)
    _, mean, lexical_mean = views.spread(fit.w, share)
    return {
        "weight": embedding.half().contiguous(),
        "mean": mean.half().contiguous(),
        "bias": fit.bias.float().contiguous(),
        "buckets": buckets,
        "bucket_weight": lexical.half().contiguous(),
        "bucket_mean": lexical_mean.half().contiguous(),
        "exemplars": views.rows[kept].half(),
        "exemplar_labels": views.labels[kept].to(torch.int32),
    }
