"""Matching networks' classifier (Vinyals et al. 2016): attention over the support.

p(class | x) ∝ Σ over the class's rows of w·exp(g·cosine(x, row)).
"""

from __future__ import annotations

import torch
from torch import Tensor


def logits(cosine: Tensor, labels: Tensor, weights: Tensor, *, sharpness: Tensor) -> Tensor:
    """ln Σ w·exp(g·cosine) by class: [Λ, m, k] of cosines [m, n] and g [Λ].

    `weights` is [n], or [m, n] where each row attends to its own part of the support; zero is
    not attended to. A class with nothing to attend to gets the least finite number's logit.
    """
    classes = int(labels.max()) + 1
    weighted = sharpness[:, None, None] * cosine + weights.log()
    member = torch.nn.functional.one_hot(labels, classes).bool()
    by_class = [weighted[..., member[:, c]].logsumexp(-1) for c in range(classes)]
    return torch.stack(by_class, -1).clamp(min=-1e4)
