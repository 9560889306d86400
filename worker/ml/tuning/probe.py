"""The new layer that tuning starts from: a linear probe of the frozen embedding."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from worker.ml import threads

L2 = 3e-3
"""λ of ½λ‖W‖² beside a mean loss, on embeddings whose mean square is one."""
_STEPS = 60


def probe(x: Tensor, labels: Tensor, weights: Tensor, *, classes: int) -> tuple[Tensor, Tensor]:
    """Logistic regression: weight [k, d] and bias [k] on embeddings [n, d] as they are.

    Deeper layers tuned from a random layer are first bent to it; from a fitted one they are not
    (LP-FT, Kumar et al. 2022).
    """
    centre = x.mean(0)
    scale = (x - centre).square().mean().sqrt().clamp(min=1e-8)
    z = (x - centre) / scale
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    share = (weights / weights.sum()).float()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (share * cross_entropy(z @ weight.T + bias, labels, reduction="none")).sum()
        loss = loss + L2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    with threads.enough(z.numel() * classes), torch.enable_grad():
        optimizer.step(closure)
    own = weight.detach() / scale
    return own, bias.detach() - own @ centre
