"""Many heads on one backbone: rows transformed once, then each row meets its own head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from app.core.backbones import Block
from app.core.errors import HeadstartError
from app.core.modalities import PRIMARY
from worker.ml.artifact import HeadArtifact, HeadConfig
from worker.ml.assess import novelty
from worker.ml.assess.novelty import NoveltyDetector
from worker.ml.features import spaces
from worker.ml.features.spaces import TUNED, Channel, Transform
from worker.ml.heads import scoring_text
from worker.ml.heads.scoring_text import TextAnswer
from worker.ml.heads.tuned_suffix import TOGETHER, MakeSuffix, TunedSuffix, without_suffix
from worker.ml.solvers import matching


@dataclass(frozen=True)
class LiveHead:
    """A head whose shapes and numbers were checked, with its own suffix if it has tuned one."""

    artifact: HeadArtifact
    tuned: TunedSuffix | None = None

    @property
    def config(self) -> HeadConfig:
        """What it needs beside its tensors."""
        return self.artifact.config

    @property
    def nbytes(self) -> int:
        """Bytes that the head keeps in memory."""
        return self.artifact.nbytes + (0 if self.tuned is None else self.tuned.nbytes)

    def tensor(self, name: str) -> Tensor:
        """One of the head's tensors as float32."""
        return self.artifact.tensors[name].float()


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row's answer: `probabilities` [k] in the order of `classes`.

    `score` is high for what looks like the training examples. `familiarity` is the share of known
    inputs that look stranger, 0 to 1: an input is `unknown` where it is below the head's
    false-alarm rate, or any other rate that a caller names.
    """

    classes: tuple[str, ...]
    probabilities: Tensor
    score: float
    familiarity: float
    unknown: bool

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probabilities.argmax())]


@dataclass(frozen=True)
class Neighbour:
    """A training example like the input: its id, its label and their cosine."""

    id: str
    label: str
    similarity: float
    labels: tuple[str, ...] | None = None
    """All that it has, of a head for several labels."""


def load(artifact: HeadArtifact, suffix: MakeSuffix | None = None) -> LiveHead:
    """Check a stored head's shapes and numbers; `suffix` makes that of its backbone, which only
    tuned heads ask for. Raises model_corrupt.
    """
    tensors, classes = artifact.tensors, len(artifact.config.classes)
    shapes = [tensors[name].shape[-1] for name in ("bias", "weight") if name in tensors]
    if not shapes or set(shapes) != {classes}:
        raise HeadstartError("model_corrupt", "The stored head lacks numbers for its classes.")
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise HeadstartError("model_corrupt", "The stored head has numbers that are not finite.")
    if not artifact.config.tuned:
        return LiveHead(artifact)
    assert suffix is not None
    assert artifact.config.depth is not None
    tuned = TunedSuffix.of(suffix(artifact.config.depth), artifact.tensors)
    return LiveHead(HeadArtifact(without_suffix(artifact.tensors), artifact.config), tuned)


def predict(
    features: Mapping[str, Tensor],
    heads: Sequence[LiveHead],
    *,
    layout: Sequence[Block],
    texts: Sequence[str] | None = None,
) -> list[Prediction]:
    """One answer a row; `features[view]` is [n, D], `heads` [n] (equal heads may repeat).

    `texts` [n] are what the rows of a text backbone are embeddings of; some heads read both.
    """
    answers: dict[int, Prediction] = {}
    for made_by, rows in _by_transform(heads):
        shared = _Rows(features, rows, heads, spaces.transform(tuple(layout), *made_by))
        for head, members in _by_head(heads, rows):
            answers.update(zip(members, _answer(head, shared, members), strict=True))
    for head, members in _by_head(
        heads, [r for r, head in enumerate(heads) if not head.config.channels]
    ):
        assert texts is not None
        said = [texts[row] for row in members]
        read = _read_texts(head, features[PRIMARY["text"]][members], said, layout)
        predictions = _predictions(head, read.probabilities, read.score)
        answers.update(zip(members, predictions, strict=True))
    return [answers[row] for row in range(len(heads))]


def probabilities(
    artifact: HeadArtifact,
    features: Mapping[str, Tensor],
    *,
    layout: Sequence[Block],
    texts: Sequence[str] | None = None,
    suffix: MakeSuffix | None = None,
) -> Tensor:
    """[n, k] of many rows under one head."""
    head = load(artifact, suffix)
    if artifact.config.lexical is None:
        count = len(next(iter(features.values())))
        if head.tuned is None:
            return forward(head, features, layout=layout)
        parts = torch.arange(count).split(TOGETHER)
        few = [{view: features[view][part] for view in head.config.views} for part in parts]
        return torch.cat([forward(head, rows, layout=layout) for rows in few])
    assert texts is not None
    rows = features[PRIMARY["text"]]
    return _read_texts(head, rows, texts, layout).probabilities


def traceable(head: LiveHead, layout: Sequence[Block]) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """`forward` of one head for exporters to follow: [n, k] of features.

    All that has to be read from files is read by now: a tracer would follow the reading, too, and
    what is read once a process would stay the tracer's.
    """
    followed = head if head.tuned is None else replace(head, tuned=head.tuned.to_be_traced())
    return partial(_forward, followed, _transform(head.config, layout))


def forward(head: LiveHead, features: Mapping[str, Tensor], *, layout: Sequence[Block]) -> Tensor:
    """[n, k] by tensor operations alone."""
    return _forward(head, _transform(head.config, layout), features)


def _forward(head: LiveHead, transform: Transform, features: Mapping[str, Tensor]) -> Tensor:
    shared = [channel for channel in head.config.channels if channel.space != TUNED]
    made = transform.channels(features, shared)
    rows = [
        made[channel] if channel in made else _traced(head, features[channel.views[0]])
        for channel in head.config.channels
    ]
    logits = _logits(head, rows)
    return head.config.likely(logits)


def nearest(
    features: Mapping[str, Tensor],
    heads: Sequence[LiveHead],
    *,
    layout: Sequence[Block],
    count: int,
) -> list[list[Neighbour]]:
    """The `count` most similar kept training examples of each row's own head, best first."""
    return [
        _neighbours(head, {view: x[row : row + 1] for view, x in features.items()}, layout, count)
        for row, head in enumerate(heads)
    ]


def _neighbours(
    head: LiveHead, features: Mapping[str, Tensor], layout: Sequence[Block], count: int
) -> list[Neighbour]:
    rows = _transform(head.config, layout).novelty(features)
    cosines = (rows @ _exemplars(head).T)[0]
    best = cosines.topk(min(count, len(cosines)))
    return [
        _neighbour(head, place, cosine)
        for place, cosine in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _neighbour(head: LiveHead, place: int, cosine: float) -> Neighbour:
    config, tensors = head.config, head.artifact.tensors
    if not config.multi_label:
        label = config.classes[int(tensors["exemplar_labels"][place])]
        return Neighbour(config.exemplar_ids[place], label, cosine)
    marked = torch.nonzero(tensors["exemplar_marks"][place])[:, 0].tolist()
    labels = tuple(config.classes[c] for c in marked)
    return Neighbour(config.exemplar_ids[place], ", ".join(labels), cosine, labels)


class _Rows:
    """What no head changes of some rows: each channel, and what novelty is told by."""

    def __init__(
        self,
        features: Mapping[str, Tensor],
        rows: Sequence[int],
        heads: Sequence[LiveHead],
        transform: Transform,
    ) -> None:
        own = features if len(rows) == len(heads) else {v: x[rows] for v, x in features.items()}
        every = [channel for row in rows for channel in heads[row].config.channels]
        channels = [channel for channel in every if channel.space != TUNED]
        self._own = own
        self._place = {row: place for place, row in enumerate(rows)}
        self._channels = transform.channels(own, channels)
        self._novelty = transform.novelty(own)

    def channel(self, channel: Channel, rows: Sequence[int]) -> Tensor:
        """[len(rows), F]."""
        return self._channels[channel][self._places(rows)]

    def view(self, view: str, rows: Sequence[int]) -> Tensor:
        """[len(rows), D] as they came."""
        return self._own[view][self._places(rows)]

    def novelty(self, rows: Sequence[int]) -> Tensor:
        """[len(rows), d]."""
        return self._novelty[self._places(rows)]

    def _places(self, rows: Sequence[int]) -> list[int]:
        return [self._place[row] for row in rows]


def _answer(head: LiveHead, shared: _Rows, rows: Sequence[int]) -> list[Prediction]:
    x = [
        shared.channel(channel, rows)
        if channel.space != TUNED
        else _tuned(head, shared.view(channel.views[0], rows))
        for channel in head.config.channels
    ]
    told = head.config.likely(_logits(head, x))
    top, predicted = novelty.confidence(told)
    labels, predicted = head.artifact.among(predicted)
    likeness = novelty.similarity(shared.novelty(rows), _exemplars(head), labels, predicted)
    return _predictions(head, told, head.config.novelty.score(top, likeness))


def _tuned(head: LiveHead, activations: Tensor) -> Tensor:
    """[n, d] as the head's own suffix embeds activations [n, width]."""
    assert head.tuned is not None
    return head.tuned(activations)


def _traced(head: LiveHead, activations: Tensor) -> Tensor:
    """The same, so that it can be traced."""
    assert head.tuned is not None
    return head.tuned.traced(activations)


def _read_texts(
    head: LiveHead, rows: Tensor, texts: Sequence[str], layout: Sequence[Block]
) -> TextAnswer:
    """Of a backbone's rows [n, D], centred where it has generic statistics."""
    looked = _transform(head.config, layout)("look", rows)
    tuned = None if head.tuned is None else head.tuned.read(texts)
    return scoring_text.answer(head.artifact, looked, texts, tuned=tuned)


def _transform(config: HeadConfig, layout: Sequence[Block]) -> Transform:
    """What the head's channels are made with."""
    return spaces.transform(tuple(layout), config.statistics, config.shares)


def _predictions(head: LiveHead, rows: Tensor, scores: Tensor) -> list[Prediction]:
    return [_prediction(head, p, score) for p, score in zip(rows, scores.tolist(), strict=True)]


def _prediction(head: LiveHead, row: Tensor, score: float) -> Prediction:
    familiar = _familiarity(head.config.novelty, score)
    return Prediction(
        classes=head.config.classes,
        probabilities=row,
        score=score,
        familiarity=familiar,
        unknown=familiar < head.config.false_alarm,
    )


def _familiarity(detector: NoveltyDetector, score: float) -> float:
    """The share of known inputs that score less, linear between the known rates; 1 beyond them."""
    below = [place for place, threshold in enumerate(detector.thresholds) if threshold <= score]
    if not below:
        return 0.0
    last = below[-1]
    if last + 1 == len(detector.thresholds):
        return 1.0
    low, high = detector.thresholds[last], detector.thresholds[last + 1]
    share = (score - low) / (high - low)
    return novelty.RATES[last] + share * (novelty.RATES[last + 1] - novelty.RATES[last])


def _logits(head: LiveHead, x: list[Tensor]) -> Tensor:
    """[n, k] from the head's channels [n, F], in their order."""
    side_by_side = x[0] if len(x) == 1 else torch.cat(x, 1)
    if "weight" in head.artifact.tensors:
        return torch.addmm(head.tensor("bias"), side_by_side, head.tensor("weight"))
    return _attention(head, side_by_side)


def _attention(head: LiveHead, x: Tensor) -> Tensor:
    """A matching head's logits: it keeps its support instead of weights."""
    cosines = spaces.unit(x - head.tensor("centre")) @ spaces.unit(head.tensor("support")).T
    labels = head.artifact.tensors["support_labels"].long()
    attention = head.config.attention
    assert attention is not None
    sharpness = torch.tensor([attention.sharpness])
    found = matching.logits(cosines, labels, head.tensor("support_weights"), sharpness=sharpness)
    return found[0] * attention.scale + head.tensor("bias")


def _exemplars(head: LiveHead) -> Tensor:
    return spaces.unit(head.tensor("exemplars"))


_MadeBy = tuple[str | None, tuple[float, ...]]
"""Statistics, and the shares of several backbones."""


def _by_transform(heads: Sequence[LiveHead]) -> list[tuple[_MadeBy, list[int]]]:
    """The rows of heads that read channels, by what these are made with."""
    rows_by_transform: dict[_MadeBy, list[int]] = {}
    for row, head in enumerate(heads):
        if head.config.channels:
            made_by = head.config.statistics, head.config.shares
            rows_by_transform.setdefault(made_by, []).append(row)
    return list(rows_by_transform.items())


def _by_head(heads: Sequence[LiveHead], rows: Sequence[int]) -> list[tuple[LiveHead, list[int]]]:
    rows_by_head: dict[int, tuple[LiveHead, list[int]]] = {}
    for row in rows:
        rows_by_head.setdefault(id(heads[row]), (heads[row], []))[1].append(row)
    return list(rows_by_head.values())
