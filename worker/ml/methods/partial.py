"""The method `partial`: the last stages tuned on cached activations, blended with frozen heads.

The frozen heads are those of `auto`. How much the tuned network counts beside them is chosen out of
fold, and nothing is its due: where it is not better beyond its noise, the model is the frozen
heads alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from app.core.modalities import PRIMARY, mapped
from worker.ml.assess import calibration
from worker.ml.features.spaces import TUNED, Channel
from worker.ml.folds import Folds
from worker.ml.methods import auto
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.tuning.cross_tuned import CrossTuned, CrossTuning
from worker.ml.tuning.descent import BIAS, WEIGHT, TrainingPlan
from worker.ml.tuning.rows import TuningRows

LEARNING_RATE = 1e-3
VISITS = 6000
"""Examples that a training sees in all, over its epochs."""
FEWEST_EPOCHS, MOST_EPOCHS = 3, 10
FEWEST = 5
"""Examples a class; of fewer nothing deeper is learned."""
SHARES = tuple(step / 10 for step in range(1, 11))
PRIOR_TEMPERATURE = {1: 1.0}
_MAP = mapped(PRIMARY["image"])


@dataclass(frozen=True)
class _Blend:
    """How far the weights are moved, what the tuned network counts for, and both temperatures."""

    average: float
    share: float
    frozen: float
    tuned: float


def fit(setting: Setting) -> Fitted:
    """The frozen heads, and beside them the tuned network as far as it is better. Raises
    diverged.
    """
    frozen = auto.fit(setting)
    folds = setting.folds
    if not folds.count or folds.per_class < FEWEST:
        return _alone(setting, frozen, "there are too few examples of a class")
    share = setting.asked("share")
    if share == 0:
        return _alone(setting, frozen, "that is the share that was asked for")
    tuned = _tuned(setting)
    blend = _chosen(folds, frozen.out_of_fold.float(), tuned, share)
    if blend is None:
        return _alone(setting, frozen, "tuned, the network was no better out of fold", tuned)
    return _blended(frozen, tuned, blend)


def _tuned(setting: Setting) -> CrossTuned:
    tuning, support, folds = setting.task.tuning, setting.support, setting.folds
    assert tuning is not None
    maps = [view for view in support.features if view.startswith(mapped(""))]
    rows = TuningRows(
        views=[support.features[view] for view in sorted(maps, key=lambda one: one != _MAP)],
        labels=folds.labels,
        weights=folds.balance,
    )
    plan = TrainingPlan(
        epochs=int(setting.asked("epochs") or _epochs(len(folds.labels))),
        learning_rate=float(setting.asked("learning_rate") or LEARNING_RATE),
        seed=setting.task.seed,
        classes=folds.classes,
        device=torch.device(tuning.device),
    )
    return CrossTuning(
        tuning.suffix,
        rows,
        folds,
        plan,
        report=setting.task.report,
        keep=tuning.keep,
        kept=tuning.kept,
    ).run()


def _epochs(examples: int) -> int:
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(VISITS / examples)))


def _chosen(folds: Folds, frozen: Tensor, tuned: CrossTuned, share: float | None) -> _Blend | None:
    """What makes the unseen labels likeliest; None where that is not beyond its noise.

    Of a `share` that was asked for only how far the weights are moved is chosen.
    """
    known, per_class = folds.known, folds.per_class
    labels = folds.labels[known]
    cold = calibration.temperature(frozen[known], labels, per_class=per_class)
    alone = _losses(frozen[known] / cold, labels)
    tried: list[tuple[float, _Blend]] = []
    for average, out_of_fold in tuned.out_of_fold.items():
        hot = _temperature(out_of_fold[known], labels)
        for one in SHARES if share is None else (share,):
            blend = _Blend(average, one, cold, hot)
            losses = _losses(_mixed(blend, frozen, out_of_fold)[known], labels)
            if share is not None or _is_gain(alone - losses):
                tried.append((float(losses.mean()), blend))
    return min(tried, key=lambda one: one[0])[1] if tried else None


def _is_gain(gains: Tensor) -> bool:
    """Whether the mean of gains [n] is above its own standard error."""
    return bool(gains.mean() > gains.std() / len(gains) ** 0.5)


def _temperature(logits: Tensor, labels: Tensor) -> float:
    return calibration.temperature(logits, labels, per_class=1, prior=PRIOR_TEMPERATURE)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p [n] of the labels, at the best temperature."""
    return torch.nn.functional.cross_entropy(
        logits / _temperature(logits, labels), labels, reduction="none"
    )


def _mixed(blend: _Blend, frozen: Tensor, tuned: Tensor) -> Tensor:
    return (1 - blend.share) / blend.frozen * frozen + blend.share / blend.tuned * tuned


def _blended(frozen: Fitted, tuned: CrossTuned, blend: _Blend) -> Fitted:
    """One affine map of the frozen channels and of the tuned embedding."""
    own = tuned.tensors[blend.average]
    old, new = (1 - blend.share) / blend.frozen, blend.share / blend.tuned
    weight = torch.cat([old * frozen.tensors["weight"], new * own[WEIGHT].T])
    bias = old * frozen.tensors["bias"] + new * own[BIAS]
    behind = {
        f"{TUNED}.{name}": value.half() for name, value in own.items() if name not in (WEIGHT, BIAS)
    }
    said = {"average": blend.average, "share": blend.share, "epochs": tuned.epochs}
    return replace(
        frozen,
        channels=(*frozen.channels, Channel(TUNED, (_MAP,))),
        tensors={"weight": weight.float(), "bias": bias.float(), **behind},
        out_of_fold=_mixed(blend, frozen.out_of_fold, tuned.out_of_fold[blend.average]),
        used={**frozen.used, "tuned": said},
    )


def _alone(setting: Setting, frozen: Fitted, why: str, tuned: CrossTuned | None = None) -> Fitted:
    message = f"The model is the frozen heads alone: {why}"
    setting.task.report({"type": "message", "level": "info", "message": message})
    said: Mapping[str, Any] = {"share": 0.0, "why": why}
    if tuned is not None:
        said = {**said, "epochs": tuned.epochs}
    return replace(frozen, used={**frozen.used, "tuned": said})
