"""What the tensor process answers to `likeness`: how near each row lies to any of some others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from app.core.backbones import Block

_AT_ONCE = 1000


def likeness(rows: Tensor, others: Tensor, *, last: Block) -> dict[str, Any]:
    """The greatest cosine of each of `rows` [n, D] with any of `others` [m, D], in the last layer.

    `apart` is how far the others are from one another: the median of 1 - cosine to the nearest, of
    the first thousand; None for a lone one.
    """
    cut = slice(last.start, last.stop)
    few, many = normalize(rows[:, cut].float(), dim=1), normalize(others[:, cut].float(), dim=1)
    cosines: list[float] = []
    for start in range(0, len(few), _AT_ONCE):
        cosines += (few[start : start + _AT_ONCE] @ many.T).max(1).values.tolist()
    return {"cosines": cosines, "apart": _apart(many)}


def _apart(rows: Tensor) -> float | None:
    if len(rows) < 2:
        return None
    some = rows[:_AT_ONCE]
    among = (some @ rows.T).masked_fill(torch.eye(len(some), len(rows), dtype=torch.bool), -1.0)
    return float((1 - among.max(1).values).median())
