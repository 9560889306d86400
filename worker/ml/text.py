"""The text road: an encoder's embedding and character n-grams in one logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml import (
    calibration,
    evaluation,
    familiarity,
    label_names,
    ngrams,
    selection,
    spaces,
    text_mix,
)
from worker.ml.familiarity import Familiarity
from worker.ml.heads.base import Fit, HeadArtifact, Support, Task

VIEW = "text"

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


def fit(task: Task, *, names: Tensor | None = None) -> Fit:
    """Fit on `task.support`: its view "text" [n, D] and its texts.

    `names` [C, D] are the encoder's embeddings of `label_names.readable(label)`, in the order of
    `task.support.classes`; each is one more example of its class if they tell classes apart.
    """
    prepared = _prepare(task, names)
    support = prepared.support
    count = selection.fold_count(support.labels, support.groups)
    fold = selection.folds(support.labels, support.groups, count) if count else None
    choice = text_mix.choose(prepared.views, fold, per_class=prepared.per_class)
    known, similarity = familiarity.of_support(prepared.views.judged(choice.w))
    oof = None if choice.oof is None else familiarity.cooled(choice.oof, known.factor(similarity))
    heat = temperature(oof, support.labels, prepared.per_class)
    return Fit(
        head=_artifact(task, prepared, choice.w, heat=heat, known=known),
        evaluation=_evaluation(oof, support, heat, count),
        hyperparameters={
            "l2": text_mix.L2,
            "lexical_weight": choice.w,
            "label_names": prepared.views.anchors > 0,
        },
    )


def predict(head: HeadArtifact, embeddings: Tensor, texts: Sequence[str]) -> Tensor:
    """Logits [n, C], before the temperature, of embeddings [n, D] and the n texts they are of.

    They are cooled already by how unlike the support a text is.
    """
    tensors = head.tensors
    unit = spaces.unit(embeddings.float())
    table = ngrams.within(ngrams.rows(texts), tensors["buckets"].numpy())
    logits = unit @ tensors["weight"].float() + _summed(table, tensors["bucket_weight"])
    similarity = unit @ tensors["mean"].float() + _summed(table, tensors["bucket_mean"])[:, 0]
    known = familiarity.Familiarity(**head.config["familiarity"])
    return familiarity.cooled(logits + tensors["bias"], known.factor(similarity))


def _summed(table: ngrams.Rows, weight: Tensor) -> Tensor:
    """Sparse rows times weight [m, k]: [n, k]."""
    return torch.nn.functional.embedding_bag(
        torch.from_numpy(table.buckets),
        weight.float(),
        torch.from_numpy(table.starts[:-1]),
        mode="sum",
        per_sample_weights=torch.from_numpy(table.weights),
    )


def temperature(oof: Tensor | None, labels: Tensor, per_class: float) -> float:
    """From out-of-fold logits [n, C] where there are any, else the prior's."""
    logits = torch.zeros(len(labels), 1) if oof is None else oof
    return calibration.temperature(
        logits,
        labels if oof is not None else torch.zeros_like(labels),
        per_class=per_class,
        prior=PRIOR_TEMPERATURE,
    )


def _prepare(task: Task, names: Tensor | None) -> _Prepared:
    support = selection.canonical(task.support, task.seed)
    if support.texts is None:
        raise HeadstartError("modality_mismatch", "A text head needs the examples' texts.")
    embeddings = spaces.last(support.features[VIEW], task.layout)
    anchors = _anchors(task.support.classes, support, embeddings, names)
    rows = torch.cat([embeddings, anchors])
    said = [label_names.readable(label) for label in support.classes[: len(anchors)]]
    table = ngrams.rows([*support.texts, *said])
    return _Prepared(
        support=support, rows=rows, table=table, views=_views(support, rows, table, len(anchors))
    )


def _anchors(
    classes: Sequence[str], support: Support, embeddings: Tensor, names: Tensor | None
) -> Tensor:
    """Unit rows [C, D] of the label names in the support's order, or none [0, D]."""
    if names is None:
        return embeddings[:0]
    order = [list(classes).index(label) for label in support.classes]
    anchors = spaces.unit(names.float())[order]
    return anchors if label_names.helpful(anchors, embeddings, support.labels) else anchors[:0]


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


def _evaluation(oof: Tensor | None, support: Support, heat: float, count: int) -> dict[str, Any]:
    logits = torch.zeros(len(support), len(support.classes)) if oof is None else oof
    return evaluation.evaluate(
        (logits / heat).softmax(1), support.labels, support.classes, how="k-fold", folds=count
    )


def _artifact(
    task: Task, prepared: _Prepared, w: float, *, heat: float, known: Familiarity
) -> HeadArtifact:
    """Weights on the embedding and on the buckets that the support has, classes as the caller's."""
    coefficients, bias = text_mix.dual(prepared.views, w)
    order = [prepared.support.classes.index(label) for label in task.support.classes]
    judged = torch.arange(len(coefficients)) < prepared.views.count
    share = judged[:, None].float() / prepared.views.count
    columns = torch.cat([coefficients[:, order], share], 1)
    buckets, lexical = _on_buckets(prepared.table, w * columns)
    embedding = (1 - w) * prepared.rows.T @ columns
    tensors = {
        "weight": embedding[:, :-1].half().contiguous(),
        "mean": embedding[:, -1].half().contiguous(),
        "bias": bias[order].float(),
        "buckets": buckets,
        "bucket_weight": lexical[:, :-1].half().contiguous(),
        "bucket_mean": lexical[:, -1:].half().contiguous(),
    }
    config = {
        "format": 1,
        "method": task.method,
        "classes": list(task.support.classes),
        "spaces": [VIEW],
        "prediction_views": [VIEW],
        "temperature": heat,
        "familiarity": familiarity.stored(known),
    }
    return HeadArtifact(tensors=tensors, config=config)


def _on_buckets(table: ngrams.Rows, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """The buckets seen [m] (int32, ascending) and Σ of their rows' coefficients [m, C]."""
    known, place = np.unique(table.buckets, return_inverse=True)
    owner = torch.from_numpy(table.owners())
    weights = torch.from_numpy(table.weights)[:, None]
    total = coefficients.new_zeros(len(known), coefficients.shape[1])
    total.index_add_(0, torch.from_numpy(place), coefficients[owner] * weights)
    return torch.from_numpy(known.astype(np.int32)), total
