"""Probabilities smoothed over the inputs of one batch: those that look alike are called alike.

Label spreading (Zhou et al. 2004) of the head's own probabilities over a graph of each input's
nearest others. It needs no labels, gains where a head learned from few, and is wrong to use where
inputs come one by one (docs/adr/0036).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 5
SHARPNESS = 4.0
"""The power of a cosine that an edge counts."""

STRENGTH, STRENGTH_OF_FEW = 0.5, 0.7
"""Of the neighbours' say, and what it is where a class had FEW examples or fewer."""
FEW = 2.0

MOST_LEARNED = 12.0
"""Examples a class that a head learned from beyond which neighbours know no better than it does."""

LEAST_INPUTS = 20
LEAST_A_CLASS = 3.0
"""Inputs, in all and a class, below which a batch says nothing of what looks alike."""

LEAST_BALANCE = 0.6
"""e^entropy of the classes predicted over their number: below, some class outweighs the others."""

MOST_POWER = 8.0
STEPS = 20
BLOCK = 1000
"""Rows compared with all others at a time."""


@dataclass(frozen=True, kw_only=True)
class LeftOff:
    """Why inputs were answered one by one."""

    code: str
    message: str


OF_TEXTS = LeftOff(
    code="texts", message="measured to help pictures, and to harm some texts: these are as alone"
)


def left_off(probabilities: Tensor, *, per_class: float | None) -> LeftOff | None:
    """Why not to smooth the batch with these `probabilities` [n, k] of a head that learned from
    `per_class` examples a class; None where it should help.
    """
    n, classes = probabilities.shape
    if n < max(LEAST_INPUTS, LEAST_A_CLASS * classes):
        least = int(max(LEAST_INPUTS, LEAST_A_CLASS * classes))
        return LeftOff(
            code="too_few_inputs",
            message=f"{n} different inputs of {classes} classes, and {least} are needed",
        )
    if per_class is None or per_class > MOST_LEARNED:
        learned = "an unknown number of" if per_class is None else f"{per_class:.0f}"
        return LeftOff(
            code="enough_examples",
            message=f"the model learned from {learned} examples a class: it gains by at most "
            f"{MOST_LEARNED:.0f}",
        )
    return _unbalanced(probabilities)


def _unbalanced(probabilities: Tensor) -> LeftOff | None:
    balance = balance_of(probabilities)
    if balance >= LEAST_BALANCE:
        return None
    return LeftOff(
        code="unbalanced",
        message=f"the classes predicted are as uneven as {balance:.0%} of them in equal shares"
        f" would be, and smoothing wants {LEAST_BALANCE:.0%}: frequent classes may swallow rare"
        " ones; put the inputs in random order if they are sorted",
    )


def over(
    probabilities: Tensor, rows: Tensor, *, per_class: float | None
) -> tuple[Tensor, LeftOff | None]:
    """The probabilities [n, k] smoothed over `rows` [n, d]; or as they are, and why.

    The balance must hold before and after: of few examples the head spreads its errors over all
    classes, and neighbours show which of them swallows the others.
    """
    why = left_off(probabilities, per_class=per_class)
    if why is not None or per_class is None:
        return probabilities, why
    smooth = smoothed(probabilities, rows, per_class=per_class)
    why = _unbalanced(smooth)
    return (smooth, None) if why is None else (probabilities, why)


def balance_of(probabilities: Tensor) -> float:
    """e^entropy of the predicted classes' shares over the number of classes: 1 is all alike."""
    counts = torch.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]).double()
    return float(torch.special.entr(counts / counts.sum()).sum().exp()) / len(counts)


def smoothed(probabilities: Tensor, rows: Tensor, *, per_class: float) -> Tensor:
    """`probabilities` [n, k] spread over the nearest of `rows` [n, d], which need not be centred.

    (1 - s)·Σ (s·S)^t P, S the graph's weights over the roots of both ends' sums; then to the power
    at which they are as sure as they were on average, as means of probabilities are unsure.
    """
    strength = STRENGTH_OF_FEW if per_class <= FEW else STRENGTH
    ends, weight = _graph(_centred(rows))
    one, other = ends
    n = len(probabilities)
    degree = torch.zeros(n).index_add_(0, one, weight).clamp(min=1e-9)
    weight = (weight * (degree[one] * degree[other]) ** -0.5)[:, None]
    own = probabilities.float()
    spread = own
    for _ in range(STEPS):
        heard = torch.zeros_like(own).index_add_(0, one, weight * spread[other])
        spread = (1 - strength) * own + strength * heard
    return _as_sure(spread, float(own.max(1).values.mean()))


def _as_sure(spread: Tensor, confidence: float) -> Tensor:
    """The probabilities that powers of `spread` [n, k] are, whose largest are `confidence` on
    average; a power of 1 to MOST_POWER.
    """
    logits = spread.clamp(min=1e-12).log()
    low, high = 1.0, MOST_POWER
    for _ in range(20):
        middle = (low + high) / 2
        sure = float((middle * logits).softmax(1).max(1).values.mean())
        low, high = (middle, high) if sure < confidence else (low, middle)
    return (low * logits).softmax(1)


def _centred(rows: Tensor) -> Tensor:
    """Rows of length one about the batch's mean."""
    return torch.nn.functional.normalize(rows.float() - rows.float().mean(0), dim=1)


def _graph(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Ends [2, e] and weights [e] of edges, each there both ways, between nearest unit rows."""
    n = len(rows)
    near, cosine = [], []
    for start in range(0, n, BLOCK):
        found = rows[start : start + BLOCK] @ rows.T
        found[torch.arange(len(found)), torch.arange(start, start + len(found))] = -torch.inf
        best = found.topk(min(NEIGHBOURS, n - 1), 1)
        near.append(best.indices)
        cosine.append(best.values)
    to = torch.cat(near)
    own = torch.arange(n)[:, None].expand_as(to)
    weight = torch.cat(cosine).clamp(min=0).flatten() ** SHARPNESS
    low, high = torch.minimum(own, to).flatten(), torch.maximum(own, to).flatten()
    pairs, place = torch.unique(low * n + high, return_inverse=True)
    kept = torch.zeros(len(pairs)).scatter_reduce_(0, place, weight, "amax")
    a, b = pairs // n, pairs % n
    return torch.stack([torch.cat([a, b]), torch.cat([b, a])]), torch.cat([kept, kept])
