"""Label names as examples: "refund not showing up" says much about a class that has one example."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from app.core.manifest import Modality
from app.core.texts import composed

PROMPTS: Mapping[Modality, tuple[str, ...]] = {
    "image": ("a photo of a {}.", "{}"),
    "text": ("{}",),
}
"""What is said of a name where nobody says otherwise; several are averaged (Radford et al. 2021,
3.1.4).
"""

CHANCE = 0.02
"""Names are used when their hits would be this unlikely by chance."""

_BORDERS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


def readable(label: str) -> str:
    """A label as words: `Refund_not_showing_up` and `refundNotShowingUp` lose their joints."""
    return " ".join(word for word in _BORDERS.split(composed(label)) if word).lower() or label


def prompts(hyperparameters: Mapping[str, Any], modality: Modality) -> tuple[str, ...]:
    """Those that are asked for, each with `{}` where the name goes."""
    asked = hyperparameters.get("prompts", "auto")
    return PROMPTS[modality] if asked == "auto" else tuple(asked)


def said(label: str, prompt: str) -> str:
    """A label's name as the prompt has it; nothing else in it is a format."""
    return prompt.replace("{}", readable(label))


def helpful(names: Tensor, embeddings: Tensor, labels: Tensor) -> bool:
    """Whether the nearest of `names` [C, D] tells the class of `embeddings` [n, D] (unit rows).

    Hits are compared with those of the same predictions dealt to the examples at random. Names that
    pass by luck do no harm: they lie nearest to their own class's examples.
    """
    predicted = (embeddings @ names.T).argmax(1)
    hits = int((predicted == labels).sum())
    return _tail(hits, len(labels), _agreement(predicted, labels, len(names))) < CHANCE


def _agreement(predicted: Tensor, labels: Tensor, classes: int) -> float:
    """The share of hits when predictions are shuffled."""
    said = torch.bincount(predicted, minlength=classes).double()
    true = torch.bincount(labels, minlength=classes).double()
    return float((said * true).sum()) / max(1, len(labels)) ** 2


def _tail(hits: int, n: int, share: float) -> float:
    """P(X ≥ hits) of Binomial(n, share)."""
    if hits == 0 or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    terms = [_log_probability(k, n, share) for k in range(hits, n + 1)]
    top = max(terms)
    return math.exp(top) * sum(math.exp(term - top) for term in terms)


def _log_probability(k: int, n: int, share: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(share) + (n - k) * math.log1p(-share)
