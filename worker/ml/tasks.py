"""One fit's question: labelled examples as a backbone saw them, and what to make of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from app.core.backbones import Block
from app.core.modalities import Depth
from worker.ml.images.pixel_scale import PixelScale

if TYPE_CHECKING:
    from worker.ml.backbones.suffix import Suffix

USUAL_SCALE = 20.0
"""That sentence encoders are taught at (sentence-transformers' MultipleNegativesRankingLoss)."""
Report = Callable[[dict[str, Any]], None]


class Chosen(Mapping[str, Tensor]):
    """Rows of every view, copied when a view is read: all views of many examples are large."""

    def __init__(self, features: Mapping[str, Tensor], rows: Tensor) -> None:
        self._features, self._rows = features, rows
        if isinstance(features, Chosen):
            self._features, self._rows = features._features, features._rows[rows]

    def __getitem__(self, view: str) -> Tensor:
        return self._features[view][self._rows]

    def only(self, views: Sequence[str]) -> Chosen:
        """With some of the views, of which none is copied."""
        return Chosen({view: self._features[view] for view in views}, self._rows)

    def __contains__(self, view: object) -> bool:
        return view in self._features

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


@dataclass(frozen=True, kw_only=True)
class Support:
    """Labelled examples as a backbone saw them.

    `features[view]` is [n, D] (D as the layout says), `labels` and `groups` are [n] long, labels
    index `classes`. Only the view "squish" (images) or "text" must be there.
    """

    features: Mapping[str, Tensor]
    labels: Tensor
    groups: Tensor
    ids: Sequence[str]
    classes: Sequence[str]
    texts: Sequence[str] | None = None
    marks: Tensor | None = None
    """[n, C] bool, which classes each example has, where it may have several or none; `labels` then
    say nothing.
    """
    copies: Tensor | None = None
    """[n] long, equal where examples were found to be near copies by what they are made of."""
    augmented: Tensor | None = None
    """[n] bool, which are augmented copies of another: trained on, neither judged nor counted."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def originals(self) -> Support:
        """Without augmented copies."""
        if self.augmented is None:
            return self
        return replace(self.take(torch.nonzero(~self.augmented)[:, 0]), augmented=None)

    def seen_as(self, views: Collection[str]) -> Support:
        """With only those of the views that are there."""
        features, kept = self.features, [view for view in self.features if view in views]
        if isinstance(features, Chosen):
            return replace(self, features=features.only(kept))
        return replace(self, features={view: features[view] for view in kept})

    def take(self, rows: Tensor) -> Support:
        """The examples `rows` (long), in that order."""
        chosen = rows.tolist()
        return Support(
            features=Chosen(self.features, rows),
            labels=self.labels[rows],
            groups=self.groups[rows],
            ids=[self.ids[row] for row in chosen],
            classes=self.classes,
            texts=None if self.texts is None else [self.texts[row] for row in chosen],
            marks=None if self.marks is None else self.marks[rows],
            copies=None if self.copies is None else self.copies[rows],
            augmented=None if self.augmented is None else self.augmented[rows],
        )


@dataclass(frozen=True, kw_only=True)
class TuningBudget:
    """Seconds that trying deeper may take, and those that it has taken before the fit."""

    seconds: float
    spent: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a method that tunes the network needs: the part behind the cut and where it is tuned.

    `keep` is handed named tensors from which a later try can go on, `kept` are those of a former;
    with a `budget` trainings end in time.
    """

    suffix: Suffix
    depth: Depth = "partial"
    device: str = "cpu"
    keep: Callable[[dict[str, Tensor]], None] = lambda _state: None
    kept: Mapping[str, Tensor] | None = None
    budget: TuningBudget | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """One fit: what to fit, on what, and whom to tell.

    `others` are further labelled sets on the same backbone (reptile learns from them);
    `label_embeddings` [C, D] are a backbone's of the classes' readable names, in their order: of
    texts its embeddings, of pictures what its other tower says in the space of `raw`, zero where a
    part of several has none; cosines times `label_scale` are logits;
    `tuning` is there for methods that tune the network, and where `depth` "auto" tries to; where
    it does not, `not_tried` says why;
    `pixel_scale` is that of the examples' deep pictures, and will be that of inputs;
    `weights_sha256` guards the backbone's generic statistics, which fit only those weights.
    """

    method: str
    hyperparameters: Mapping[str, Any]
    support: Support
    layout: tuple[Block, ...]
    backbone: str
    weights_sha256: str | None = None
    validation: Support | None = None
    seed: int = 0
    report: Report = lambda _event: None
    others: Sequence[Support] = ()
    label_embeddings: Tensor | None = None
    label_scale: float = USUAL_SCALE
    pixel_scale: PixelScale | None = None
    tuning: Tuning | None = None
    not_tried: str = ""

    def suffix(self, depth: Depth) -> Suffix:
        """That of the network which is tuned, at its only depth, where it is tuned."""
        assert self.tuning is not None
        assert self.tuning.depth == depth
        return self.tuning.suffix.on(torch.device(self.tuning.device))
