"""What would help: more examples of which class, which labels to check, which pairs to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.ml.assess import label_errors, learning_curve
from worker.ml.assess import near_copies as copies
from worker.ml.assess.evaluation import ClassTally, tallied
from worker.ml.assess.intervals import GROWTH, Growth
from worker.ml.assess.label_errors import Suspects

MOST = 20
"""Items that each list has at most."""

ALONE = 0.35
"""What a class gains by growing alone, as a share of what it gains when all grow (measured)."""

LUCK = 0.42
"""Spread of that gain by which examples are added, over √(error(1-error)/examples) (measured)."""

LUCK_OF_ALL = 0.5
"""The same of what all classes gain together (docs/adr/0046)."""

FAR_OUT = 2.45
"""Standard deviations to 95% of a gain: Student's t of six degrees of freedom, as sets differ in
how well the law holds (docs/adr/0046)."""

LEAST_SPREAD = 0.003
"""Of any gain: further test inputs differ, too."""

BELIEF = 4.0
"""Examples' worth of belief that a class is like the others."""


@dataclass(frozen=True, kw_only=True)
class Set:
    """Unit rows [n, D] of the examples `ids`, of one split."""

    rows: Tensor
    ids: Sequence[str]
    split: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Calibrated out-of-fold `probabilities` [n, C] (None without folds), `labels` and `groups` [n]
    of the support, points of its learning curve and the model's `own`, and its examples as
    `sets[0]`, then other splits. Of the probabilities only `known` [n] are by a fit that had seen
    the example's class.
    """

    probabilities: Tensor | None
    labels: Tensor
    groups: Tensor
    known: Tensor
    classes: Sequence[str]
    points: Sequence[learning_curve.Point]
    sets: Sequence[Set]
    own: learning_curve.Point | None = None
    copies_together: bool = False
    """Whether near copies that `groups` does not tell of are judged together."""
    copies: Tensor | None = None
    """As `Support.copies`."""
    trained: float = 1.0
    """The share of the examples that the fits of `own` had."""
    growth: Growth = GROWTH["image"]

    @property
    def now(self) -> float:
        """Examples a class has, on average."""
        return len(self.labels) / len(self.classes)

    @property
    def present(self) -> learning_curve.Point | None:
        """What the model is expected to have today."""
        return self.own and learning_curve.today(self.own, self.now, self.trained, self.growth)

    @property
    def law(self) -> learning_curve.Law | None:
        """From the present."""
        return learning_curve.law(self.points, self.present, self.growth)


def advise(evidence: Evidence) -> dict[str, Any]:
    """Everything as JSON; lists are ordered by importance and may be empty."""
    return {
        "learning_curve": learning_curve.as_json(
            evidence.points, evidence.now, evidence.own, evidence.present, evidence.growth
        ),
        "more_of_all": more_of_all(evidence),
        "more_examples": more_examples(evidence),
        "confused": confused(evidence),
        "probably_mislabelled": mislabelled(evidence),
        "near_copies": near_copies(evidence),
        "near_duplicates": near_duplicates(evidence.sets),
    }


def more_of_all(evidence: Evidence) -> dict[str, Any] | None:
    """What as many examples again of every class should bring to the accuracy."""
    law, now = evidence.law, evidence.now
    if law is None:
        return None
    add = _some_more(now)
    fall, spread = law.fall(now, now + add)
    error = law.error(now)
    gain = error * fall
    luck = LUCK_OF_ALL * math.sqrt(error * (1 - error) / max(1, len(evidence.labels)))
    plus_minus = math.hypot(gain * law.level_spread, error * spread, luck, LEAST_SPREAD)
    said = f"{add} more of every class should bring {_points(gain, plus_minus)} of accuracy"
    return {
        "add": add,
        "gain": gain,
        "plus_minus": plus_minus,
        "low": gain - FAR_OUT * plus_minus,
        "high": min(error, gain + FAR_OUT * plus_minus),
        "message": said,
    }


def more_examples(evidence: Evidence) -> list[dict[str, Any]]:
    """What more examples of one class should bring to its F1, best first.

    As much as a share ALONE of what the learning curve's power law takes off its errors when all
    classes grow: to the accuracy of the others one class's growth does as much harm as good.
    """
    law = evidence.law
    if evidence.probabilities is None or law is None:
        return []
    tally = tallied(*_answers(evidence, evidence.probabilities), len(evidence.classes))
    errors = _class_errors(tally)
    items = [
        _gain(law, int(tally.support[c]), float(errors[c]), label)
        for c, label in enumerate(evidence.classes)
        if tally.support[c] > 0
    ]
    useful = [item for item in items if item["gain"] >= 0.005]
    return sorted(useful, key=lambda item: -float(item["gain"]))[:MOST]


def confused(evidence: Evidence) -> list[dict[str, Any]]:
    """Pairs of classes taken for one another at least twice, most often first."""
    if evidence.probabilities is None:
        return []
    said, true = _answers(evidence, evidence.probabilities)
    wrong = said != true
    low, high = torch.minimum(said, true)[wrong], torch.maximum(said, true)[wrong]
    pairs, counts = torch.unique(low * len(evidence.classes) + high, return_counts=True)
    order = counts.argsort(descending=True, stable=True)[:MOST].tolist()
    support = torch.bincount(true, minlength=len(evidence.classes))
    return [
        _pair(int(counts[at]), support, divmod(int(pairs[at]), len(support)), evidence.classes)
        for at in order
        if int(counts[at]) >= 2
    ]


def mislabelled(evidence: Evidence) -> list[dict[str, Any]]:
    """Examples whose label is probably wrong, most doubtful first, each with the reason."""
    if evidence.probabilities is None:
        return []
    found = label_errors.suspects(
        evidence.probabilities, evidence.labels.long(), evidence.known, evidence.sets[0].rows
    )
    return [_suspect(evidence, found, place) for place in range(len(found.rows))]


_TOGETHER = (
    "Copies are judged together, never one by a fit that has seen the other; name"
    " the source of each in `group` where you know better"
)
_APART = (
    "Where copies show the same thing, give them the same `group`, or the figures are too hopeful"
)


def near_copies(evidence: Evidence) -> dict[str, Any] | None:
    """Examples of the support that are much like another of their class but not of their group.

    Looked for among the first `copies.MOST`.
    """
    support = evidence.sets[0]
    cosines = copies.cosines(support.rows, evidence.labels, evidence.groups)
    n = len(cosines)
    sure = _same(evidence.copies, n) & (cosines > -1)
    near = sure | (cosines >= copies.ALIKE)
    count, contradicting = int(near.any(1).sum()), _contradicting(evidence)
    if count == 0 and contradicting is None:
        return None
    ranked = torch.where(near, cosines + 2.0 * sure, -1.0).triu(1).flatten()
    order = ranked.topk(min(MOST, count)).indices.tolist()
    pairs = [divmod(place, n) for place in order]
    what_now = _TOGETHER if evidence.copies_together else _APART
    wrong = "" if contradicting is None else f"{contradicting['message']}. "
    return {
        "count": count,
        "of": n,
        "pairs": [
            {"example_ids": [support.ids[a], support.ids[b]], "cosine": float(cosines[a, b])}
            for a, b in pairs
            if a < b and near[a, b]
        ],
        "judged_together": evidence.copies_together,
        "contradicting": contradicting,
        "message": f"{count} of {n} examples have a near copy in their class. {wrong}{what_now}",
    }


def _contradicting(evidence: Evidence) -> dict[str, Any] | None:
    """What of the errors out of fold are near copies under another label."""
    if evidence.probabilities is None:
        return None
    said, labels = evidence.probabilities.argmax(1), evidence.labels.long()
    return copies.contradicting(evidence.copies, labels, said, evidence.known)


def _same(told: Tensor | None, count: int) -> Tensor:
    """[n, n] bool, which of the first `count` are told to be copies of one another."""
    if told is None:
        return torch.eye(count, dtype=torch.bool)
    some = told[:count]
    return some[:, None] == some


def near_duplicates(sets: Sequence[Set]) -> list[dict[str, Any]]:
    """Pairs from different splits with a cosine of copies.ALIKE or more, most alike first."""
    pairs: list[dict[str, Any]] = []
    for place, first in enumerate(sets):
        for second in sets[place + 1 :]:
            pairs += _alike(first, second)
    return sorted(pairs, key=lambda item: -float(item["cosine"]))[:MOST]


def _answers(evidence: Evidence, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted and the true classes [n] of what was not seen in fitting."""
    return probabilities.argmax(1)[evidence.known], evidence.labels[evidence.known].long()


def _class_errors(tally: ClassTally) -> Tensor:
    """1 - F1 of each class [C], pulled to the mean: the worst of many is partly bad luck."""
    support, hits = tally.support.double(), tally.hits.double()
    errors = 1 - 2 * hits / (support + tally.predicted).clamp(min=1)
    present = support > 0
    return (support * errors + BELIEF * errors[present].mean()) / (support + BELIEF)


def _gain(law: learning_curve.Law, have: int, error: float, label: str) -> dict[str, Any]:
    add = _some_more(have)
    fall, spread = law.fall(have, have + add)
    gain = ALONE * error * fall
    luck = LUCK * math.sqrt(error * (1 - error) / have)
    plus_minus = math.hypot(ALONE * error * spread, luck)
    said = f"{add} more of `{label}` should bring its F1 {_points(gain, plus_minus)}"
    return {"label": label, "add": add, "gain": gain, "plus_minus": plus_minus, "message": said}


def _some_more(have: float) -> int:
    """As many again, 2 to 64."""
    return max(2, min(round(have), 64))


def _points(gain: float, plus_minus: float) -> str:
    """`+3 ± 1 points`, a decimal where whole points would hide the gain."""
    digits = 0 if gain >= 0.02 else 1
    return f"+{100 * gain:.{digits}f} ± {max(100 * plus_minus, 10**-digits):.{digits}f} points"


def _pair(
    count: int, support: Tensor, pair: tuple[int, int], classes: Sequence[str]
) -> dict[str, Any]:
    a, b = pair
    of = int(support[a] + support[b])
    return {
        "labels": [classes[a], classes[b]],
        "count": count,
        "share": count / max(1, of),
        "message": f"`{classes[a]}` and `{classes[b]}`: {count} of {of} taken for one another",
    }


def _suspect(evidence: Evidence, found: Suspects, place: int) -> dict[str, Any]:
    row, left = found.rows[place], found.left[place]
    label = evidence.classes[int(evidence.labels[row])]
    suggested = evidence.classes[found.suggested[place]]
    told = {
        "example_id": evidence.sets[0].ids[row],
        "label": label,
        "suggested": suggested,
        "probability": found.doubt[place],
    }
    said = f"fits that had not seen it leave {left:.1%} for `{label}`"
    if not found.compared:
        return told | {"out_of_fold_probability": left, "neighbours": None, "reason": said}
    sharing, suggesting = found.sharing[place], found.suggesting[place]
    near = f"of the {found.compared} examples most like it"
    return told | {
        "out_of_fold_probability": left,
        "neighbours": {"of": found.compared, "label": sharing, "suggested": suggesting},
        "reason": f"{said}; {near} {sharing} are `{label}` and {suggesting} `{suggested}`",
    }


def _alike(first: Set, second: Set) -> list[dict[str, Any]]:
    """At most MOST pairs; rows are compared a thousand at a time."""
    pairs = []
    for start in range(0, len(first.rows), 1000):
        cosines = first.rows[start : start + 1000] @ second.rows.T
        for a, b in (cosines >= copies.ALIKE).nonzero()[:1000].tolist():
            pairs.append((float(cosines[a, b]), first.ids[start + a], second.ids[b]))
    return [
        {"example_ids": [a, b], "splits": [first.split, second.split], "cosine": cosine}
        for cosine, a, b in sorted(pairs, reverse=True)[:MOST]
    ]
