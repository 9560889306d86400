"""Many heads on one backbone: rows transformed once, then each row meets its own head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml import spaces, text
from worker.ml.heads.base import HeadArtifact

if TYPE_CHECKING:
    from app.core.backbones import Block


@dataclass(frozen=True, kw_only=True)
class LiveHead:
    """A head ready to serve: logits = φ W + b over its spaces, put side by side."""

    classes: tuple[str, ...]
    weight: Tensor
    bias: Tensor
    spaces: tuple[str, ...]
    temperature: float
    artifact: HeadArtifact

    @property
    def nbytes(self) -> int:
        """Bytes that the head keeps in memory."""
        return self.artifact.nbytes

    @property
    def views(self) -> tuple[str, ...]:
        """The views a prediction needs."""
        return tuple(self.artifact.config["prediction_views"])


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row's answer: `probabilities` [k] in the order of `classes`."""

    classes: tuple[str, ...]
    probabilities: Tensor

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probabilities.argmax())]


def load(artifact: HeadArtifact) -> LiveHead:
    """Check a stored head's shapes and numbers; raises HeadstartError `model_corrupt`."""
    config, tensors = artifact.config, artifact.tensors
    classes = tuple(config["classes"])
    if set(tensors) < {"weight", "bias"} or tensors["weight"].shape[-1] != len(classes):
        raise HeadstartError("model_corrupt", "The stored head lacks weights for its classes.")
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise HeadstartError("model_corrupt", "The stored head has numbers that are not finite.")
    return LiveHead(
        classes=classes,
        weight=tensors["weight"],
        bias=tensors["bias"],
        spaces=tuple(config["spaces"]),
        temperature=float(config["temperature"]),
        artifact=artifact,
    )


def predict(
    features: Mapping[str, Tensor],
    heads: Sequence[LiveHead],
    *,
    layout: Sequence[Block],
    texts: Sequence[str] | None = None,
) -> list[Prediction]:
    """One answer a row; `features[view]` is [n, D], `heads` [n] (equal heads may repeat).

    `texts` [n] are what the rows of a text backbone are embeddings of; its heads read both.
    """
    if texts is not None:
        return _predict_texts(features[text.VIEW], texts, heads)
    rows = transform(features, layout, {space for head in heads for space in head.spaces})
    answers: dict[int, Prediction] = {}
    for head, members in _by_head(heads):
        x = torch.cat([rows[space][members] for space in head.spaces], 1)
        logits = x @ head.weight.float() + head.bias
        probabilities = (logits / head.temperature).softmax(1)
        for row, p in zip(members, probabilities, strict=True):
            answers[row] = Prediction(classes=head.classes, probabilities=p)
    return [answers[row] for row in range(len(heads))]


def _predict_texts(
    rows: Tensor, texts: Sequence[str], heads: Sequence[LiveHead]
) -> list[Prediction]:
    answers: dict[int, Prediction] = {}
    for head, members in _by_head(heads):
        said = [texts[row] for row in members]
        logits = text.predict(head.artifact, rows[members], said)
        probabilities = (logits / head.temperature).softmax(1)
        for row, p in zip(members, probabilities, strict=True):
            answers[row] = Prediction(classes=head.classes, probabilities=p)
    return [answers[row] for row in range(len(heads))]


def transform(
    features: Mapping[str, Tensor], layout: Sequence[Block], names: set[str]
) -> dict[str, Tensor]:
    """The head-independent part: each space [n, d] of the rows, computed once."""
    known = {"last": spaces.last}
    return {name: known[name](features[spaces.PRIMARY], layout) for name in sorted(names)}


def _by_head(heads: Sequence[LiveHead]) -> list[tuple[LiveHead, list[int]]]:
    rows: dict[int, tuple[LiveHead, list[int]]] = {}
    for row, head in enumerate(heads):
        rows.setdefault(id(head), (head, []))[1].append(row)
    return list(rows.values())
