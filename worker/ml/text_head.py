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

VIEW = "text"

EXEMPLARS = 20
"""Support embeddings that are kept of each class, for the nearest ones to an input."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A fit's results: rows [n + a, D] and sparse rows, the first n labelled, of which
    `coefficients` [n + a, C] and `bias` [C] are the dual fit at mixing weight `w`.
    """

    rows: Tensor
    table: ngrams.Rows
    labels: Tensor
    coefficients: Tensor
    bias: Tensor
    w: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Calibrated probabilities [n, C] and unknown-scores [n] (higher is known)."""

    probabilities: Tensor
    score: Tensor


def tensors(parts: Parts) -> dict[str, Tensor]:
    """The tensors of an artifact; the support's mean row is one more column beside the classes."""
    n, total = len(parts.labels), len(parts.coefficients)
    share = (torch.arange(total) < n).float()[:, None] / n
    columns = torch.cat([parts.coefficients, share], 1)
    buckets, lexical = _on_buckets(parts.table, parts.w * columns)
    embedding = (1 - parts.w) * parts.rows.T @ columns
    kept = unknown.exemplars(parts.labels, EXEMPLARS)
    return {
        "weight": embedding[:, :-1].half().contiguous(),
        "mean": embedding[:, -1:].half().contiguous(),
        "bias": parts.bias.float(),
        "buckets": buckets,
        "bucket_weight": lexical[:, :-1].half().contiguous(),
        "bucket_mean": lexical[:, -1:].half().contiguous(),
        "exemplars": parts.rows[kept].half(),
        "exemplar_labels": parts.labels[kept].to(torch.int32),
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


def _on_buckets(table: ngrams.Rows, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """The buckets seen [m] (int32, ascending) and the sum of their rows' coefficients [m, k]."""
    seen, place = np.unique(table.buckets, return_inverse=True)
    owner = torch.from_numpy(table.owners())
    weights = torch.from_numpy(table.weights)[:, None]
    total = coefficients.new_zeros(len(seen), coefficients.shape[1])
    total.index_add_(0, torch.from_numpy(place), coefficients[owner] * weights)
    return torch.from_numpy(seen.astype(np.int32)), total
