"""The method `matching`: attention over the support, its sharpness chosen out of fold."""

from __future__ import annotations

import torch
from torch import Tensor

from worker.ml import blend, single, spaces
from worker.ml.design import Design, Judge, Maker
from worker.ml.heads import matching
from worker.ml.outcome import Fitted, Setting, in_bytes

GRID = (5.0, 10.0, 20.0, 40.0)
USUAL = 10.0


def fit(setting: Setting, maker: Maker) -> tuple[Fitted, Tensor]:
    """The best space and sharpness by out-of-fold loss, and the Gram matrix [n, n] there."""
    found = [
        (blend.loss(seen, setting.judge.labels), design, value, seen)
        for design in map(maker.whole, single.recipes(setting))
        for value, seen in _seen(setting, design)
    ]
    _, design, value, seen = min(found, key=lambda item: item[0])
    seen = seen - seen.mean(1, keepdim=True)
    scale = 1 / max(float(seen.std()), 1e-9)
    labels = setting.judge.labels[design.owner]
    fitted = Fitted(
        channels=(design.channel,),
        tensors={
            "support": in_bytes(design.x),
            "support_weights": design.weights.float(),
            "support_labels": labels.to(torch.int32),
            "centre": design.centre.half(),
            "bias": torch.zeros(setting.judge.classes),
        },
        seen=seen * scale,
        used={
            "space": design.channel.space,
            "views": list(design.learned),
            "sharpness": value,
        },
        by_class=frozenset({"bias"}),
        labelled=frozenset({"support_labels"}),
        config={"sharpness": value, "scale": scale},
    )
    return fitted, design.own


def _seen(setting: Setting, design: Design) -> list[tuple[float, Tensor]]:
    """Each sharpness with the logits [n, k] of the examples by the support without their fold."""
    given = setting.task.hyperparameters.get("sharpness", "auto")
    grid = GRID if setting.judge.count else (USUAL,)
    values = grid if given == "auto" else (float(given),)
    judge = setting.judge
    logits = matching.logits(
        _cosines(design, len(judge.labels)),
        judge.labels[design.owner],
        _attended(design, judge),
        sharpness=torch.tensor(values, dtype=torch.double),
    )
    return list(zip(values, logits, strict=True))


def _cosines(design: Design, n: int) -> Tensor:
    asked = design.x[:n] if design.asked is None else design.asked
    return (spaces.unit(asked) @ spaces.unit(design.x).T).double()


def _attended(design: Design, judge: Judge) -> Tensor:
    """Weights [n, N]; an example does not attend to its own fold, or without folds to itself."""
    own = judge.fold if judge.count else torch.arange(len(judge.labels))
    return design.weights * (own[:, None] != own[design.owner][None])
