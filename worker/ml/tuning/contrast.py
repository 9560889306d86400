"""One training by pairs: examples of one label are drawn together, others apart (SetFit, Tunstall
et al. 2022), and a new layer is fitted to what comes of it.

A batch is of pairs of one label, each class as often as any other; all that it holds are compared
with each other, so that pairs of two labels need none of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from worker.ml.tuning.descent import Descent, probed
from worker.ml.tuning.rows import BATCH, Pass

FEWEST_PAIRS = 32
"""Of an epoch, however few the examples are."""


class ContrastiveDescent(Descent):
    """A training whose new layer learns nothing by itself: it is fitted again after each epoch."""

    @property
    def _pairs(self) -> int:
        """Of an epoch."""
        return max(FEWEST_PAIRS, math.ceil(len(self._seen) / 2))

    @property
    def steps(self) -> int:
        """In an epoch."""
        return math.ceil(2 * self._pairs / BATCH)

    def epoch(self, number: int, *, over: Callable[[], bool] = lambda: False) -> float:
        """The mean loss of one epoch's pairs. Raises diverged."""
        loss = super().epoch(number, over=over)
        layer = probed(
            self._suffix, self.average, self._rows, self._seen, classes=self._plan.classes
        )
        self.average |= {name: value.to(self._plan.device) for name, value in layer.items()}
        return loss

    def _batches(self, draw: torch.Generator) -> Sequence[Tensor]:
        places = pairs(self._rows.labels[self._seen], self._pairs, draw)
        batches: Sequence[Tensor] = self._seen[places].flatten().split(BATCH)
        return batches

    def _backward(self, rows: Tensor, draw: torch.Generator) -> float:
        parts = list(self._rows.drawn(rows, draw))
        with torch.enable_grad():
            return self._at_once(rows, parts[0]) if len(parts) == 1 else self._in_parts(rows, parts)

    def _at_once(self, rows: Tensor, part: Pass) -> float:
        places, inputs = part
        loss = self._contrast(self._embed(inputs), rows[places])
        loss.backward()
        return float(loss.detach())

    def _in_parts(self, rows: Tensor, parts: list[Pass]) -> float:
        """The same in the memory of a part: the loss's gradient at the embeddings first, then a
        second pass of each part with its own (Gao et al. 2021).
        """
        order = torch.cat([places for places, _ in parts])
        with torch.no_grad():
            x = torch.cat([self._embed(inputs) for _, inputs in parts])
        x.requires_grad_()
        loss = self._contrast(x, rows[order])
        loss.backward()
        assert x.grad is not None
        own = x.grad.split([len(places) for places, _ in parts])
        for (_, inputs), gradient in zip(parts, own, strict=True):
            self._embed(inputs).backward(gradient)
        return float(loss.detach())

    def _contrast(self, x: Tensor, rows: Tensor) -> Tensor:
        return contrast(x, self._rows.labels[rows], rows)


def pairs(labels: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """[count, 2] places of examples with one label each, and each label as often as any other.

    Who stands alone with its label is paired with itself, which says nothing.
    """
    own = [torch.nonzero(labels == label)[:, 0] for label in labels.unique()]
    share = math.ceil(count / len(own))
    made = torch.cat([_of_label(one, share, draw) for one in own])
    return made[torch.randperm(len(made), generator=draw)[:count]]


def _of_label(own: Tensor, share: int, draw: torch.Generator) -> Tensor:
    """[share, 2] of the places `own`, in rounds in which each is once first and once second."""
    rounds = []
    for _ in range(math.ceil(share / len(own))):
        order = own[torch.randperm(len(own), generator=draw)]
        apart = int(torch.randint(1, max(2, len(own)), (1,), generator=draw))
        rounds.append(torch.stack([order, order.roll(apart)], 1))
    return torch.cat(rounds)[:share]


def contrast(x: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    """Of embeddings [m, d] the mean squared distance of cosines from 1 between examples of one
    label and from 0 between others, both kinds alike; `rows` [m] says which are the same example.
    """
    unit = normalize(x, dim=1)
    cosines = unit @ unit.T
    same = (labels[:, None] == labels).to(x.device)
    itself = (rows[:, None] == rows).to(x.device)
    return (_mean((1 - cosines).square(), same & ~itself) + _mean(cosines.square(), ~same)) / 2


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Of the chosen ones; 0 of none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
