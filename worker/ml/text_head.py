"""What is saved of a text head, and how it answers: weights on the embedding and on buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.ml import familiarity, ngrams, spaces, unknown
from worker.ml.familiarity import Familiarity
from worker.ml.heads.base import HeadArtifact
from worker.ml.text_mix import Final
from worker.ml.text_views import Views

VIEW = "text"

EXEMPLARS = 20
"""Support embeddings that are kept of each class, for the nearest ones to an input."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Calibrated probabilities [n, C] and unknown-scores [n] (higher is known)."""

    probabilities: Tensor
    score: Tensor


def tensors(views: Views, fit: Final, kept: Tensor) -> dict[str, Tensor]:
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


def predict(head: HeadArtifact, embeddings: Tensor, texts: Sequence[str]) -> Tensor:
    """Logits [n, C], before the temperature, of embeddings [n, D] and the n texts they are of.

    They are cooled already by how unlike the support a text is.
    """
    unit = spaces.unit(embeddings.float())
    return _logits(head, unit, _known(head, ngrams.rows(texts)))


def answer(head: HeadArtifact, embeddings: Tensor, texts: Sequence[str]) -> Answer:
    """Probabilities and unknown-scores, from one reading of the texts."""
    unit, table = spaces.unit(embeddings.float()), ngrams.rows(texts)
    known = _known(head, table)
    probabilities = (_logits(head, unit, known) / head.config["temperature"]).softmax(1)
    top, predicted = probabilities.max(1)
    cosine = unknown.similarity(
        unit,
        head.tensors["exemplars"].float(),
        head.tensors["exemplar_labels"].long(),
        predicted,
    )
    w = head.config["lexical_weight"]
    similarity = (1 - w) * cosine + w * coverage(known)
    detector = unknown.restored(head.config["unknown"])
    return Answer(probabilities=probabilities, score=detector.score(top, similarity))


def coverage(known: ngrams.Rows) -> Tensor:
    """The share [n] of each text's n-grams that is left in `known`, by squared weight."""
    total = np.bincount(known.owners(), weights=known.weights**2, minlength=len(known))
    return torch.from_numpy(total).float()


def _known(head: HeadArtifact, table: ngrams.Rows) -> ngrams.Rows:
    if head.config["folded"]:
        return ngrams.fold(table, len(head.tensors["buckets"]))
    return ngrams.within(table, head.tensors["buckets"].numpy())


def _logits(head: HeadArtifact, unit: Tensor, known: ngrams.Rows) -> Tensor:
    kept = head.tensors
    logits = unit @ kept["weight"].float() + _summed(known, kept["bucket_weight"]) + kept["bias"]
    similarity = unit @ kept["mean"].float() + _summed(known, kept["bucket_mean"])
    usual = Familiarity(**head.config["familiarity"])
    return familiarity.cooled(logits, usual.factor(similarity[:, 0]))


def _summed(table: ngrams.Rows, weight: Tensor) -> Tensor:
    """Sparse rows times weight [m, k]: [n, k], reading only the rows of `weight` that occur."""
    used, place = np.unique(table.buckets, return_inverse=True)
    return torch.nn.functional.embedding_bag(
        torch.from_numpy(place),
        weight[torch.from_numpy(used)].float(),
        torch.from_numpy(table.starts[:-1]),
        mode="sum",
        per_sample_weights=torch.from_numpy(table.weights),
    )
