"""What is saved of a text head, and how it answers: weights on the embedding and on buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.ml.artifact import HeadArtifact, Lexical
from worker.ml.assess import distance_cooling, novelty
from worker.ml.features import ngrams, spaces


@dataclass(frozen=True, kw_only=True)
class TextAnswer:
    """Calibrated probabilities [n, C] and unknown-scores [n] (higher is known)."""

    probabilities: Tensor
    score: Tensor


def answer(
    head: HeadArtifact, embeddings: Tensor, texts: Sequence[str], *, tuned: Tensor | None = None
) -> TextAnswer:
    """Of embeddings [n, D], as the space `look` has them, and the n texts they are of; logits are
    cooled by how unlike the support a text is. `tuned` [n, d] are those of the head's own network.
    """
    unit, table = spaces.unit(embeddings.float()), ngrams.rows(texts)
    known = _known(head, table)
    logits = _logits(head, unit, known)
    if tuned is not None:
        logits = logits + tuned @ head.tensors["tuned_weight"].float() + head.tensors["tuned_bias"]
    probabilities = head.config.likely(logits)
    top, predicted = novelty.plain_confidence(probabilities)
    labels, predicted = head.among(predicted)
    cosine = novelty.similarity(unit, head.tensors["exemplars"].float(), labels, predicted)
    w = _lexical(head).weight
    similarity = (1 - w) * cosine + w * coverage(known)
    score = head.config.novelty.score(top, similarity)
    return TextAnswer(probabilities=probabilities, score=score)


def coverage(known: ngrams.SparseRows) -> Tensor:
    """The share [n] of each text's n-grams that is left in `known`, by squared weight."""
    total = np.bincount(known.owners(), weights=known.weights**2, minlength=len(known))
    return torch.from_numpy(total).float()


def _lexical(head: HeadArtifact) -> Lexical:
    lexical = head.config.lexical
    assert lexical is not None
    return lexical


def _known(head: HeadArtifact, table: ngrams.SparseRows) -> ngrams.SparseRows:
    if _lexical(head).folded:
        return ngrams.fold(table, len(head.tensors["buckets"]))
    return ngrams.within(table, head.tensors["buckets"].numpy())


def _logits(head: HeadArtifact, unit: Tensor, known: ngrams.SparseRows) -> Tensor:
    kept = head.tensors
    logits = unit @ kept["weight"].float() + _summed(known, kept["bucket_weight"]) + kept["bias"]
    similarity = unit @ kept["mean"].float() + _summed(known, kept["bucket_mean"])
    factor = _lexical(head).familiarity.factor(similarity[:, 0])
    return distance_cooling.cooled(logits, factor)


def _summed(table: ngrams.SparseRows, weight: Tensor) -> Tensor:
    """Sparse rows times weight [m, k]: [n, k], reading only the rows of `weight` that occur."""
    used, place = np.unique(table.buckets, return_inverse=True)
    return torch.nn.functional.embedding_bag(
        torch.from_numpy(place),
        weight[torch.from_numpy(used)].float(),
        torch.from_numpy(table.starts[:-1]),
        mode="sum",
        per_sample_weights=torch.from_numpy(table.weights),
    )
