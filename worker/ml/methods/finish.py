"""From a fit to what is saved and said of it: calibrated, judged, with a threshold and advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from worker.ml import folds
from worker.ml.artifact import Fit, HeadArtifact
from worker.ml.assess import advice, calibration, evaluation, learning_curve, novelty, ridge_curve
from worker.ml.features import spaces
from worker.ml.features.spaces import Channel, Transform
from worker.ml.folds import Folds
from worker.ml.tasks import Support, Task

EXEMPLARS = 20
"""Support examples that are kept of each class, to compare inputs with."""

MOST_LOOKS = 2000
"""Support examples in all that likeness thresholds are estimated from."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A method's result on a support set in canonical order.

    `tensors` are the head's, with classes along the last dimension where `by_class` names them and
    class numbers where `labelled` does; `seen` [n, k] are logits to judge by (out of fold if there
    are folds, none at all if it has no rows); `used` is what "auto" became.
    """

    channels: tuple[Channel, ...]
    tensors: Mapping[str, Tensor]
    seen: Tensor
    used: Mapping[str, Any]
    by_class: frozenset[str] = frozenset({"weight", "bias"})
    labelled: frozenset[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    balanced: bool = True
    """Whether every class had the same say in the fit."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a fit took place: the task, its support in canonical order, folds, transform."""

    task: Task
    support: Support
    judge: Folds
    transform: Transform
    statistics: str | None

    @property
    def primary(self) -> str:
        """The view that every prediction has."""
        return spaces.primary(self.support.features)


def finish(setting: Setting, fitted: Fitted, *, gram: Tensor | None) -> Fit:
    """The head with classes in the caller's order, and everything that is said of it.

    `gram` are inner products in the main space, for the learning curve: of the examples, or of
    many the landmarks.
    """
    heat = _temperature(setting.judge, fitted)
    adjusted = _adjustment(setting, heat, fitted)
    probabilities = None
    if setting.judge.count and len(fitted.seen):
        probabilities = ((fitted.seen + adjusted) / heat).softmax(1)
    head = _artifact(setting, fitted, heat, adjusted, probabilities)
    return Fit(
        head=head,
        evaluation=_evaluation(setting, head, probabilities) | _balance(setting, fitted),
        hyperparameters=_resolved(setting, fitted),
        advice=_advice(setting, probabilities, gram),
    )


def _temperature(judge: Folds, fitted: Fitted) -> float:
    if fitted.temperature is not None:
        return fitted.temperature
    seen, labels = fitted.seen[judge.known], judge.labels[judge.known]
    return calibration.temperature(seen, labels, per_class=judge.per_class)


def _adjustment(setting: Setting, heat: float, fitted: Fitted) -> Tensor:
    """What puts the training frequencies back [k], where that is asked for."""
    if not fitted.balanced or not as_they_come(setting.task):
        return torch.zeros(setting.judge.classes, dtype=torch.double)
    return heat * frequencies(setting.judge.labels, setting.judge.classes)


def as_they_come(task: Task) -> bool:
    """Whether classes are to be as likely as they are frequent, not equally likely."""
    return bool(task.hyperparameters.get("class_balance", "auto") == "none")


def frequencies(labels: Tensor, classes: int) -> Tensor:
    """Logit adjustment (Menon et al. 2021) [k] from equally likely classes to those of `labels`."""
    counts = torch.bincount(labels, minlength=classes).double()
    return (counts / counts.mean()).clamp(min=1e-3).log()


def _artifact(
    setting: Setting,
    fitted: Fitted,
    heat: float,
    adjusted: Tensor,
    probabilities: Tensor | None,
) -> HeadArtifact:
    caller = list(setting.task.support.classes)
    order = [list(setting.support.classes).index(label) for label in caller]
    tensors = dict(fitted.tensors)
    tensors["bias"] = tensors["bias"] + adjusted.float()
    number = torch.tensor([caller.index(label) for label in setting.support.classes])
    for name in fitted.by_class:
        tensors[name] = tensors[name][..., order].contiguous()
    for name in fitted.labelled:
        tensors[name] = number[tensors[name].long()].to(torch.int32)
    kept = _kept(setting.judge.labels)
    looks = setting.transform.look(setting.support.take(kept).features)
    tensors["exemplars"] = in_bytes(looks)
    tensors["exemplar_labels"] = number[setting.judge.labels[kept]].to(torch.int32)
    config = {
        "format": 2,
        "method": setting.task.method,
        "classes": caller,
        "statistics": setting.statistics,
        "channels": [{"space": c.space, "views": list(c.views)} for c in fitted.channels],
        "prediction_views": list(dict.fromkeys(v for c in fitted.channels for v in c.views)),
        "temperature": heat,
        "unknown": novelty.stored(_detector(setting.judge, kept, looks, probabilities)),
        "unknown_false_alarm_rate": _false_alarm(setting.task),
        "exemplar_ids": [setting.support.ids[row] for row in kept.tolist()],
        **fitted.config,
    }
    return HeadArtifact(tensors=tensors, config=config)


def _kept(labels: Tensor) -> Tensor:
    most = max(1, min(EXEMPLARS, MOST_LOOKS // max(1, len(torch.unique(labels)))))
    return folds.first_of_each(labels, most)


def in_bytes(rows: Tensor) -> Tensor:
    """Rows [n, d] as int8, each scaled to use them all; only directions matter."""
    return (rows * (127 / rows.abs().amax(1, keepdim=True).clamp(min=1e-12))).round().to(torch.int8)


def _detector(
    judge: Folds, kept: Tensor, looks: Tensor, probabilities: Tensor | None
) -> novelty.Unknown:
    labels = judge.labels[kept]
    if probabilities is None:
        return novelty.fit_threshold(None, novelty.between_classes(looks, labels))
    top, predicted = novelty.confidence(probabilities[kept])
    likeness = novelty.of_support(looks, labels, predicted)
    known = judge.known[kept]
    return novelty.fit_threshold(top[known].float(), likeness[known])


def _false_alarm(task: Task) -> float:
    rate = task.hyperparameters.get("unknown_false_alarm_rate", "auto")
    return novelty.FALSE_ALARM if rate == "auto" else float(rate)


def _evaluation(
    setting: Setting, head: HeadArtifact, probabilities: Tensor | None
) -> dict[str, Any]:
    """On the validation set where there is one, else out of fold."""
    judge, validation = setting.judge, setting.task.validation
    if validation is not None and len(validation):
        from worker.ml.heads import scoring

        found = scoring.probabilities(head, validation.features, layout=setting.task.layout)
        said = evaluation.evaluate(found, validation.labels, validation.classes, how="hold-out")
    else:
        said = out_of_fold(
            setting.task, setting.support, probabilities, folds=judge.count, known=judge.known
        )
    return said


def out_of_fold(
    task: Task, support: Support, probabilities: Tensor | None, *, folds: int, known: Tensor
) -> dict[str, Any]:
    """What probabilities [n, C] of the canonical support say, its classes in the caller's order."""
    caller = list(task.support.classes)
    found = torch.zeros(len(support), len(caller))
    if probabilities is not None:
        found = probabilities[:, [support.classes.index(label) for label in caller]]
    number = torch.tensor([caller.index(label) for label in support.classes])
    labels = number[support.labels]
    return evaluation.evaluate(found, labels, caller, how="k-fold", folds=folds, known=known)


def _balance(setting: Setting, fitted: Fitted) -> dict[str, Any]:
    equal = fitted.balanced and not as_they_come(setting.task)
    return class_balance(setting.support, equal=equal, balanced=fitted.balanced)


def class_balance(support: Support, *, equal: bool, balanced: bool = True) -> dict[str, Any]:
    """How uneven the classes are, and whether the fit heeded it."""
    counts = torch.bincount(support.labels, minlength=len(support.classes)).tolist()
    said = {
        "counts": dict(zip(support.classes, counts, strict=True)),
        "imbalance": max(counts) / max(1, min(counts)),
        "loss": "balanced" if balanced else "plain",
        "logit_adjustment": "equal classes" if equal else "training frequencies",
    }
    return {"class_balance": said}


def _resolved(setting: Setting, fitted: Fitted) -> dict[str, Any]:
    given = {key: v for key, v in setting.task.hyperparameters.items() if v != "auto"}
    return {
        **given,
        "unknown_false_alarm_rate": _false_alarm(setting.task),
        "class_balance": "balanced"
        if fitted.balanced and not as_they_come(setting.task)
        else "none",
        "statistics": setting.statistics,
        **fitted.used,
    }


def _advice(setting: Setting, probabilities: Tensor | None, gram: Tensor | None) -> dict[str, Any]:
    support, judge = setting.support, setting.judge
    points: list[learning_curve.Point] = []
    if gram is not None and judge.count:
        points = ridge_curve.points(gram, judge.take(folds.landmarks(judge)))
    sets = [_set(setting.transform, support, "train")]
    validation = setting.task.validation
    own = set(support.ids)  # the textbook recipe holds out some of these
    if validation is not None and len(validation) and not own.issuperset(validation.ids):
        sets.append(_set(setting.transform, validation, "validation"))
    evidence = advice.Evidence(
        probabilities=None if probabilities is None else probabilities.float(),
        labels=judge.labels,
        groups=support.groups,
        known=judge.known,
        classes=support.classes,
        points=points,
        sets=sets,
    )
    return advice.advise(evidence)


def _set(transform: Transform, support: Support, split: str) -> advice.Set:
    return advice.Set(rows=transform.look(support.features), ids=support.ids, split=split)
