"""The methods that tune the network: a part of it or all, blended with frozen heads.

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

from app.core.manifest import Modality
from app.core.modalities import PRIMARY, Depth, mapped, read_by
from worker.ml.assess import calibration
from worker.ml.backbones.adapters import AdaptedSuffix
from worker.ml.backbones.suffix import Suffix
from worker.ml.features.spaces import TUNED, Channel
from worker.ml.folds import Folds
from worker.ml.methods import auto, text
from worker.ml.methods.setting import Fitted, Method, Setting
from worker.ml.tasks import Tuning
from worker.ml.tuning.cross_tuned import CrossTuned, CrossTuning
from worker.ml.tuning.descent import BIAS, WEIGHT, TrainingPlan
from worker.ml.tuning.rows import BATCH, TOGETHER, PictureRows, TextRows, TuningRows

LEARNING_RATES: Mapping[tuple[Depth, Modality], float] = {
    ("partial", "image"): 1e-3,
    ("lora", "image"): 1e-3,
    ("lora", "text"): 1e-3,
    ("full", "image"): 3e-4,
    ("full", "text"): 1e-4,
}
STANDARD_ERRORS: Mapping[Depth, float] = {"partial": 1.0, "lora": 2.0, "full": 2.0}
"""By how many of its own a gain has to be above nothing, to be taken."""
VISITS = 6000
"""Examples that a training sees in all, over its epochs."""
FEWEST_EPOCHS, MOST_EPOCHS = 3, 10
FEWEST = 5
"""Examples a class; of fewer nothing deeper is learned."""
SHARES = tuple(step / 10 for step in range(1, 11))
PRIOR_TEMPERATURE = {1: 1.0}
_FROZEN: Mapping[Modality, Method] = {"image": auto.fit, "text": text.fit}


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
    frozen = _FROZEN[setting.modality](setting)
    folds = setting.folds
    if not folds.count or folds.per_class < FEWEST:
        return _alone(setting, frozen, "there are too few examples of a class")
    share = setting.asked("share")
    if share == 0:
        return _alone(setting, frozen, "that is the share that was asked for")
    tuned = _tuned(setting)
    blend = _chosen(folds, frozen, tuned, share, errors=_errors(setting))
    if blend is None:
        return _alone(setting, frozen, "tuned, the network was no better out of fold", tuned)
    return _BLENDED[setting.modality](setting, frozen, tuned, blend)


def _errors(setting: Setting) -> float:
    assert setting.task.tuning is not None
    return STANDARD_ERRORS[setting.task.tuning.depth]


def _tuned(setting: Setting) -> CrossTuned:
    tuning, folds = setting.task.tuning, setting.folds
    assert tuning is not None
    usual = LEARNING_RATES[tuning.depth, setting.modality]
    plan = TrainingPlan(
        epochs=int(setting.asked("epochs") or _epochs(len(folds.labels))),
        learning_rate=float(setting.asked("learning_rate") or usual),
        seed=setting.task.seed,
        classes=folds.classes,
        device=torch.device(tuning.device),
    )
    return CrossTuning(
        _suffix(setting, tuning),
        _rows(setting, tuning),
        folds,
        plan,
        report=setting.task.report,
        keep=tuning.keep,
        kept=tuning.kept,
    ).run()


def _suffix(setting: Setting, tuning: Tuning) -> Suffix:
    """What is tuned; of adapters those of the rank that is asked for."""
    rank, suffix = setting.asked("rank"), tuning.suffix
    return suffix.ranked(rank) if rank and isinstance(suffix, AdaptedSuffix) else suffix


def _rows(setting: Setting, tuning: Tuning) -> TuningRows:
    """What the part of the network reads of the examples, in canonical order."""
    support, folds = setting.support, setting.folds
    if support.texts is not None:
        return TextRows(support.texts, tuning.suffix, folds.labels, folds.balance)
    views = [view for view in support.features if read_by(tuning.depth, view)]
    first = mapped(PRIMARY["image"], tuning.depth)
    return PictureRows(
        [support.features[view] for view in sorted(views, key=lambda one: one != first)],
        folds.labels,
        folds.balance,
        together=BATCH if tuning.depth == "partial" else TOGETHER,
    )


def _epochs(examples: int) -> int:
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(VISITS / examples)))


def _chosen(
    folds: Folds, fitted: Fitted, tuned: CrossTuned, share: float | None, *, errors: float
) -> _Blend | None:
    """What makes the unseen labels likeliest; None where that is not so many standard errors
    better than the frozen heads alone.

    Of a `share` that was asked for only how far the weights are moved is chosen.
    """
    known, frozen = folds.known, fitted.out_of_fold.float()
    labels = folds.labels[known]
    cold = fitted.temperature
    if cold is None:
        cold = calibration.temperature(frozen[known], labels, per_class=folds.per_class)
    alone = _losses(frozen[known] / cold, labels)
    tried: list[tuple[float, _Blend]] = []
    for average, out_of_fold in tuned.out_of_fold.items():
        hot = _temperature(out_of_fold[known], labels)
        for one in SHARES if share is None else (share,):
            blend = _Blend(average, one, cold, hot)
            losses = _losses(_mixed(blend, frozen, out_of_fold)[known], labels)
            if share is not None or _is_gain(alone - losses, errors):
                tried.append((float(losses.mean()), blend))
    return min(tried, key=lambda one: one[0])[1] if tried else None


def _is_gain(gains: Tensor, errors: float) -> bool:
    """Whether the mean of gains [n] is above so many of its standard errors."""
    return bool(gains.mean() > errors * gains.std() / len(gains) ** 0.5)


def _temperature(logits: Tensor, labels: Tensor) -> float:
    return calibration.temperature(logits, labels, per_class=1, prior=PRIOR_TEMPERATURE)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p [n] of the labels, at the best temperature."""
    return torch.nn.functional.cross_entropy(
        logits / _temperature(logits, labels), labels, reduction="none"
    )


def _mixed(blend: _Blend, frozen: Tensor, tuned: Tensor) -> Tensor:
    old, new = _factors(blend)
    return old * frozen + new * tuned


def _pictures(setting: Setting, frozen: Fitted, tuned: CrossTuned, blend: _Blend) -> Fitted:
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
        used={**frozen.used, "tuned": _told(tuned, blend)},
        depth=tuning.depth,
    )


def _texts(setting: Setting, frozen: Fitted, tuned: CrossTuned, blend: _Blend) -> Fitted:
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
        by_class=frozen.by_class | beside.keys(),
        temperature=_temperature(mixed[folds.known], folds.labels[folds.known]),
        used={**frozen.used, "tuned": _told(tuned, blend)},
        depth=tuning.depth,
    )


_SCALED = ("weight", "bias", "bucket_weight")
"""What the logits of a text head are the sum of."""
_BLENDED = {"image": _pictures, "text": _texts}


def _factors(blend: _Blend) -> tuple[float, float]:
    """What the frozen and the tuned logits are multiplied by."""
    return (1 - blend.share) / blend.frozen, blend.share / blend.tuned


def _behind(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors, as they are stored."""
    return {
        f"{TUNED}.{name}": value.half() for name, value in own.items() if name not in (WEIGHT, BIAS)
    }


def _told(tuned: CrossTuned, blend: _Blend) -> dict[str, Any]:
    return {"average": blend.average, "share": blend.share, "epochs": tuned.epochs}


def _alone(setting: Setting, frozen: Fitted, why: str, tuned: CrossTuned | None = None) -> Fitted:
    message = f"The model is the frozen heads alone: {why}"
    setting.task.report({"type": "message", "level": "info", "message": message})
    said: Mapping[str, Any] = {"share": 0.0, "why": why}
    if tuned is not None:
        said = {**said, "epochs": tuned.epochs}
    return replace(frozen, used={**frozen.used, "tuned": said})
