"""Many heads in one batch, fast: the same numbers as `scoring.predict` (docs/adr/0026).

Made for what nearly every head is: linear on channels of the primary view, with exemplars. Channels
are made once for all rows, each row then meets its own weights in one product, and everything after
that is one padded array for the whole batch. Other heads go to `scoring.predict`.

In numpy: for a row or a few an operation of torch costs several times the arithmetic in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.core.backbones import Block
from app.core.modalities import PRIMARY
from worker.ml.assess import novelty
from worker.ml.features.spaces_numpy import Floats, maker
from worker.ml.heads.scoring import LiveHead

_SPACES = frozenset({"late", "all", "last", "raw"})


@dataclass(frozen=True, slots=True)
class StackedHead:
    """A linear head laid out for serving: weights [k, F] fp16, exemplars [e, d] int8.

    The weights stay a tensor: torch makes float32 of fp16 ten times as fast as numpy.
    """

    spaces: tuple[str, ...]
    statistics: str | None
    weight: Tensor
    bias: Floats
    temperature: float
    exemplars: NDArray[np.int8]
    inverse: Floats
    labels: NDArray[np.int64]
    spreads: tuple[float, float]
    thresholds: tuple[float, ...]
    false_alarm: float
    multi_label: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return self.weight.nbytes + self.exemplars.nbytes + self.inverse.nbytes + self.labels.nbytes


@dataclass(frozen=True, slots=True)
class Scored:
    """One row's answer: probabilities [k], and the share of known inputs that novel stranger."""

    probabilities: Floats
    familiarity: float
    unknown: bool
    score: float


def stacked(head: LiveHead) -> StackedHead | None:
    """The head laid out for `predict`, or None if only `scoring.predict` can answer for it."""
    config, tensors = head.config, head.artifact.tensors
    names = tuple(channel.space for channel in config.channels)
    plain = all(channel.views == (PRIMARY["image"],) for channel in config.channels)
    known = plain and _SPACES.issuperset(names) and not config.shares
    if not names or not known or "weight" not in tensors:
        return None
    exemplars = tensors["exemplars"].contiguous()
    norms = torch.linalg.vector_norm(exemplars.float(), dim=1).clamp(min=1e-12)
    detector = config.novelty
    return StackedHead(
        spaces=names,
        statistics=config.statistics,
        weight=tensors["weight"].T.contiguous(),
        bias=tensors["bias"].float().numpy(),
        temperature=config.temperature,
        exemplars=exemplars.numpy(),
        inverse=(1 / norms).numpy(),
        labels=head.artifact.among(torch.zeros(1, dtype=torch.long))[0].numpy(),
        spreads=(detector.spreads[0] if detector.estimable else np.inf, detector.spreads[1]),
        thresholds=detector.thresholds,
        false_alarm=config.false_alarm,
        multi_label=config.multi_label,
    )


def predict(rows: Floats, heads: Sequence[StackedHead], *, layout: Sequence[Block]) -> list[Scored]:
    """One answer a row: `rows` [n, D] of the primary view, `heads` [n] (equal ones may repeat)."""
    answers: dict[int, Scored] = {}
    groups: dict[tuple[str | None, tuple[str, ...]], list[int]] = {}
    for place, head in enumerate(heads):
        groups.setdefault((head.statistics, head.spaces), []).append(place)
    for (statistics, names), places in groups.items():
        own = rows if len(places) == len(heads) else rows[places]
        made, novel = maker(tuple(layout), statistics).make(own, names)
        scored = _answer(made, novel, [heads[place] for place in places])
        answers.update(zip(places, scored, strict=True))
    return [answers[place] for place in range(len(heads))]


def _answer(made: Floats, novel: Floats, heads: Sequence[StackedHead]) -> list[Scored]:
    board = _Board(heads)
    for head, members in _by_head(heads):
        board.fill(head, members, made, novel)
    p, top, predicted = _softmax(board.logits, heads)
    likeness = _likeness(board.cosines, board.labels, predicted)
    spreads = np.array([head.spreads for head in heads])
    scores = (top / spreads[:, 0] + likeness / spreads[:, 1]).tolist()
    return [_scored(head, row, score) for head, row, score in zip(heads, p, scores, strict=True)]


class _Board:
    """Logits [n, k] and cosines [n, e], -inf where a head has fewer, and labels [n, e], then -1."""

    def __init__(self, heads: Sequence[StackedHead]) -> None:
        count = len(heads)
        classes = max(len(head.bias) for head in heads)
        kept = max(novelty.NEAREST, *(len(head.labels) for head in heads))
        self.logits = np.full((count, classes), -np.inf, np.float32)
        self.cosines = np.full((count, kept), -np.inf, np.float32)
        self.labels = np.full((count, kept), -1, np.int64)

    def fill(self, head: StackedHead, rows: list[int], made: Floats, novel: Floats) -> None:
        """One head's rows; a lone row is a product with a vector, which is many times faster."""
        every = len(rows) == len(made)
        chosen: Any = rows[0] if len(rows) == 1 else slice(None) if every else rows
        weight: Floats = head.weight.float().numpy()
        self.logits[chosen, : len(head.bias)] = made[chosen] @ weight.T + head.bias
        cosines = novel[chosen] @ head.exemplars.astype(np.float32).T
        self.cosines[chosen, : len(head.labels)] = cosines * head.inverse
        self.labels[chosen, : len(head.labels)] = head.labels


def _softmax(
    logits: Floats, heads: Sequence[StackedHead]
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Probabilities [n, k], `novelty.confidence` of each row, and in which class."""
    temperature = np.array([head.temperature for head in heads], np.float32)
    predicted = logits.argmax(1)
    shifted = (logits - logits.max(1, keepdims=True)) / temperature[:, None]
    p = np.exp(shifted)
    p /= p.sum(1, keepdims=True)
    softened = np.sqrt(p)
    top = softened.max(1) / softened.sum(1)
    several = [place for place, head in enumerate(heads) if head.multi_label]
    if several:
        p[several] = _sigmoid(logits[several] / temperature[several, None])
        predicted[several] = 0
    return p, top, predicted


def _sigmoid(logits: Floats) -> Floats:
    """Each class for itself; zero where a head has none."""
    half: Floats = np.exp(-np.abs(logits))
    return ((np.where(logits >= 0, 1, half)) / (1 + half)).astype(np.float32)


def _likeness(cosines: Floats, labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> Floats:
    """As `novelty.similarity`: mean of the nearest of the predicted class, or else of all."""
    own = labels == predicted[:, None]
    own[~own.any(1)] = True
    masked = np.where(own, cosines, -np.inf)
    best = np.partition(masked, -novelty.NEAREST, axis=1)[:, -novelty.NEAREST :]
    there = np.isfinite(best)
    mean: Floats = np.where(there, best, 0.0).sum(1) / np.maximum(there.sum(1), 1)
    return mean


def _scored(head: StackedHead, p: Floats, score: float) -> Scored:
    familiarity = _familiarity(head.thresholds, score)
    return Scored(p[: len(head.bias)], familiarity, familiarity < head.false_alarm, score)


def _familiarity(thresholds: tuple[float, ...], score: float) -> float:
    """As `scoring`: the share of known inputs that score less, linear between the known rates."""
    above = bisect_right(thresholds, score)
    if above == 0:
        return 0.0
    if above == len(thresholds):
        return 1.0
    low, high = thresholds[above - 1], thresholds[above]
    first, second = novelty.RATES[above - 1], novelty.RATES[above]
    return first + (score - low) / (high - low) * (second - first)


def _by_head(heads: Sequence[StackedHead]) -> list[tuple[StackedHead, list[int]]]:
    places_by_head: dict[int, tuple[StackedHead, list[int]]] = {}
    for place, head in enumerate(heads):
        places_by_head.setdefault(id(head), (head, []))[1].append(place)
    return list(places_by_head.values())
