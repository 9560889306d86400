"""Classes by what they are called: weights in the space of embeddings, made of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.core.backbones import Block, taken_apart
from app.core.modalities import MODALITIES, PRIMARY
from worker.ml.features import spaces, whitening
from worker.ml.features.spaces import Channel
from worker.ml.tasks import Support, Task


@dataclass(frozen=True, kw_only=True)
class NamedClasses:
    """A weight [F, C] on a channel, in the caller's order: cosines with each class's name.

    `temperature` is that at which the network was taught to tell them apart.
    """

    channel: Channel
    weight: Tensor
    temperature: float
    layout: tuple[Block, ...]
    statistics: str | None

    @classmethod
    def of(cls, task: Task) -> NamedClasses | None:
        """Those of a task; None where its backbone reads no names."""
        names, layout = task.label_embeddings, tuple(task.layout)
        if names is None:
            return None
        modality = spaces.modality(task.support.features)
        statistics = whitening.find(task.backbone, task.weights_sha256)
        texts = MODALITIES[modality].read_by_heads
        space = "late" if texts and statistics else "last"
        if texts:
            weight = spaces.transform(layout, statistics)(space, names).T
        else:
            weight = _of_towers(names.float(), layout)
        return cls(
            channel=Channel(space, (PRIMARY[modality],)),
            weight=weight.contiguous(),
            temperature=1 / task.label_scale,
            layout=layout,
            statistics=statistics,
        )

    def logits(self, support: Support) -> Tensor:
        """Cosines [n, C] of examples with the names: nothing is learned of them."""
        transform = spaces.transform(self.layout, self.statistics)
        rows = transform(self.channel.space, support.features[self.channel.views[0]])
        return rows @ self.weight


def _of_towers(names: Tensor, layout: Sequence[Block]) -> Tensor:
    """[F, C] on `last`: the mean cosine of the parts that have names, whatever each part's share.

    Parts without any have zeros.
    """
    widths = [spaces.last_block(own).width for own in taken_apart(layout)]
    parts = [spaces.unit(own) for own in names.split(widths, 1)]
    named = sum(bool(own.any()) for own in parts)
    length = (1 / len(parts)) ** 0.5  # of a part's rows, beside the others'
    return torch.cat([own / (max(1, named) * length) for own in parts], 1).T
