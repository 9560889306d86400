"""A tuned network beside frozen heads: how much it counts, and the head that both make.

Nothing is its due: how much it counts is chosen out of fold, and only where its gain is beyond its
noise does it count at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from app.core.modalities import PRIMARY, mapped
from worker.ml.assess import calibration
from worker.ml.assess.intervals import Z, standard_error
from worker.ml.features.spaces import TUNED, Channel
from worker.ml.folds import Folds
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.tuning.cross_tuned import CrossTuned
from worker.ml.tuning.descent import BIAS, WEIGHT

SHARES = tuple(step / 10 for step in range(1, 11))
PRIOR_TEMPERATURE = {1: 1.0}


@dataclass(frozen=True)
class TunedBlend:
    """How far the weights are moved, what the tuned network counts for, and both temperatures."""

    average: float
    share: float
    frozen: float
    tuned: float


@dataclass(frozen=True, kw_only=True)
class TunedChoice:
    """The best blend, and what it gains out of fold in log loss over the frozen heads alone."""

    blend: TunedBlend
    frozen: float
    gain: float
    error: float
    """Of the gain, one standard error."""

    def beyond(self, errors: float) -> bool:
        """Whether the gain is so many of its standard errors above nothing."""
        return self.gain > errors * self.error

    def as_json(self) -> dict[str, Any]:
        """For an evaluation: both log losses, and the gain with its 95% interval."""
        half = Z * self.error
        return {
            "frozen": self.frozen,
            "tuned": self.frozen - self.gain,
            "gain": {"value": self.gain, "low": self.gain - half, "high": self.gain + half},
        }


def choose(
    setting: Setting, frozen: Fitted, tuned: CrossTuned, share: float | None, *, errors: float
) -> TunedChoice:
    """What makes the unseen labels likeliest, first among what is beyond so many standard errors.

    Of a `share` that was asked for only how far the weights are moved is chosen.
    """
    folds, known = setting.folds, setting.folds.known
    labels, groups = folds.labels[known], setting.support.groups[known]
    cold = _cold(frozen, folds)
    alone = _losses(frozen.out_of_fold.float()[known] / cold, labels)
    tried = []
    for average, out_of_fold in tuned.out_of_fold.items():
        hot = _temperature(out_of_fold[known], labels)
        for one in SHARES if share is None else (share,):
            blend = TunedBlend(average, one, cold, hot)
            mixed = _mixed(blend, frozen.out_of_fold.float(), out_of_fold)[known]
            gains = alone - _losses(mixed, labels)
            gain, error = float(gains.mean()), standard_error(gains, groups)
            tried.append(
                TunedChoice(blend=blend, frozen=float(alone.mean()), gain=gain, error=error)
            )
    return max(tried, key=lambda one: (one.beyond(errors), one.gain))


def _cold(frozen: Fitted, folds: Folds) -> float:
    if frozen.temperature is not None:
        return frozen.temperature
    logits, labels = frozen.out_of_fold.float()[folds.known], folds.labels[folds.known]
    return calibration.temperature(logits, labels, per_class=folds.per_class)


def _temperature(logits: Tensor, labels: Tensor) -> float:
    return calibration.temperature(logits, labels, per_class=1, prior=PRIOR_TEMPERATURE)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p [n] of the labels, at the best temperature."""
    return torch.nn.functional.cross_entropy(
        logits / _temperature(logits, labels), labels, reduction="none"
    )


def blended(setting: Setting, frozen: Fitted, tuned: CrossTuned, choice: TunedChoice) -> Fitted:
    """The head of both; what is told of it is the caller's to add."""
    return _BLENDED[setting.modality](setting, frozen, tuned, choice.blend)


def _pictures(setting: Setting, frozen: Fitted, tuned: CrossTuned, blend: TunedBlend) -> Fitted:
    """One affine map of the frozen channels and of the tuned embedding."""
    own, tuning = tuned.tensors[blend.average], setting.task.tuning
    assert tuning is not None
    old, new = _factors(blend)
    weight = torch.cat([old * frozen.tensors["weight"], new * own[WEIGHT].T])
    bias = old * frozen.tensors["bias"] + new * own[BIAS]
    view = mapped(PRIMARY["image"], tuning.depth)
    return replace(
        frozen,
        channels=(*frozen.channels, Channel(TUNED, (view,))),
        tensors={"weight": weight.float(), "bias": bias.float(), **_behind(own)},
        out_of_fold=_mixed(blend, frozen.out_of_fold, tuned.out_of_fold[blend.average]),
        nested=_nested(blend, frozen, tuned),
        temperature=None,  # that of the frozen heads alone is in the factors
        used={**frozen.used, "tuned": _told(tuned, blend)},
        depth=tuning.depth,
    )


def _texts(setting: Setting, frozen: Fitted, tuned: CrossTuned, blend: TunedBlend) -> Fitted:
    """The frozen head, and beside it an affine map of the tuned embedding, which is not cooled by
    how unlike the others a text is.
    """
    own, tuning, folds = tuned.tensors[blend.average], setting.task.tuning, setting.folds
    assert tuning is not None
    old, new = _factors(blend)
    scaled = {name: old * frozen.tensors[name].float() for name in _SCALED}
    mixed = _mixed(blend, frozen.out_of_fold, tuned.out_of_fold[blend.average])
    beside = {"tuned_weight": new * own[WEIGHT].T, "tuned_bias": new * own[BIAS]}
    return replace(
        frozen,
        tensors={**frozen.tensors, **scaled, **beside, **_behind(own)},
        out_of_fold=mixed,
        nested=_nested(blend, frozen, tuned),
        by_class=frozen.by_class | beside.keys(),
        temperature=_temperature(mixed[folds.known], folds.labels[folds.known]),
        used={**frozen.used, "tuned": _told(tuned, blend)},
        depth=tuning.depth,
    )


_SCALED = ("weight", "bias", "bucket_weight")
"""What the logits of a text head are the sum of."""
_BLENDED = {"image": _pictures, "text": _texts}


def _mixed(blend: TunedBlend, frozen: Tensor, tuned: Tensor) -> Tensor:
    old, new = _factors(blend)
    return old * frozen + new * tuned


def _nested(blend: TunedBlend, frozen: Fitted, tuned: CrossTuned) -> Tensor | None:
    """What is stated of the frozen heads, in the blend; None where nothing was chosen for them."""
    if frozen.nested is None:
        return None
    return _mixed(blend, frozen.nested, tuned.out_of_fold[blend.average])


def _factors(blend: TunedBlend) -> tuple[float, float]:
    """What the frozen and the tuned logits are multiplied by."""
    return (1 - blend.share) / blend.frozen, blend.share / blend.tuned


def _behind(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors, as they are stored."""
    return {
        f"{TUNED}.{name}": value.half() for name, value in own.items() if name not in (WEIGHT, BIAS)
    }


def _told(tuned: CrossTuned, blend: TunedBlend) -> dict[str, Any]:
    return {"average": blend.average, "share": blend.share, "epochs": tuned.epochs}
