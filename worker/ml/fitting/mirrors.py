"""Whether examples' mirror images may be learned from: not where a mirror makes other things.

In a mirror an arrow to the left is one to the right, and a d is a b. A mirror image teaches its
class what is true only if it is as good an example of it: heads on the examples as they are judge
those that they have not seen, and their mirror images. That says it of far fewer examples than a
comparison of heads with and without them does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from app.core.modalities import MIRROR
from worker.ml.assess import calibration
from worker.ml.assess.intervals import Z, standard_error
from worker.ml.features import spaces
from worker.ml.features.spaces import Channel, Transform
from worker.ml.fitting import cross_fit
from worker.ml.fitting.design import design
from worker.ml.folds import Folds
from worker.ml.tasks import Support

SPACE, L2 = "late", 0.1
"""What the heads are fitted in, and λ of ridge."""

MOST = 300
"""Of many examples, those that are judged."""

DOUBT, MOST_DOUBT = 0.3, 1.5
"""How many standard errors worse mirror images may be: so many for each example of a class, up to
the second. Of few examples a mirror teaches little, and little tells that it is wrong.
"""

WHY_NOT = "in a mirror the examples are worse recognised: there they are other things"
UNTOLD = "too few examples tell whether a mirror makes other things of them"
WHY = "in a mirror the examples are recognised as well"

Losses = Callable[[Folds, Tensor, Tensor], tuple[Tensor, Tensor]]
"""-log p [n] by logits of the examples and of their mirror images [n, k], calibrated on those."""


@dataclass(frozen=True, kw_only=True)
class MirrorTest:
    """What unseen examples lose [m] as they are and in a mirror, and a standard error between."""

    original: Tensor
    mirrored: Tensor
    error: float
    per_class: float

    @property
    def told(self) -> bool:
        """Whether there is anything to tell by."""
        return self.error < float("inf")

    @property
    def difference(self) -> float:
        """By how much mirror images are the worse."""
        return float((self.mirrored - self.original).mean())

    @property
    def passed(self) -> bool:
        """Whether mirror images may be learned from."""
        doubt = min(MOST_DOUBT, DOUBT * self.per_class)
        return self.told and self.difference <= doubt * self.error

    @property
    def why(self) -> str:
        """In words."""
        if not self.told:
            return UNTOLD
        return WHY if self.passed else WHY_NOT

    def as_json(self) -> dict[str, Any]:
        """For an evaluation: whether they are learned from, why, and both log losses."""
        said = {"learned_from": self.passed, "why": self.why}
        if not self.told:
            return said
        middle, half = self.difference, Z * self.error
        return said | {
            "examples": len(self.original),
            "log_loss": {
                "original": float(self.original.mean()),
                "mirrored": float(self.mirrored.mean()),
                "difference": {"value": middle, "low": middle - half, "high": middle + half},
            },
        }


def of_classes(folds: Folds, original: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    """The losses where an example has one class."""
    known, labels = folds.known, folds.labels[folds.known]
    hot = calibration.temperature(original[known], labels, per_class=folds.per_class)
    first, second = (
        torch.nn.functional.cross_entropy(one / hot, folds.labels, reduction="none")
        for one in (original, mirrored)
    )
    return first, second


def examined(
    transform: Transform, support: Support, folds: Folds, losses: Losses = of_classes
) -> MirrorTest | None:
    """Of a support in canonical order; None where it has no mirror images."""
    if MIRROR not in support.features:
        return None
    some = _some(folds)
    support, folds = support.take(some), folds.take(some)
    groups, empty = support.groups[folds.known], torch.zeros(0)
    if len(groups.unique()) < 2:
        return _test(empty, empty, float("inf"), folds)
    first, second = losses(folds, *_judged(transform, support, folds))
    first, second = first[folds.known], second[folds.known]
    return _test(first, second, standard_error(second - first, groups), folds)


def _test(original: Tensor, mirrored: Tensor, error: float, folds: Folds) -> MirrorTest:
    return MirrorTest(original=original, mirrored=mirrored, error=error, per_class=folds.per_class)


def _some(folds: Folds) -> Tensor:
    """All examples, or of many the first of each of the first classes."""
    if len(folds.labels) <= MOST:
        return torch.arange(len(folds.labels))
    rows = folds.first(max(2, MOST // folds.classes))
    return rows[folds.labels[rows] <= MOST // 2]


def _judged(transform: Transform, support: Support, folds: Folds) -> tuple[Tensor, Tensor]:
    """Logits [n, k] of each example and of its mirror image, by heads that saw neither."""
    primary = spaces.primary(support.features)
    own, mirrored = (transform(SPACE, support.features[view]) for view in (primary, MIRROR))
    made = design([own], folds, asked=None, channel=Channel(SPACE, (primary,)), learned=(primary,))
    l2 = torch.tensor([L2], dtype=torch.double)
    first, second = (
        cross_fit.by_ridge(replace(made, asked=asked), folds, l2)[0].out_of_fold
        for asked in (None, mirrored - made.centre)
    )
    scale = max(float(first.std()), 1e-9)
    return _centred(first) / scale, _centred(second) / scale


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(1, keepdim=True)
