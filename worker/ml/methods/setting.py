"""What every method is given, and what it gives: `fit(setting) -> Fitted`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from app.core.backbones import taken_apart
from app.core.manifest import Modality
from app.core.modalities import MIRROR, MODALITIES, PRIMARY, Depth, pictured
from worker.ml.artifact import Attention, Lexical
from worker.ml.assess import learning_curve, near_copies, novelty
from worker.ml.assess.learning_curve import Point
from worker.ml.features import spaces, whitening
from worker.ml.features.spaces import Channel, Transform
from worker.ml.fitting import mirrors
from worker.ml.fitting.designs import Designs
from worker.ml.fitting.mirrors import Losses, MirrorTest
from worker.ml.folds import Canonical, Folds, landmarks
from worker.ml.lazily import lazily
from worker.ml.tasks import Support, Task


def in_bytes(rows: Tensor) -> Tensor:
    """Rows [n, d] as int8, each scaled to use them all; only directions matter."""
    return (rows * (127 / rows.abs().amax(1, keepdim=True).clamp(min=1e-12))).round().to(torch.int8)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a fit takes place: the task, its support in canonical order, folds, transform."""

    task: Task
    canonical: Canonical
    folds: Folds
    transform: Transform
    statistics: str | None
    told_groups: Tensor
    """Groups [n] without those that near copies make."""
    mirror: MirrorTest | None = None
    """What says whether mirror images are learned from; None where nobody had to ask."""

    @property
    def copies_together(self) -> bool:
        """Whether near copies are judged together."""
        return not torch.equal(self.told_groups, self.support.groups)

    @property
    def grouped(self) -> bool:
        """Whether examples were told to belong together."""
        return len(self.told_groups.unique()) < len(self.told_groups)

    @property
    def apart(self) -> float:
        """The share of what is told to be apart that is no near copy of another."""
        return len(self.support.groups.unique()) / max(1, len(self.told_groups.unique()))

    @classmethod
    def of(
        cls,
        task: Task,
        folding: Callable[[Support], Folds] = Folds.of,
        losses: Losses = mirrors.of_classes,
    ) -> Setting:
        """Of a task whose support has the views to learn from, unless these are to be chosen: then
        mirror images have to pass.
        """
        statistics = whitening.find(task.backbone, task.weights_sha256)
        canonical = Canonical.of(task.support, task.seed)
        transform, told = spaces.transform(tuple(task.layout), statistics), canonical.support
        together = _together(transform, told.originals)
        if together is not None:
            together = near_copies.followed(told.originals.groups, together, told.groups)
            canonical = replace(canonical, support=replace(told, groups=together))
        setting = cls(
            task=task,
            canonical=canonical,
            folds=folding(canonical.support),
            transform=transform,
            statistics=statistics,
            told_groups=told.groups,
        )
        return setting if setting.asked("views") else setting._with_mirrors_tested(losses)

    def _with_mirrors_tested(self, losses: Losses) -> Setting:
        """Without mirror images, and what is made of them, where they do not pass."""
        mirror = mirrors.examined(self.transform, self.support, self.folds, losses)
        if mirror is None or mirror.passed:
            return replace(self, mirror=mirror)
        message = f"Nothing is learned from mirror images: {mirror.why}"
        self.task.report({"type": "message", "level": "info", "message": message})
        kept = [view for view in self.support.features if pictured(view) != MIRROR]
        canonical = replace(self.canonical, support=self.support.seen_as(kept))
        return replace(self, mirror=mirror, canonical=canonical)

    @property
    def support(self) -> Support:
        """In canonical order."""
        return self.canonical.support

    @lazily
    def originals(self) -> Support:
        """The support without augmented copies: what is judged and counted."""
        return self.support.originals

    @property
    def modality(self) -> Modality:
        """What the examples are."""
        return spaces.modality(self.support.features)

    @property
    def shares(self) -> tuple[float, ...]:
        """Equal ones of several backbones; none of one."""
        count = len(taken_apart(self.task.layout))
        return (1 / count,) * count if count > 1 else ()

    @property
    def primary(self) -> str:
        """What every prediction reads."""
        return PRIMARY[self.modality]

    @lazily
    def designs(self) -> Designs:
        """Of the support."""
        return Designs(self.transform, self.support, self.folds)

    @property
    def said_of_mirrors(self) -> dict[str, Any]:
        """For an evaluation."""
        return {} if self.mirror is None else {"mirror_images": self.mirror.as_json()}

    def asked(self, name: str) -> Any:
        """A hyperparameter that is set; None where it is "auto" or there is none."""
        value = self.task.hyperparameters.get(name, "auto")
        return None if value == "auto" else value

    def ridge_curve(self, gram: Tensor) -> list[Point]:
        """By inner products [n, n] of the examples, of many the landmarks; none without folds."""
        if not self.folds.count:
            return []
        return learning_curve.by_ridge(gram, self.folds.take(landmarks(self.folds)))


def _together(transform: Transform, told: Support) -> Tensor | None:
    """Groups [n] in which near copies are one; None where there are none to heed."""
    together = None
    alike = told.labels if told.marks is None else torch.zeros_like(told.labels)
    if told.copies is not None:
        together = near_copies.known(told.copies, alike, told.groups)
    of = MODALITIES[spaces.modality(told.features)]
    if of.copied and len(told) <= near_copies.MOST:
        rows = transform.novelty(told.features)
        groups = told.groups if together is None else together
        linked = near_copies.joined(rows, alike, groups)
        together = together if linked is None else linked
    return together


@dataclass(frozen=True, kw_only=True)
class NoveltyEvidence:
    """What tells a known input: how sure the head is, its nearest exemplars, and its words.

    `kept` is how exemplars are stored; `confidence` gives (confidence [n], class [n]) of
    probabilities. Likeness is (1 - lexical_weight)·cosine + lexical_weight·shared [n].
    """

    kept: Callable[[Tensor], Tensor] = in_bytes
    confidence: Callable[[Tensor], tuple[Tensor, Tensor]] = novelty.confidence
    lexical_weight: float = 0.0
    shared: Tensor | None = None

    def likeness(self, cosine: Tensor, rows: Tensor) -> Tensor:
        """Of the examples `rows` [m], from their cosines [m]."""
        if self.shared is None:
            return cosine
        return (1 - self.lexical_weight) * cosine + self.lexical_weight * self.shared[rows]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A method's result on a support set in canonical order.

    `tensors` are the head's, with classes along the last dimension where `by_class` names them and
    class numbers where `labelled` does; `out_of_fold` [n, k] are logits, without folds those of the
    fit itself, none at all if it has no rows. `used` is what "auto" became. The logits were
    divided by `cooling` [n] where it is there, and so is what is added to them.
    """

    tensors: Mapping[str, Tensor]
    out_of_fold: Tensor
    used: Mapping[str, Any]
    nested: Tensor | None = None
    """`out_of_fold` where what was chosen for a fold was also chosen without it: what figures are
    of. None where nothing was chosen."""
    channels: tuple[Channel, ...] = ()
    by_class: frozenset[str] = frozenset({"weight", "bias"})
    labelled: frozenset[str] = frozenset()
    attention: Attention | None = None
    lexical: Lexical | None = None
    shares: tuple[float, ...] = ()
    """Of several backbones, where the method weighs them."""
    depth: Depth | None = None
    """How deep the network is tuned that it reads, if it does."""
    deeper: Mapping[str, Any] | None = None
    """What came of tuning the network, if that was asked for: for the evaluation."""
    temperature: float | None = None
    cooling: Tensor | None = None
    novelty: NoveltyEvidence = NoveltyEvidence()
    curve: Sequence[Point] = ()
    balanced: bool = True
    """Whether every class had the same say in the fit."""
    held_out: Support | None = None
    """What the method itself held out to be judged by."""

    @property
    def stated(self) -> Tensor:
        """Logits [n, k] that owe the examples' labels nothing."""
        return self.out_of_fold if self.nested is None else self.nested


Method = Callable[[Setting], Fitted]
