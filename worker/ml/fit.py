"""The one entry point: a task of labelled embeddings in, a head with honest numbers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from app.core import hyperparameters
from app.core.errors import HeadstartError
from worker.ml import folds
from worker.ml.artifact import Fit, HeadArtifact
from worker.ml.features import spaces, whitening
from worker.ml.fitting.design import Designs, Recipe
from worker.ml.methods import auto, linear, matching, one_head, reptile, text
from worker.ml.methods.finish import Fitted, Setting, finish
from worker.ml.tasks import Support, Task

__all__ = ["Fit", "HeadArtifact", "Support", "Task", "fit"]

MOST_CHOOSING = 300
"""Of many examples, those that spaces are chosen on: more would choose the same."""


def fit(task: Task) -> Fit:
    """Fit `task.method`.

    Raises HeadstartError unknown_method | insufficient_classes | modality_mismatch | diverged.
    """
    method = hyperparameters.method_name(task.method)
    task = replace(task, method=method, support=_chosen_views(task))
    if len(set(task.support.labels.tolist())) < 2:
        raise HeadstartError("insufficient_classes", param="training_file")
    if method == "auto" and "text" in task.support.features:
        return text.fit(task)
    setting = _setting(task)
    if method == "linear":
        return linear.fit(setting)
    maker = Designs(setting.transform, setting.support, setting.judge)
    fitted, gram = _METHODS[method](setting, maker)
    return finish(setting, fitted, gram=gram)


def _chosen_views(task: Task) -> Support:
    """The support with only the views that are asked for; the primary one is always there."""
    chosen = task.hyperparameters.get("views", "auto")
    features = task.support.features
    if chosen == "auto":
        return task.support
    kept = {spaces.primary(features), *chosen}
    return replace(task.support, features={v: x for v, x in features.items() if v in kept})


def _setting(task: Task) -> Setting:
    statistics = whitening.find(task.backbone, task.weights_sha256)
    support = folds.canonical(task.support, task.seed)
    return Setting(
        task=task,
        support=support,
        judge=folds.judge(support),
        transform=spaces.transform(tuple(task.layout), statistics),
        statistics=statistics,
    )


def _auto(setting: Setting, maker: Designs) -> tuple[Fitted, Tensor]:
    average = setting.task.hyperparameters.get("prediction_views", "squish") == "all"
    recipes = auto.recipes(setting.support.features, average=average)
    if len(setting.support) > MOST_CHOOSING:
        recipes = _worth_it(setting, recipes)
    found = auto.fit(maker, setting.judge, recipes)
    return auto.fitted(found, setting.judge, setting.transform)


def _worth_it(setting: Setting, recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Of many examples: the spaces that count on some of them."""
    some = folds.first_of_each(setting.judge.labels, max(2, MOST_CHOOSING // setting.judge.classes))
    judge = setting.judge.take(some)
    maker = Designs(setting.transform, setting.support.take(some), judge)
    return auto.worthwhile(maker, judge, recipes)


_METHODS: Mapping[str, Callable[[Setting, Designs], tuple[Fitted, Tensor]]] = {
    "auto": _auto,
    "logistic": one_head.fit,
    "ridge": one_head.fit,
    "lda": one_head.fit,
    "prototypical": one_head.fit,
    "matching": matching.fit,
    "reptile": reptile.fit,
}
