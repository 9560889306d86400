"""One fit's answer: the head as it is saved, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, get_args

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from app.core.modalities import PRIMARY, Depth, pictured
from worker.ml.assess.answers import Rows
from worker.ml.assess.distance_cooling import Familiarity
from worker.ml.assess.novelty import FALSE_ALARM, NoveltyDetector
from worker.ml.features.spaces import TUNED, Channel
from worker.ml.images.pixel_scale import PixelScale

FORMAT, MULTI_LABEL_FORMAT, TUNED_FORMAT, DEEP_FORMAT = 2, 3, 4, 5
"""Of what is written; nothing older was ever released. A release that knows no several labels must
not read such a head as one of exclusive classes, nor may one that tunes no networks a tuned one, or
one that tunes only a part a deep one.
"""


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Of a head that keeps its support instead of weights: what its cosines are multiplied by
    before the softmax, and its logits after.
    """

    sharpness: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Lexical:
    """Of a head that reads words: their share beside the embedding, whether all n-grams are folded
    into a few buckets, and the support's familiarity.
    """

    weight: float
    folded: bool
    familiarity: Familiarity


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """What a head needs beside its tensors. One that reads words has `lexical` and no channels."""

    method: str
    classes: tuple[str, ...]
    temperature: float
    novelty: NoveltyDetector
    false_alarm: float = FALSE_ALARM
    exemplar_ids: tuple[str, ...] = ()
    statistics: str | None = None
    shares: tuple[float, ...] = ()
    """What each of several backbones counts for, in their order."""
    channels: tuple[Channel, ...] = ()
    attention: Attention | None = None
    lexical: Lexical | None = None
    depth: Depth | None = None
    """How deep its own network is tuned, if it has one."""
    pixel_scale: PixelScale | None = None
    """Of the deep pictures of the dataset; an input's are scaled so, too."""
    thresholds: tuple[float, ...] | None = None
    """Of a head for several labels an example: the probability of each class from which it is said.
    Its logits are each class's own, against the rest.
    """

    @property
    def multi_label(self) -> bool:
        """Whether an input may have several labels, or none."""
        return self.thresholds is not None

    @property
    def tuned(self) -> bool:
        """Whether it has a part of the network of its own."""
        return self.depth is not None

    @cached_property
    def views(self) -> tuple[str, ...]:
        """The views a prediction needs, the primary one first."""
        if not self.channels:
            return (PRIMARY["text"],)
        return tuple(dict.fromkeys(view for one in self.channels for view in one.views))

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """The views whose pixels these are made of: activations come with an embedding."""
        return tuple(dict.fromkeys(map(pictured, self.views)))

    def likely(self, logits: Tensor) -> Tensor:
        """Probabilities [n, k]: of exclusive classes, or of each class for itself."""
        scaled = logits / self.temperature
        return scaled.sigmoid() if self.multi_label else scaled.softmax(1)

    def as_json(self) -> dict[str, Any]:
        """What a model card keeps."""
        told = {
            "format": _format(several=self.multi_label, depth=self.depth),
            "method": self.method,
            "classes": list(self.classes),
            "prediction_views": list(self.views),
            "temperature": self.temperature,
            "unknown": self.novelty.as_json(),
            "unknown_false_alarm_rate": self.false_alarm,
            "exemplar_ids": list(self.exemplar_ids),
        }
        return {
            **told,
            **({"shares": list(self.shares)} if self.shares else {}),
            **self._depth_as_json(),
            **self._channels_as_json(),
            **self._lexical_as_json(),
            **self._attention_as_json(),
            **self._pixel_scale_as_json(),
            **self._thresholds_as_json(),
        }

    def _channels_as_json(self) -> dict[str, Any]:
        if not self.channels:
            return {}
        listed = [{"space": one.space, "views": list(one.views)} for one in self.channels]
        return {"statistics": self.statistics, "channels": listed}

    def _depth_as_json(self) -> dict[str, Any]:
        """Nothing of what is tuned in part, which its channel says."""
        return {} if self.depth in (None, "partial") else {"depth": self.depth}

    def _lexical_as_json(self) -> dict[str, Any]:
        if self.lexical is None:
            return {}
        centred = {} if self.statistics is None else {"statistics": self.statistics}
        return {
            **centred,
            "lexical_weight": self.lexical.weight,
            "folded": self.lexical.folded,
            "familiarity": asdict(self.lexical.familiarity),
        }

    def _thresholds_as_json(self) -> dict[str, Any]:
        if self.thresholds is None:
            return {}
        return {"label_mode": "multi_label", "thresholds": list(self.thresholds)}

    def _pixel_scale_as_json(self) -> dict[str, Any]:
        return {} if self.pixel_scale is None else {"pixel_scale": asdict(self.pixel_scale)}

    def _attention_as_json(self) -> dict[str, Any]:
        return {} if self.attention is None else asdict(self.attention)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> HeadConfig:
        """Of any card since 0.1.0. Raises model_corrupt for what lacks something, or is newer."""
        try:
            return cls._read(told)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise HeadstartError("model_corrupt", f"the stored head misses {error}") from error

    @classmethod
    def _read(cls, told: Mapping[str, Any]) -> HeadConfig:
        depth = _depth(told)
        if told["format"] > _format(several="thresholds" in told, depth=depth):
            raise HeadstartError("model_corrupt", "the stored head is of a newer release")
        return cls(
            method=told["method"],
            classes=tuple(told["classes"]),
            temperature=float(told["temperature"]),
            novelty=NoveltyDetector.from_json(told["unknown"]),
            false_alarm=float(told.get("unknown_false_alarm_rate", FALSE_ALARM)),
            exemplar_ids=tuple(told.get("exemplar_ids", ())),
            statistics=told.get("statistics"),
            shares=tuple(float(share) for share in told.get("shares", ())),
            channels=tuple(
                Channel(one["space"], tuple(one["views"])) for one in told.get("channels", ())
            ),
            attention=_attention(told),
            lexical=_lexical(told),
            depth=depth,
            pixel_scale=PixelScale.from_json(told.get("pixel_scale")),
            thresholds=_thresholds(told),
        )


def _format(*, several: bool, depth: Depth | None) -> int:
    if depth is not None:
        return TUNED_FORMAT if depth == "partial" else DEEP_FORMAT
    return MULTI_LABEL_FORMAT if several else FORMAT


def _depth(told: Mapping[str, Any]) -> Depth | None:
    """Raises ValueError for one that is not known."""
    tuned = any(one["space"] == TUNED for one in told.get("channels", ()))
    depth = told.get("depth", "partial" if tuned else None)
    if depth not in (None, *get_args(Depth)):
        raise ValueError("a depth that is known")
    return depth  # type: ignore[no-any-return]


def _thresholds(told: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Raises ValueError where they are not one a class."""
    if "thresholds" not in told:
        return None
    found = tuple(float(value) for value in told["thresholds"])
    if len(found) != len(told["classes"]):
        raise ValueError("a threshold for each class")
    return found


def _attention(told: Mapping[str, Any]) -> Attention | None:
    if "sharpness" not in told:
        return None
    return Attention(sharpness=float(told["sharpness"]), scale=float(told["scale"]))


def _lexical(told: Mapping[str, Any]) -> Lexical | None:
    if "lexical_weight" not in told:
        return None
    return Lexical(
        weight=float(told["lexical_weight"]),
        folded=bool(told["folded"]),
        familiarity=Familiarity(**told["familiarity"]),
    )


@dataclass(frozen=True)
class HeadArtifact:
    """What is saved of a head: named tensors and readable JSON."""

    tensors: dict[str, Tensor]
    config: HeadConfig

    def among(self, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """Labels [e] of the exemplars, and those [n] that inputs are compared with: of several
        labels an example all alike, as one may be like it in any.
        """
        if self.config.multi_label:
            kept = len(self.tensors["exemplars"])
            return predicted.new_zeros(kept), torch.zeros_like(predicted)
        return self.tensors["exemplar_labels"].long(), predicted

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(value.numel() * value.element_size() for value in self.tensors.values())


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted head, how good it is, what was resolved from "auto", and what would help."""

    head: HeadArtifact
    evaluation: dict[str, Any]
    hyperparameters: dict[str, Any]
    advice: dict[str, Any] = field(default_factory=dict)
    answers: Rows | None = None
