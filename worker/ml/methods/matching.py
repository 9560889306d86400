"""The method `matching`: attention over the support, its sharpness chosen out of fold.

Of very many examples it attends to the landmarks, as many of every class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worker.ml.artifact import Attention
from worker.ml.features import spaces
from worker.ml.fitting import cross_fit
from worker.ml.fitting.design import Design
from worker.ml.folds import landmarks
from worker.ml.methods import one_head
from worker.ml.methods.setting import Fitted, Setting, in_bytes
from worker.ml.solvers import matching

GRID = (5.0, 10.0, 20.0, 40.0)
USUAL = 10.0


def fit(setting: Setting) -> Fitted:
    """The best space and sharpness by out-of-fold loss."""
    few = setting.designs.few()
    choices = [
        (cross_fit.out_of_fold_loss(logits, setting.folds), made, value, logits)
        for made in map(few.whole, one_head.recipes(setting))
        for value, logits in _out_of_fold(setting, made)
    ]
    _, made, value, logits = min(choices, key=lambda item: item[0])
    logits = logits - logits.mean(1, keepdim=True)
    scale = 1 / max(float(logits.std()), 1e-9)
    return Fitted(
        channels=(made.channel,),
        tensors=_tensors(setting, made),
        out_of_fold=logits * scale,
        used={"space": made.channel.space, "views": list(made.learned), "sharpness": value},
        by_class=frozenset({"bias"}),
        labelled=frozenset({"support_labels"}),
        attention=Attention(sharpness=value, scale=scale),
        curve=setting.ridge_curve(made.own),
    )


def _tensors(setting: Setting, made: Design) -> dict[str, Tensor]:
    return {
        "support": in_bytes(made.x),
        "support_weights": made.weights.float(),
        "support_labels": made.folds.labels[made.owner].to(torch.int32),
        "centre": made.centre.half(),
        "bias": torch.zeros(setting.folds.classes),
    }


def _out_of_fold(setting: Setting, made: Design) -> list[tuple[float, Tensor]]:
    """Each sharpness with the logits [n, k] of the examples by the support without their fold."""
    given = setting.asked("sharpness")
    grid = GRID if setting.folds.count else (USUAL,)
    values = grid if given is None else (float(given),)
    sharpness = torch.tensor(values, dtype=torch.double)
    support = spaces.unit(made.x)
    parts = [
        matching.logits(
            (spaces.unit(asked) @ support.T).double(),
            made.folds.labels[made.owner],
            _attended(setting, made, rows),
            sharpness=sharpness,
        )
        for rows, asked in setting.designs.asked(made)
    ]
    return list(zip(values, torch.cat(parts, 1), strict=True))


def _attended(setting: Setting, made: Design, rows: Tensor) -> Tensor:
    """Weights [c, N]; an example does not attend to its own fold, or without folds to itself."""
    folds = setting.folds
    own = folds.fold if folds.count else torch.arange(len(folds.labels))
    supporting = own[landmarks(folds)][made.owner]
    return made.weights * (own[rows][:, None] != supporting[None])
