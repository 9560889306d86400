"""From scores to probabilities, a class at a time: Platt scaling (Platt 1999), held back.

p = sigmoid(slope·score + offset). Few positives say little of a slope, so classes lend each other
theirs: each is drawn to the slope that fits all of them. Offsets are each class's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ml import threads

SLOPES = torch.logspace(-1.2, 1.2, 25, dtype=torch.double)
"""What slopes are looked for among, of scores whose deviation is one."""

PRIOR, PRIOR_SPREAD = 2.0, 0.5
"""The slope that is believed before any score is seen, and the deviation of its logarithm."""

SPREAD = 0.3
"""Deviation of the logarithm of a class's slope around that of all."""

STEPS = 12
MOST = 5000
"""Rows that are looked at."""


@dataclass(frozen=True)
class Platt:
    """Slopes and offsets [C]."""

    slope: Tensor
    offset: Tensor

    def probabilities(self, scores: Tensor) -> Tensor:
        """[n, C]."""
        return self.logits(scores).sigmoid()

    def logits(self, scores: Tensor) -> Tensor:
        """Of those probabilities [n, C]."""
        return scores.double() * self.slope + self.offset


def fit(scores: Tensor, marks: Tensor, judged: Tensor) -> Platt:
    """Of out-of-fold scores, marks and which of them count, [n, C] each.

    A class of which none counts has the slope believed of all, and is as probable on average as
    it is frequent.
    """
    scores, marks, judged = _some(scores, marks, judged)
    with threads.enough(scores.numel()):
        losses, offsets = _profile(scores, marks, judged, smoothed=True)
        losses = losses * judged.any(0)
        centre = _best(losses.sum(1, keepdim=True) + _prior(PRIOR, PRIOR_SPREAD)[:, None])
        slope = _best(losses + _prior(float(centre.values), SPREAD)[:, None])
        return Platt(slope.values, _read(offsets, slope))


def frequent(marks: Tensor) -> Tensor:
    """Offsets [C] that make each class as probable as it is frequent, whatever an input's score."""
    return _share(marks).logit()


def losses(scores: Tensor, marks: Tensor, judged: Tensor) -> Tensor:
    """[C]: mean -ln p of what counts, at each class's best slope and offset; 0 where none does."""
    scores, marks, judged = _some(scores, marks, judged)
    with threads.enough(scores.numel()):
        found, _ = _profile(scores, marks, judged, smoothed=False)
        return found.amin(0) / judged.sum(0).clamp(min=1)


def _some(*of: Tensor) -> tuple[Tensor, ...]:
    """Evenly spaced rows of many."""
    step = -(-len(of[0]) // MOST)
    return tuple(one[::step] for one in of)


def _prior(centre: float, spread: float) -> Tensor:
    return (SLOPES.log() - torch.tensor(centre).log()).square() / (2 * spread**2)


@dataclass(frozen=True)
class _Chosen:
    """Slopes [C] between grid points: `place` the one below, `share` how far to the next."""

    values: Tensor
    place: Tensor
    share: Tensor


def _best(losses: Tensor) -> _Chosen:
    """Where a parabola through the least of losses [G, C] and its neighbours is least."""
    last = len(SLOPES) - 1
    at = losses.argmin(0).clamp(1, last - 1)
    before, here, after = (losses.gather(0, (at + step)[None])[0] for step in (-1, 0, 1))
    bend = (before - 2 * here + after).clamp(min=1e-12)
    moved = (at + ((before - after) / (2 * bend)).clamp(-1, 1)).clamp(0, last)
    place = moved.floor().long().clamp(max=last - 1)
    step = SLOPES[1].log() - SLOPES[0].log()
    return _Chosen((SLOPES[0].log() + moved * step).exp(), place, moved - place)


def _read(offsets: Tensor, chosen: _Chosen) -> Tensor:
    low = offsets.gather(0, chosen.place[None])[0]
    high = offsets.gather(0, chosen.place[None] + 1)[0]
    return low + chosen.share * (high - low)


def _profile(
    scores: Tensor, marks: Tensor, judged: Tensor, *, smoothed: bool
) -> tuple[Tensor, Tensor]:
    """-ln p summed over what counts and the best offset, [G, C] each, at every slope."""
    targets = marks.double()
    if smoothed:
        targets = torch.where(judged.any(0), _smoothed(targets, judged.double()), _share(marks))
    counts = (judged | ~judged.any(0)).double()
    found = [_at(slope, scores.double(), targets, counts) for slope in SLOPES.tolist()]
    return torch.stack([loss for loss, _ in found]), torch.stack([b for _, b in found])


def _smoothed(targets: Tensor, counts: Tensor) -> Tensor:
    """Platt's targets [n, C]: what is seen, and one example more of either kind."""
    having = (targets * counts).sum(0)
    lacking = ((1 - targets) * counts).sum(0)
    return torch.where(targets > 0, (having + 1) / (having + 2), 1 / (lacking + 2))


def _share(marks: Tensor) -> Tensor:
    """How frequent each class is [C], kept off 0 and 1 by half an example."""
    return (marks.double().sum(0) + 0.5) / (len(marks) + 1)


def _at(slope: float, z: Tensor, targets: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """The loss [C] and the offset [C] that makes it least, by Newton's method on a convex loss."""
    total = counts.sum(0).clamp(min=1e-9)
    wanted = ((targets * counts).sum(0) / total).clamp(1e-4, 1 - 1e-4)
    offset = wanted.logit() - slope * (z * counts).sum(0) / total
    for _ in range(STEPS):
        p = (slope * z + offset).sigmoid()
        fall = ((p - targets) * counts).sum(0)
        bend = (p * (1 - p) * counts).sum(0)
        offset = offset - (fall / bend.clamp(min=1e-3)).clamp(-3, 3)
    logits = slope * z + offset
    loss = torch.nn.functional.softplus(logits) - targets * logits
    return (loss * counts).sum(0), offset
