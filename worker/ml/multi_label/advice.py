"""What would help heads against the rest: classes with too little, marks to check, copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.ml.assess import advice
from worker.ml.assess.advice import MOST, Evidence

WRONG = 0.05
"""Share of marks believed wrong before an example is looked at: each has one a class."""

FEW = 10
"""Examples that a class is to have before more are no longer asked for."""


@dataclass(frozen=True, kw_only=True)
class MarkedEvidence:
    """Calibrated out-of-fold probabilities, marks and which of them count, [n, C] each; `copies`
    is what near copies are told from.
    """

    probabilities: Tensor
    marks: Tensor
    judged: Tensor
    classes: Sequence[str]
    copies: Evidence


def advise(evidence: MarkedEvidence) -> dict[str, Any]:
    """Everything as JSON, in the shape of one label an example."""
    return {
        "learning_curve": None,
        "more_of_all": None,
        "more_examples": more_examples(evidence),
        "confused": confused(evidence),
        "probably_mislabelled": mislabelled(evidence),
        "near_copies": advice.near_copies(evidence.copies),
        "near_duplicates": advice.near_duplicates(evidence.copies.sets),
    }


def more_examples(evidence: MarkedEvidence) -> list[dict[str, Any]]:
    """Classes that few examples have, or nearly all; the fewest first."""
    n, having = len(evidence.marks), evidence.marks.sum(0).tolist()
    found = [_wanted(label, have, n) for label, have in zip(evidence.classes, having, strict=True)]
    return sorted((one for one in found if one), key=lambda one: -int(one["add"]))[:MOST]


def _wanted(label: str, have: int, n: int) -> dict[str, Any]:
    lack = n - have
    if have < FEW:
        said = f"{FEW - have} more with `{label}`: {have} of {n} have it"
        return {"label": label, "add": FEW - have, "without": False, "message": said}
    if lack < min(FEW, n):
        said = f"{FEW - lack} more without `{label}`: {have} of {n} have it, and what lacks it"
        said += " tells it apart"
        return {"label": label, "add": FEW - lack, "without": True, "message": said}
    return {}


def confused(evidence: MarkedEvidence) -> list[dict[str, Any]]:
    """Pairs of a label said wrongly and one that such examples have instead, most often first."""
    wrong = (evidence.probabilities >= 0.5) & ~evidence.marks & evidence.judged
    missed = (evidence.probabilities < 0.5) & evidence.marks & evidence.judged
    counts = wrong.double().T @ missed.double()
    both = counts + counts.T
    support = evidence.marks.sum(0)
    order = both.triu(1).flatten().argsort(descending=True, stable=True)[:MOST].tolist()
    pairs = [(int(both.flatten()[at]), *divmod(at, len(support))) for at in order]
    return [_pair(count, a, b, evidence) for count, a, b in pairs if count >= 2]


def _pair(count: int, a: int, b: int, evidence: MarkedEvidence) -> dict[str, Any]:
    first, second = evidence.classes[a], evidence.classes[b]
    of = int((evidence.marks[:, a] | evidence.marks[:, b]).sum())
    return {
        "labels": [first, second],
        "count": count,
        "share": count / max(1, of),
        "message": f"`{first}` and `{second}`: {count} of {of} have one and were said to have"
        " the other",
    }


def mislabelled(evidence: MarkedEvidence) -> list[dict[str, Any]]:
    """Marks that the fit that had not seen them denies, most certain first.

    By Bayes, as of one label: a share WRONG of marks is believed to be flipped.
    """
    p = evidence.probabilities.double()
    own = torch.where(evidence.marks, p, 1 - p)
    wrong = WRONG * (1 - own)
    doubt = evidence.judged * wrong / (wrong + (1 - WRONG) * own).clamp(min=1e-12)
    order = doubt.flatten().argsort(descending=True, stable=True)[:MOST].tolist()
    return [
        _suspect(evidence, divmod(at, doubt.shape[1]), float(doubt.flatten()[at]))
        for at in order
        if float(doubt.flatten()[at]) > 0.5
    ]


def _suspect(evidence: MarkedEvidence, place: tuple[int, int], doubt: float) -> dict[str, Any]:
    row, c = place
    now, better = evidence.marks[row], evidence.marks[row].clone()
    better[c] = not now[c]
    labels, suggested = _named(evidence, now), _named(evidence, better)
    return {
        "example_id": evidence.copies.sets[0].ids[row],
        "label": ", ".join(labels),
        "labels": labels,
        "doubted": evidence.classes[c],
        "suggested": ", ".join(suggested),
        "suggested_labels": suggested,
        "probability": doubt,
    }


def _named(evidence: MarkedEvidence, marks: Tensor) -> list[str]:
    return [evidence.classes[at] for at in torch.nonzero(marks)[:, 0].tolist()]
