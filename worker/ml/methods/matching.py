"""The method `matching`: attention over the support, its sharpness chosen out of fold.

Of very many examples it attends to the landmarks, as many of every class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worker.ml import folds
from worker.ml.features import spaces
from worker.ml.fitting import cross_fit
from worker.ml.fitting.design import Design, Designs
from worker.ml.methods import one_head
from worker.ml.methods.finish import Fitted, Setting, in_bytes
from worker.ml.solvers import matching

GRID = (5.0, 10.0, 20.0, 40.0)
USUAL = 10.0


def fit(setting: Setting, maker: Designs) -> tuple[Fitted, Tensor]:
    """The best space and sharpness by out-of-fold loss, and the Gram matrix of the landmarks."""
    few = maker.few()
    found = [
        (cross_fit.unseen_loss(seen, setting.judge), made, value, seen)
        for made in map(few.whole, one_head.recipes(setting))
        for value, seen in _seen(setting, maker, made)
    ]
    _, made, value, seen = min(found, key=lambda item: item[0])
    seen = seen - seen.mean(1, keepdim=True)
    scale = 1 / max(float(seen.std()), 1e-9)
    labels = made.judge.labels[made.owner]
    fitted = Fitted(
        channels=(made.channel,),
        tensors={
            "support": in_bytes(made.x),
            "support_weights": made.weights.float(),
            "support_labels": labels.to(torch.int32),
            "centre": made.centre.half(),
            "bias": torch.zeros(setting.judge.classes),
        },
        seen=seen * scale,
        used={
            "space": made.channel.space,
            "views": list(made.learned),
            "sharpness": value,
        },
        by_class=frozenset({"bias"}),
        labelled=frozenset({"support_labels"}),
        config={"sharpness": value, "scale": scale},
    )
    return fitted, made.own


def _seen(setting: Setting, maker: Designs, made: Design) -> list[tuple[float, Tensor]]:
    """Each sharpness with the logits [n, k] of the examples by the support without their fold."""
    given = setting.task.hyperparameters.get("sharpness", "auto")
    grid = GRID if setting.judge.count else (USUAL,)
    values = grid if given == "auto" else (float(given),)
    sharpness = torch.tensor(values, dtype=torch.double)
    support = spaces.unit(made.x)
    parts = [
        matching.logits(
            (spaces.unit(asked) @ support.T).double(),
            made.judge.labels[made.owner],
            _attended(setting, made, rows),
            sharpness=sharpness,
        )
        for rows, asked in maker.asked(made)
    ]
    return list(zip(values, torch.cat(parts, 1), strict=True))


def _attended(setting: Setting, made: Design, rows: Tensor) -> Tensor:
    """Weights [c, N]; an example does not attend to its own fold, or without folds to itself."""
    judge = setting.judge
    own = judge.fold if judge.count else torch.arange(len(judge.labels))
    supporting = own[folds.landmarks(judge)][made.owner]
    return made.weights * (own[rows][:, None] != supporting[None])
