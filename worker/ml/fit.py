"""The one entry point: a task of labelled embeddings in, a head with honest numbers out."""

from __future__ import annotations

from dataclasses import replace

from app.core import hyperparameters
from app.core.errors import HeadstartError
from app.core.modalities import is_mapped, is_pixels
from worker.ml.artifact import Fit
from worker.ml.features import spaces
from worker.ml.methods import METHODS, names_alone
from worker.ml.methods.finish import finish
from worker.ml.methods.setting import Setting
from worker.ml.multi_label import finish as multi_label
from worker.ml.tasks import Support, Task

__all__ = ["Fit", "Support", "Task", "fit"]


def fit(task: Task) -> Fit:
    """Fit `task.method`.

    Raises HeadstartError unknown_method | insufficient_classes | modality_mismatch | diverged.
    """
    method = hyperparameters.method_name(task.method)
    task = replace(task, method=method, support=_chosen_views(task))
    if task.support.marks is not None:
        return multi_label.fit(task)
    if names_alone.wanted(task):
        return names_alone.fit(replace(task, support=task.support.originals))
    if len(set(task.support.labels.tolist())) < 2:
        raise HeadstartError("insufficient_classes", param="training_file")
    setting = Setting.of(task)
    hyperparameters.check_modality(method, setting.modality)
    return finish(setting, METHODS[setting.modality][method](setting))


def _chosen_views(task: Task) -> Support:
    """The support with only the views that are asked for; the primary one is always there."""
    chosen = task.hyperparameters.get("views", "auto")
    features = task.support.features
    if chosen == "auto":
        return task.support
    maps = {view for view in features if is_mapped(view) or is_pixels(view)}
    return task.support.seen_as({spaces.primary(features), *chosen, *maps})
