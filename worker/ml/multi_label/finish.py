"""From scores against the rest to what is saved and said: calibrated, judged, with thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from app.core.errors import HeadstartError
from worker.ml.artifact import Fit, HeadArtifact, HeadConfig
from worker.ml.assess import near_copies, novelty
from worker.ml.assess.advice import Evidence, Set
from worker.ml.assess.answers import MarkedAnswers
from worker.ml.assess.novelty import NoveltyDetector
from worker.ml.features import spaces
from worker.ml.features.spaces import Transform
from worker.ml.folds import first_of_each
from worker.ml.heads import scoring
from worker.ml.lazily import lazily
from worker.ml.methods import finish as of_one
from worker.ml.methods.setting import Fitted, Setting
from worker.ml.multi_label import advice, evaluation, mixture, platt, text, thresholds
from worker.ml.multi_label.figures import Answers
from worker.ml.multi_label.folds import MarkedFolds
from worker.ml.multi_label.platt import Platt
from worker.ml.multi_label.thresholds import CrossFitted
from worker.ml.tasks import Support, Task

MODALITIES = {"image": mixture.fit_auto, "text": text.fit_auto}
"""`auto` of each modality; the other methods have one way."""


def fit(task: Task) -> Fit:
    """Fit `task.method` on a support with marks.

    Raises HeadstartError insufficient_classes | label_mode_mismatch | modality_mismatch | …
    """
    marks = task.support.marks
    assert marks is not None
    setting = Setting.of(
        replace(task, support=_by_combination(task.support)), _folds, mixture.of_marks
    )
    folds = setting.folds
    assert isinstance(folds, MarkedFolds)
    if not bool(folds.learnable.any()):
        why = "no label is on some examples and missing on others: there is nothing to learn"
        raise HeadstartError("insufficient_classes", why, param="training_file")
    fitter = MODALITIES[setting.modality] if task.method == "auto" else mixture.fit_one
    return _finished(_Heads(task, setting, folds, fitter(setting, folds)))


def _by_combination(support: Support) -> Support:
    """Each combination of labels as a class of its own: what canonical order is made by."""
    assert support.marks is not None
    found, place = torch.unique(support.marks, dim=0, return_inverse=True)
    names = [str(number) for number in range(len(found))]
    return replace(support, labels=place, classes=names)


def _folds(support: Support) -> MarkedFolds:
    assert support.marks is not None
    return MarkedFolds.of_marks(support.marks, support.groups, support.augmented)


@dataclass(frozen=True)
class _Heads:
    """A fit with what its out-of-fold scores say of it; what is by class is in `task`'s order."""

    task: Task
    setting: Setting
    folds: MarkedFolds
    fitted: Fitted

    @lazily
    def scaled(self) -> Platt:
        """What makes probabilities of scores; of a class that cannot be learned, its frequency."""
        learnable = self.folds.learnable
        found = platt.fit(self.fitted.out_of_fold, self.folds.marks, self.folds.judged)
        return Platt(
            torch.where(learnable, found.slope, 0.0),
            torch.where(learnable, found.offset, platt.frequent(self.marks)),
        )

    @property
    def marks(self) -> Tensor:
        """[m, C] bool, of those that are no augmented copies."""
        return self.folds.marks[self.folds.originals]

    @lazily
    def thresholds(self) -> Tensor:
        """[C]."""
        return thresholds.best(
            self.scaled.probabilities(self.fitted.out_of_fold[self.folds.originals])
        )

    @lazily
    def cross_fitted(self) -> CrossFitted:
        """Probabilities and decisions that no fold had a part in."""
        return thresholds.cross_fitted(self.fitted.out_of_fold, self.folds)

    @property
    def shares(self) -> tuple[float, ...]:
        """What each of several backbones counts for."""
        return self.fitted.shares or self.setting.shares

    @property
    def transform(self) -> Transform:
        """To what the head reads."""
        statistics = self.setting.statistics
        return spaces.transform(tuple(self.task.layout), statistics, self.shares)

    @property
    def false_alarm(self) -> float:
        """The share of known inputs that may be called unknown."""
        rate = self.setting.asked("unknown_false_alarm_rate")
        return novelty.FALSE_ALARM if rate is None else float(rate)


def _finished(heads: _Heads) -> Fit:
    head = _artifact(heads)
    judged = _on_held_out(heads, head)
    return Fit(
        head=head,
        evaluation=_evaluation(heads, judged)
        | {"class_balance": _class_balance(heads)}
        | heads.setting.said_of_mirrors,
        answers=_answers(heads, judged),
        hyperparameters=_resolved(heads),
        advice=_advice(heads),
    )


def _artifact(heads: _Heads) -> HeadArtifact:
    setting, support = heads.setting, heads.setting.support
    most = max(1, min(of_one.EXEMPLARS, of_one.MOST_EXEMPLARS // (heads.folds.classes + 1)))
    originals = heads.folds.originals
    kept = originals[first_of_each(heads.folds.labels[originals], most)]
    rows = heads.transform.novelty(support.take(kept).features)
    tensors, divisor = of_one.stored(_scaled_tensors(heads))
    tensors["exemplars"] = heads.fitted.novelty.kept(rows)
    tensors["exemplar_marks"] = heads.folds.marks[kept].to(torch.uint8)
    config = HeadConfig(
        method=setting.task.method,
        classes=tuple(heads.task.support.classes),
        temperature=1 / divisor,
        novelty=_detector(heads, kept, rows),
        false_alarm=heads.false_alarm,
        exemplar_ids=tuple(support.ids[row] for row in kept.tolist()),
        statistics=setting.statistics,
        shares=heads.shares,
        channels=heads.fitted.channels,
        lexical=heads.fitted.lexical,
        pixel_scale=setting.task.pixel_scale,
        thresholds=tuple(float(value) for value in heads.thresholds),
    )
    return HeadArtifact(tensors=tensors, config=config)


def _scaled_tensors(heads: _Heads) -> dict[str, Tensor]:
    """The head's tensors with calibration in them: their logits are those of probabilities."""
    slope, offset = heads.scaled.slope, heads.scaled.offset
    tensors = dict(heads.fitted.tensors)
    for name in ("weight", "bucket_weight"):
        if name in tensors:
            tensors[name] = tensors[name] * slope.to(tensors[name].dtype)
    tensors["bias"] = (tensors["bias"].double() * slope + offset).float()
    return tensors


def _detector(heads: _Heads, kept: Tensor, rows: Tensor) -> NoveltyDetector:
    """By likeness alone: how sure heads against the rest are says nothing of the input's kind."""
    labels = torch.zeros(len(kept), dtype=torch.long)
    if len(kept) < 2:
        return novelty.fit_threshold(None, torch.ones(len(kept)))
    likeness = novelty.of_support(rows, labels, labels)
    return novelty.fit_threshold(None, heads.fitted.novelty.likeness(likeness, kept))


def _on_held_out(heads: _Heads, head: HeadArtifact) -> Answers | None:
    """The head's own answers to the validation set, where there is one."""
    held_out = heads.task.validation
    if held_out is None or not len(held_out):
        return None
    assert held_out.marks is not None
    found = scoring.probabilities(
        head, held_out.features, layout=heads.task.layout, texts=held_out.texts
    ).double()
    return Answers(
        scores=found,
        probabilities=found,
        said=found >= heads.thresholds,
        marks=held_out.marks,
        judged=torch.ones_like(held_out.marks) & heads.folds.learnable,
        groups=near_copies.merged(held_out.copies, held_out.groups),
        trained=None,
    )


def _evaluation(heads: _Heads, judged: Answers | None) -> dict[str, Any]:
    """On the validation set, and out of fold; without one, out of fold."""
    if judged is None:
        return _out_of_fold(heads)
    classes = heads.task.support.classes
    said = evaluation.evaluate(judged, classes, heads.thresholds, how="hold-out")
    return said | {"out_of_fold": _out_of_fold(heads)}


def _answers(heads: _Heads, judged: Answers | None) -> MarkedAnswers | None:
    """To the validation set, or out of fold; None where no fold judges anything."""
    held_out = heads.task.validation
    if judged is None or held_out is None:
        held_out, judged = heads.setting.originals, _crossed(heads)
    if not bool(judged.judged.any()):
        return None
    return MarkedAnswers(
        ids=held_out.ids,
        marks=judged.marks,
        said=judged.said,
        classes=heads.task.support.classes,
        probabilities=judged.probabilities,
        known=judged.judged.any(1),
    )


def _crossed(heads: _Heads) -> Answers:
    """Out of fold, of what is no augmented copy."""
    folds, crossed = heads.folds, heads.cross_fitted
    rows = folds.originals
    return Answers(
        scores=heads.fitted.out_of_fold[rows],
        probabilities=crossed.probabilities[rows],
        said=crossed.said[rows],
        marks=heads.marks,
        judged=folds.judged[rows],
        groups=heads.setting.support.groups[rows],
        trained=1 - 1 / max(2, folds.count),
    )


def _out_of_fold(heads: _Heads) -> dict[str, Any]:
    classes, folds = heads.task.support.classes, heads.folds
    said = evaluation.evaluate(
        _crossed(heads), classes, heads.thresholds, how="k-fold", folds=folds.count
    )
    if heads.setting.copies_together:
        said["how"] = said["how"] | {"near_copies": "judged together"}
    return of_one.with_augmented(said, heads.setting)


def _class_balance(heads: _Heads) -> dict[str, Any]:
    """How many have each class, and none."""
    counts = heads.marks.sum(0).tolist()
    return {
        "counts": dict(zip(heads.task.support.classes, counts, strict=True)),
        "negatives": int((~heads.marks.any(1)).sum()),
        "imbalance": max(counts) / max(1, min(counts)),
        "loss": "plain",
        "logit_adjustment": "training frequencies",
    }


def _resolved(heads: _Heads) -> dict[str, Any]:
    given = {name: told for name, told in heads.task.hyperparameters.items() if told != "auto"}
    return {
        **given,
        "unknown_false_alarm_rate": heads.false_alarm,
        "class_balance": "none",
        "statistics": heads.setting.statistics,
        **heads.fitted.used,
    }


def _advice(heads: _Heads) -> dict[str, Any]:
    setting, support, rows = heads.setting, heads.setting.originals, heads.folds.originals
    held_out = heads.task.validation
    sets = [_set(heads, support, "train")]
    if held_out is not None and len(held_out):
        sets.append(_set(heads, held_out, "validation"))
    copies = Evidence(
        probabilities=None,
        labels=support.labels,
        groups=setting.told_groups[rows],
        copies_together=setting.copies_together,
        copies=support.copies,
        known=heads.folds.known[rows],
        classes=(),
        points=(),
        sets=sets,
    )
    return advice.advise(
        advice.MarkedEvidence(
            probabilities=heads.cross_fitted.probabilities[rows],
            marks=heads.marks,
            judged=heads.folds.judged[rows],
            classes=heads.task.support.classes,
            copies=copies,
        )
    )


def _set(heads: _Heads, support: Support, split: str) -> Set:
    rows = heads.transform.novelty(support.features)
    return Set(rows=rows, ids=support.ids, split=split)
