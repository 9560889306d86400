"""Is a model still as good as it has to be? From inputs that were drawn at random and labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, fsum, log, log1p
from typing import Any

ENOUGH = 20.0
"""Evidence at which a fall is told: by chance it is ever reached at most once in twenty models."""
_BETS = 20


def said_right(answer: Mapping[str, Any], told: Mapping[str, Any]) -> bool | None:
    """Whether an answer is what feedback says; None where the feedback does not tell.

    `told` has `label`, `labels`, `correct` and `unknown`. An input of no class, or of one that the
    model does not have, was answered rightly by a model that called it unknown, or that said no
    label; one of its classes was not, however near it was to the right one.
    """
    if told["labels"] is not None:
        return set(answer.get("labels", [])) == set(told["labels"])
    if told["label"] is not None:
        return told["correct"] is not False and _is_meant(answer, told["label"])
    if told["unknown"]:
        return not answer["labels"] if "labels" in answer else bool(answer.get("unknown"))
    correct: bool | None = told["correct"]
    return correct


def _is_meant(answer: Mapping[str, Any], label: str) -> bool:
    """Whether the answer says the label, or that the input is of none where it is new."""
    if answer.get("unknown"):
        return label not in answer["scores"]
    return bool(answer["label"] == label)


def abstained(answer: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether the model called unknown what feedback says is of one of its classes."""
    return (
        told["label"] is not None
        and bool(answer.get("unknown"))
        and told["label"] in answer["scores"]
    )


def evidence_below(right: Sequence[bool], least: float) -> float:
    """How much the answers, in their order, speak for an accuracy below `least`.

    An e-process for the hypothesis that it is `least` or more: a bettor who starts with 1 and
    stakes on every answer being wrong has this now; whoever looks as often as they like sees 20 or
    more at most once in twenty times if the hypothesis holds (Ville 1939; Waudby-Smith and Ramdas
    2024, equal mixture of fixed bets).
    """
    most = 1.0 / max(1e-9, 1.0 - least)
    bets = [most * (place + 1) / (_BETS + 1) for place in range(_BETS)]
    hits = sum(right)
    misses = len(right) - hits
    gains = [
        hits * log(max(1e-300, 1.0 - bet * (1.0 - least))) + misses * log1p(bet * least)
        for bet in bets
    ]
    peak = max(gains)
    return exp(min(700.0, peak)) * fsum(exp(gain - peak) for gain in gains) / _BETS
