"""The methods that tune the network: a part of it or all, blended with frozen heads.

The frozen heads are those of `auto`. How much the tuned network counts beside them is chosen out of
fold, and nothing is its due: where it is not better beyond its noise, the model is the frozen
heads alone. `auto` itself does so where `depth` is "auto", and asks for more than noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from app.core import hyperparameters
from app.core.errors import HeadstartError
from app.core.hyperparameters import MethodSpec
from app.core.manifest import Modality
from app.core.modalities import PRIMARY, Depth, mapped, read_by
from worker.ml.assess.intervals import Z
from worker.ml.backbones.adapters import AdaptedSuffix
from worker.ml.backbones.suffix import Suffix
from worker.ml.methods import auto, blended, text
from worker.ml.methods.blended import TunedChoice
from worker.ml.methods.setting import Fitted, Method, Setting
from worker.ml.tasks import Tuning
from worker.ml.tuning.cost import planned_epochs
from worker.ml.tuning.cross_tuned import CrossTuned, CrossTuning
from worker.ml.tuning.descent import TrainingPlan
from worker.ml.tuning.rows import BATCH, TOGETHER, PictureRows, TextRows, TuningRows

LEARNING_RATES: Mapping[tuple[Depth, Modality], float] = {
    ("partial", "image"): 1e-3,
    ("lora", "image"): 1e-3,
    ("lora", "text"): 1e-3,
    ("full", "image"): 3e-4,
    ("full", "text"): 1e-4,
}
CONTRASTIVE_RATE, CONTRASTIVE_EPOCHS = 1e-3, 4
"""Of adapters that learn by pairs, and how many epochs at most: in each a text is held against
dozens of others.
"""
STANDARD_ERRORS: Mapping[Depth, float] = {"partial": 1.0, "lora": 2.0, "full": 2.0}
"""By how many of its own a gain has to be above nothing, to be taken."""
CONTRASTIVE_ERRORS = 3.0
"""Likewise of what is learned by pairs, which is sure of itself."""
FEWEST, FEWEST_CONTRASTED = 5, 3
"""Examples a class; of fewer nothing deeper is learned. By pairs a training, which has two thirds
of them, needs two.
"""
FEWEST_JUDGED = 30
"""Examples in all; of fewer a gain's error is no guide, and a few lucky answers out of fold would
do: networks that are tuned are sure of what they say wrongly, too.
"""
FROZEN: Mapping[Modality, Method] = {"image": auto.fit, "text": text.fit}


def fit(setting: Setting) -> Fitted:
    """The frozen heads, and beside them the tuned network as far as it is better. Raises
    diverged.
    """
    frozen, share = FROZEN[setting.modality](setting), setting.asked("share")
    method = _method(setting)
    assert method.depth is not None
    if share == 0:
        return _alone(setting, frozen, "that is the share that was asked for")
    errors = CONTRASTIVE_ERRORS if method.contrastive else STANDARD_ERRORS[method.depth]
    return _beside(setting, frozen, share, errors=errors)


def of_any_depth(setting: Setting) -> Fitted:
    """`auto`: the frozen heads, and where `depth` is "auto" the tuned network, if the gain that it
    brings is beyond its 95% interval; what goes wrong with it leaves the frozen heads.
    """
    task, frozen = setting.task, FROZEN[setting.modality](setting)
    if not hyperparameters.tries_deeper(task.hyperparameters):
        return frozen
    if task.tuning is None:
        return _alone(setting, frozen, task.not_tried)
    try:
        return _beside(setting, frozen, None, errors=Z)
    except HeadstartError as error:
        if error.code != "diverged":
            raise
        return _alone(setting, frozen, "its training diverged")


def _beside(setting: Setting, frozen: Fitted, share: float | None, *, errors: float) -> Fitted:
    folds = setting.folds
    least = FEWEST_CONTRASTED if _method(setting).contrastive else FEWEST
    if not folds.count or folds.per_class < least:
        return _alone(setting, frozen, "there are too few examples of a class")
    if share is None and folds.examples < FEWEST_JUDGED:
        return _alone(setting, frozen, "there are too few examples to judge it by")
    tuned = _tuned(setting)
    choice = blended.choose(setting, frozen, tuned, share, errors=errors)
    if share is None and not choice.beyond(errors):
        why = "tuned, the network was no better out of fold"
        return _alone(setting, frozen, why, tuned, choice)
    both = blended.blended(setting, frozen, tuned, choice)
    why = "that is the share that was asked for" if share else "it is better out of fold"
    _say(setting, f"The tuned network counts for {choice.blend.share:.1f}: {why}")
    return _told(setting, both, {**both.used["tuned"], "why": why}, tuned, choice)


def _tuned(setting: Setting) -> CrossTuned:
    tuning, folds = setting.task.tuning, setting.folds
    assert tuning is not None
    epochs = planned_epochs(len(folds.labels))
    rate = LEARNING_RATES[tuning.depth, setting.modality]
    contrastive = _method(setting).contrastive
    if contrastive:
        epochs, rate = min(epochs, CONTRASTIVE_EPOCHS), CONTRASTIVE_RATE
    plan = TrainingPlan(
        epochs=int(setting.asked("epochs") or epochs),
        learning_rate=float(setting.asked("learning_rate") or rate),
        seed=setting.task.seed,
        classes=folds.classes,
        device=torch.device(tuning.device),
        contrastive=contrastive,
    )
    return CrossTuning(
        _suffix(setting, tuning),
        _rows(setting, tuning),
        folds,
        plan,
        report=setting.task.report,
        keep=tuning.keep,
        kept=tuning.kept,
        budget=tuning.budget,
    ).run()


def _method(setting: Setting) -> MethodSpec:
    return hyperparameters.METHODS[setting.task.method]


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


def _alone(
    setting: Setting,
    frozen: Fitted,
    why: str,
    tuned: CrossTuned | None = None,
    choice: TunedChoice | None = None,
) -> Fitted:
    _say(setting, f"The model is the frozen heads alone: {why}")
    said: dict[str, Any] = {"share": 0.0, "why": why}
    if tuned is not None:
        said["epochs"] = tuned.epochs
    return _told(setting, frozen, said, tuned, choice)


def _say(setting: Setting, message: str) -> None:
    setting.task.report({"type": "message", "level": "info", "message": message})


def _told(
    setting: Setting,
    fitted: Fitted,
    said: Mapping[str, Any],
    tuned: CrossTuned | None,
    choice: TunedChoice | None,
) -> Fitted:
    """A fit with what was tried, at which cost, and what came of it."""
    tuning, asked = setting.task.tuning, setting.task.hyperparameters
    depth, budget = (tuning.depth, tuning.budget) if tuning is not None else (None, None)
    tried = setting.task.method if _method(setting).depth else depth
    deeper: dict[str, Any] = {"tried": tried, "taken": bool(said["share"]), "why": said["why"]}
    used = {**fitted.used, "tuned": {**said, "depth": depth}}
    if tuned is not None:
        deeper |= {"seconds": round(tuned.seconds, 1), "cut_short": tuned.cut_short}
    if choice is not None:
        deeper["log_loss"] = choice.as_json()
    if budget is not None:
        deeper["max_seconds"] = budget.seconds
    if hyperparameters.tries_deeper(asked):
        used["depth"] = "auto"  # so that a job made of this one tries again
    return replace(fitted, used=used, deeper=deeper)
