"""From a fit to what is saved and said of it: calibrated, judged, with a threshold and advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.ml.artifact import Fit, HeadArtifact, HeadConfig
from worker.ml.assess import (
    advice,
    calibration,
    distance_cooling,
    evaluation,
    intervals,
    near_copies,
    novelty,
)
from worker.ml.assess.answers import HeldOutAnswers
from worker.ml.assess.learning_curve import Point
from worker.ml.assess.novelty import NoveltyDetector
from worker.ml.features import spaces
from worker.ml.features.spaces import Transform
from worker.ml.folds import Folds, first_of_each
from worker.ml.heads import scoring
from worker.ml.lazily import lazily
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.tasks import Support

EXEMPLARS = 20
"""Support examples that are kept of each class, to compare inputs with."""

HALVED = ("weight", "bucket_weight", "tuned_weight")
"""Tensors that are stored in half precision."""

MOST_EXEMPLARS = 2000
"""Support examples in all that likeness thresholds are estimated from."""


def finish(setting: Setting, fitted: Fitted) -> Fit:
    """The head with classes in the caller's order, and everything that is said of it."""
    judged = _Judged(setting, fitted)
    head = _artifact(judged)
    answers = _answers(judged, head)
    return Fit(
        head=head,
        answers=answers,
        evaluation=_evaluation(judged, answers)
        | {"class_balance": _class_balance(judged)}
        | setting.said_of_mirrors
        | ({} if fitted.deeper is None else {"deeper": dict(fitted.deeper)}),
        hyperparameters=_resolved(judged),
        advice=_advice(judged),
    )


@dataclass(frozen=True)
class _Judged:
    """A fit with what its out-of-fold logits say of it."""

    setting: Setting
    fitted: Fitted

    @lazily
    def temperature(self) -> float:
        if self.fitted.temperature is not None:
            return self.fitted.temperature
        folds = self.setting.folds
        logits, labels = self.fitted.out_of_fold[folds.known], folds.labels[folds.known]
        return calibration.temperature(logits, labels, per_class=folds.per_class)

    @property
    def shares(self) -> tuple[float, ...]:
        """What each of several backbones counts for."""
        return self.fitted.shares or self.setting.shares

    @property
    def transform(self) -> Transform:
        """To what the head reads."""
        setting = self.setting
        return spaces.transform(tuple(setting.task.layout), setting.statistics, self.shares)

    @property
    def as_they_come(self) -> bool:
        """Whether classes are to be as likely as they are frequent, not equally likely."""
        return bool(self.setting.asked("class_balance") == "none")

    @lazily
    def adjustment(self) -> Tensor:
        """What puts the training frequencies back [C], where that is asked for."""
        folds = self.setting.folds
        if not self.fitted.balanced or not self.as_they_come:
            return torch.zeros(folds.classes, dtype=torch.double)
        return self.temperature * frequencies(folds.labels[folds.originals], folds.classes)

    @lazily
    def probabilities(self) -> Tensor | None:
        """Calibrated and out of fold [n, C]; None where there are no folds."""
        return self._calibrated(self.fitted.stated)

    @lazily
    def own_probabilities(self) -> Tensor | None:
        """The same by what was chosen for the head, which its threshold is of."""
        return self._calibrated(self.fitted.out_of_fold)

    def _calibrated(self, logits: Tensor) -> Tensor | None:
        if not self.setting.folds.count or not len(logits):
            return None
        added = self.adjustment[None].to(logits.dtype)
        if self.fitted.cooling is not None:
            added = distance_cooling.cooled(added, self.fitted.cooling)
        return ((logits + added) / self.temperature).softmax(1)

    @property
    def false_alarm(self) -> float:
        rate = self.setting.asked("unknown_false_alarm_rate")
        return novelty.FALSE_ALARM if rate is None else float(rate)


def frequencies(labels: Tensor, classes: int) -> Tensor:
    """Logit adjustment (Menon et al. 2021) [k] from equally likely classes to those of `labels`."""
    counts = torch.bincount(labels, minlength=classes).double()
    return (counts / counts.mean()).clamp(min=1e-3).log()


def _artifact(judged: _Judged) -> HeadArtifact:
    setting, fitted = judged.setting, judged.fitted
    canonical, labels = setting.canonical, setting.folds.labels
    kept = _exemplars(setting.folds)
    rows = judged.transform.novelty(setting.support.take(kept).features)
    tensors, divisor = stored(_in_callers_order(judged))
    tensors["exemplars"] = fitted.novelty.kept(rows)
    tensors["exemplar_labels"] = canonical.numbers(labels[kept]).to(torch.int32)
    config = HeadConfig(
        method=setting.task.method,
        classes=canonical.classes,
        temperature=judged.temperature / divisor,
        novelty=_detector(judged, kept, rows),
        false_alarm=judged.false_alarm,
        exemplar_ids=tuple(setting.support.ids[row] for row in kept.tolist()),
        statistics=setting.statistics,
        shares=judged.shares,
        channels=fitted.channels,
        attention=fitted.attention,
        lexical=fitted.lexical,
        depth=fitted.depth,
        pixel_scale=setting.task.pixel_scale,
    )
    return HeadArtifact(tensors=tensors, config=config)


def _in_callers_order(judged: _Judged) -> dict[str, Tensor]:
    """The head's tensors, adjusted."""
    fitted, canonical = judged.fitted, judged.setting.canonical
    tensors = dict(fitted.tensors)
    tensors["bias"] = tensors["bias"] + judged.adjustment.float()
    for name in fitted.by_class:
        tensors[name] = canonical.columns(tensors[name])
    for name in fitted.labelled:
        tensors[name] = canonical.numbers(tensors[name]).to(torch.int32)
    return tensors


def stored(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """The tensors with weights in half precision, and what they and the temperature are divided by

    so that they fit in: those on features that hardly differ are large.
    """
    named = [name for name in HALVED if name in tensors]
    largest = max((float(tensors[name].abs().max()) for name in named), default=0.0)
    divisor = max(1.0, largest / torch.finfo(torch.half).max)
    biases = [name for name in ("bias", "tuned_bias") if name in tensors]
    divided = {name: tensors[name] / divisor for name in (*named, *biases)}
    return {**tensors, **divided, **{name: divided[name].half() for name in named}}, divisor


def _exemplars(folds: Folds) -> Tensor:
    """None is an augmented copy: that would be like its original, as inputs are like neither."""
    rows = folds.originals
    labels = folds.labels[rows]
    most = max(1, min(EXEMPLARS, MOST_EXEMPLARS // max(1, len(torch.unique(labels)))))
    return rows[first_of_each(labels, most)]


def _detector(judged: _Judged, kept: Tensor, rows: Tensor) -> NoveltyDetector:
    """The threshold of `unknown`, from the scores of examples that their fit had not seen."""
    folds, evidence = judged.setting.folds, judged.fitted.novelty
    labels = folds.labels[kept]
    if judged.own_probabilities is None:
        cosine = novelty.between_classes(rows, labels)
        return novelty.fit_threshold(None, evidence.likeness(cosine, kept))
    top, predicted = evidence.confidence(judged.own_probabilities[kept])
    likeness = evidence.likeness(novelty.of_support(rows, labels, predicted), kept)
    known = folds.known[kept]
    return novelty.fit_threshold(top[known].float(), likeness[known])


def _evaluation(judged: _Judged, answers: HeldOutAnswers | None) -> dict[str, Any]:
    """On held-out examples, and out of fold unless the method held some out; else out of fold."""
    held_out = _held_out(judged)
    if answers is None or held_out is None:
        return _out_of_fold(judged)
    together = near_copies.merged(held_out.copies, held_out.groups)
    apart = len(together.unique()) / len(held_out.groups.unique())
    said = evaluation.evaluate(
        answers.probabilities, answers.labels, answers.classes, how="hold-out", apart=apart
    )
    if apart < 1:
        said["how"] = said["how"] | {"near_copies": "judged together"}
    said["how"] |= _contradicting(held_out.copies, answers)
    if judged.fitted.held_out is not None:
        return with_augmented(said, judged.setting)
    return said | {"out_of_fold": _out_of_fold(judged)}


def _answers(judged: _Judged, head: HeadArtifact) -> HeldOutAnswers | None:
    """To the held-out examples, or out of fold; None where there are neither."""
    held_out = _held_out(judged)
    if held_out is not None:
        rows = scoring.probabilities(
            head,
            held_out.features,
            layout=judged.setting.task.layout,
            texts=held_out.texts,
            suffix=judged.setting.task.suffix,
        )
        return HeldOutAnswers(
            ids=held_out.ids,
            labels=held_out.labels,
            classes=held_out.classes,
            probabilities=rows,
            known=torch.ones(len(held_out), dtype=torch.bool),
        )
    return _of_folds(judged)


def _of_folds(judged: _Judged) -> HeldOutAnswers | None:
    canonical, folds = judged.setting.canonical, judged.setting.folds
    if judged.probabilities is None:
        return None
    rows = folds.originals
    return HeldOutAnswers(
        ids=judged.setting.originals.ids,
        labels=canonical.numbers(folds.labels[rows]),
        classes=canonical.classes,
        probabilities=canonical.columns(judged.probabilities[rows]),
        known=folds.known[rows],
    )


def _held_out(judged: _Judged) -> Support | None:
    """What the method held out, or else the validation set; None where neither has an example."""
    held_out = judged.fitted.held_out or judged.setting.task.validation
    return held_out if held_out is not None and len(held_out) else None


def _out_of_fold(judged: _Judged) -> dict[str, Any]:
    canonical, folds = judged.setting.canonical, judged.setting.folds
    kept = folds.originals
    rows = torch.zeros(len(kept), folds.classes)
    if judged.probabilities is not None:
        rows = canonical.columns(judged.probabilities[kept])
    said = evaluation.evaluate(
        rows,
        canonical.numbers(folds.labels[kept]),
        canonical.classes,
        how="k-fold",
        folds=folds.count,
        known=folds.known[kept],
        apart=judged.setting.apart,
        grouped=judged.setting.grouped,
        growth=intervals.GROWTH[judged.setting.modality],
    )
    if judged.setting.copies_together:
        said["how"] = said["how"] | {"near_copies": "judged together"}
    if (answers := _of_folds(judged)) is not None:
        said["how"] |= _contradicting(judged.setting.originals.copies, answers)
    return with_augmented(said, judged.setting)


def _contradicting(copies: Tensor | None, answers: HeldOutAnswers) -> dict[str, Any]:
    """How many of the errors have a near copy under another label, where any have."""
    said = answers.probabilities.argmax(1)
    told = near_copies.contradicting(copies, answers.labels, said, answers.known)
    return {} if told is None else {"contradicting_copies": told}


def with_augmented(said: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """An evaluation out of fold, with how many examples were trained on alone, if any were."""
    count = len(setting.support) - len(setting.originals)
    return said | {"how": said["how"] | {"augmented_copies": count}} if count else said


def _class_balance(judged: _Judged) -> dict[str, Any]:
    """How uneven the classes are, and whether the fit heeded it."""
    support, balanced = judged.setting.originals, judged.fitted.balanced
    counts = torch.bincount(support.labels, minlength=len(support.classes)).tolist()
    equal = balanced and not judged.as_they_come
    return {
        "counts": dict(zip(support.classes, counts, strict=True)),
        "imbalance": max(counts) / max(1, min(counts)),
        "loss": "balanced" if balanced else "plain",
        "logit_adjustment": "equal classes" if equal else "training frequencies",
    }


def _resolved(judged: _Judged) -> dict[str, Any]:
    given = {k: v for k, v in judged.setting.task.hyperparameters.items() if v != "auto"}
    equal = judged.fitted.balanced and not judged.as_they_come
    return {
        **given,
        "unknown_false_alarm_rate": judged.false_alarm,
        "class_balance": "balanced" if equal else "none",
        "statistics": judged.setting.statistics,
        **judged.fitted.used,
    }


def _advice(judged: _Judged) -> dict[str, Any]:
    setting, support, folds = judged.setting, judged.setting.originals, judged.setting.folds
    rows, probabilities = folds.originals, judged.probabilities
    evidence = advice.Evidence(
        probabilities=None if probabilities is None else probabilities[rows].float(),
        labels=folds.labels[rows],
        groups=setting.told_groups[rows],
        copies_together=setting.copies_together,
        copies=support.copies,
        known=folds.known[rows],
        classes=support.classes,
        points=judged.fitted.curve,
        sets=_sets(judged),
        own=_own_point(judged),
        trained=folds.trained,
        growth=intervals.GROWTH[judged.setting.modality],
    )
    return advice.advise(evidence)


def _own_point(judged: _Judged) -> Point | None:
    """The fit's own accuracy out of fold, at what a fold's fit has of a class."""
    folds = judged.setting.folds
    if judged.probabilities is None or not bool(folds.known.any()):
        return None
    right = (judged.probabilities.argmax(1) == folds.labels)[folds.known]
    return Point(
        per_class=folds.per_class * folds.trained,
        accuracy=float(right.double().mean()),
        judged=len(right),
    )


def _sets(judged: _Judged) -> list[advice.Set]:
    """The support, and what was held out unless that is a part of it."""
    support, held_out = judged.setting.originals, _held_out(judged)
    sets = [_set(judged, support, "train")]
    if held_out is not None and not set(support.ids).issuperset(held_out.ids):
        sets.append(_set(judged, held_out, "validation"))
    return sets


def _set(judged: _Judged, support: Support, split: str) -> advice.Set:
    return advice.Set(rows=judged.transform.novelty(support.features), ids=support.ids, split=split)
