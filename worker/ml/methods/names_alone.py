"""A head of names alone: nothing is learned from examples, all there are judge it (zero-shot).

Radford et al. 2021: each class is the mean of what the network makes of its name in some prompts;
an input's logits are its cosines with them, at the temperature of the network's own training. That
one number is all that examples may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from app.core import hyperparameters
from app.core.errors import HeadstartError
from worker.ml.artifact import Fit, HeadArtifact, HeadConfig
from worker.ml.assess import calibration, evaluation, novelty
from worker.ml.assess.answers import HeldOutAnswers
from worker.ml.assess.novelty import NoveltyDetector
from worker.ml.features import label_names, spaces
from worker.ml.heads import scoring
from worker.ml.methods.named_classes import NamedClasses
from worker.ml.tasks import Support, Task

NEVER = -1e6
"""A score that every input has: without examples nothing says what is unknown."""

NOTHING_TO_JUDGE = "not estimable: names alone made it, and there is no example to judge it by"


def wanted(task: Task) -> bool:
    """Whether names are to decide alone: if that is asked for, or a class has no example.

    Raises insufficient_classes for a class without an example that no name can stand in for.
    """
    if task.hyperparameters.get("label_names") == "alone":
        return True
    support = task.support
    counts = torch.bincount(support.labels, minlength=len(support.classes)).tolist()
    empty = [label for label, count in zip(support.classes, counts, strict=True) if not count]
    readable = task.label_embeddings is not None and task.method == "auto"
    if empty and not readable:
        some = ", ".join(empty[:5])
        why = f"no example of {some}: only `auto`, on a backbone that reads names, does without"
        raise HeadstartError("insufficient_classes", why, param="training_file")
    return bool(empty)


def fit(task: Task) -> Fit:
    """Raises insufficient_classes where there are fewer than two, or no names are read."""
    named = NamedClasses.of(task)
    if named is None or len(task.support.classes) < 2:
        why = "names alone tell classes apart on a backbone that reads names, if there are two"
        raise HeadstartError("insufficient_classes", why, param="training_file")
    head = _head(task, named)
    judging = _judging(task)
    answers = None if judging is None else _answers(task, head, judging)
    return Fit(
        head=head,
        answers=answers,
        evaluation=_evaluation(task, answers)
        | {"class_balance": _class_balance(task.support)}
        | _deeper(task),
        hyperparameters=_resolved(task, named),
        advice={},
    )


def _judging(task: Task) -> Support | None:
    """The held-out examples, else all others: nothing was learned from them either."""
    for some in (task.validation, task.support):
        if some is not None and len(some):
            return some
    return None


def _head(task: Task, named: NamedClasses) -> HeadArtifact:
    classes = tuple(task.support.classes)
    rows = spaces.transform(named.layout, named.statistics).novelty(_none(task.support))
    return HeadArtifact(
        tensors={
            "weight": named.weight.half(),
            "bias": torch.zeros(len(classes)),
            "exemplars": rows.to(torch.int8),
            "exemplar_labels": torch.zeros(0, dtype=torch.int32),
        },
        config=HeadConfig(
            method=task.method,
            classes=classes,
            temperature=_temperature(task.support, named),
            novelty=NoveltyDetector(
                spreads=novelty.LEAST_SPREAD,
                thresholds=(NEVER,) * len(novelty.RATES),
                estimable=False,
            ),
            statistics=named.statistics,
            channels=(named.channel,),
            pixel_scale=task.pixel_scale,
        ),
    )


def _none(support: Support) -> Mapping[str, Tensor]:
    return {view: rows[:0].float() for view, rows in support.features.items()}


def _temperature(support: Support, named: NamedClasses) -> float:
    """The network's own, held against what the examples say, if there are any."""
    return calibration.temperature(
        named.logits(support),
        support.labels,
        per_class=len(support) / len(support.classes),
        prior={1: named.temperature},
    )


def _answers(task: Task, head: HeadArtifact, judging: Support) -> HeldOutAnswers:
    rows = scoring.probabilities(head, judging.features, layout=task.layout, texts=judging.texts)
    return HeldOutAnswers(
        ids=judging.ids,
        labels=judging.labels,
        classes=tuple(task.support.classes),
        probabilities=rows,
        known=torch.ones(len(judging), dtype=torch.bool),
    )


def _evaluation(task: Task, answers: HeldOutAnswers | None) -> dict[str, Any]:
    if answers is None:
        return evaluation.none(task.support.classes, NOTHING_TO_JUDGE)
    said = evaluation.evaluate(
        answers.probabilities, answers.labels, answers.classes, how="hold-out"
    )
    return said | {"how": said["how"] | {"learned_from": "names alone"}}


def _deeper(task: Task) -> dict[str, Any]:
    """Why the network is not tuned, where that was asked for."""
    if not hyperparameters.tries_deeper(task.hyperparameters):
        return {}
    return {"deeper": {"tried": None, "taken": False, "why": task.not_tried}}


def _class_balance(support: Support) -> dict[str, Any]:
    counts = torch.bincount(support.labels, minlength=len(support.classes)).tolist()
    return {
        "counts": dict(zip(support.classes, counts, strict=True)),
        "imbalance": max(counts) / max(1, min(counts)),
        "loss": "none",
        "logit_adjustment": "equal classes",
    }


def _resolved(task: Task, named: NamedClasses) -> dict[str, Any]:
    given = {k: v for k, v in task.hyperparameters.items() if v != "auto"}
    modality = spaces.modality(task.support.features)
    return {
        **given,
        "names_alone": True,
        "prompts": list(label_names.prompts(task.hyperparameters, modality)),
        "statistics": named.statistics,
        "space": named.channel.space,
    }
