"""Labels that are intervals of numbers, as pandas' and R's `cut` write them: `(0, 10]`, `[0, 10]`.

One whose ends are both open or both closed reads as a list of two numbers as well. All labels
together tell: lists overlap and have other lengths, the intervals of one cut do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.uploads.intake.names import shown

_NUMBER = r"([+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+|inf(?:inity)?))"
_INTERVAL = re.compile(rf"\s*([\[(])\s*{_NUMBER}\s*,\s*{_NUMBER}\s*([\])])\s*", re.IGNORECASE)
_ALONE = re.compile(rf"\s*{_NUMBER}\s*", re.IGNORECASE)
_PAIRS = ("[]", "()")


def ends(label: str) -> tuple[float, float] | None:
    """Where an interval begins and ends; None for what is none."""
    found = _INTERVAL.fullmatch(label)
    if found is None:
        return None
    low, high = float(found[2]), float(found[3])
    return (low, high) if low < high else None


def may_be_list(label: str) -> bool:
    """Whether an interval reads as a list of its two numbers as well."""
    found = _INTERVAL.fullmatch(label)
    return found is not None and found[1] + found[4] in _PAIRS and ends(label) is not None


def are_of_one_cut(labels: Sequence[str], *, least: int = 2) -> bool:
    """Whether the intervals among the labels, at least so many where none is half open, are parts
    of one range: they share no more than their ends, and no label is a number alone."""
    intervals = [label for label in labels if ends(label) is not None]
    sure = any(not may_be_list(label) for label in intervals)
    parts = sorted({told for label in intervals if (told := ends(label)) is not None})
    apart = all(one[1] <= other[0] for one, other in pairwise(parts))
    alone = any(_ALONE.fullmatch(label) for label in labels)
    return apart and not alone and (sure or len(parts) >= least)


def settle(said: Mapping[str, str], labels: Sequence[str], *, least: int) -> list[Problem]:
    """That the labels which tables have `said`, each with the row of one, and that may be lists of
    numbers are read as intervals, by all `labels`. Raises several_labels where they are lists."""
    doubtful = [label for label in said if may_be_list(label)]
    if not doubtful:
        return []
    if not are_of_one_cut(labels, least=least):
        where, label = said[doubtful[0]], shown(doubtful[0], 40)
        why = f"{where}: `label` is a list of numbers as a text, {label}; one label is read"
        raise HeadstartError("several_labels", why, param=where)
    some = ", ".join(repr(shown(label, 40)) for label in doubtful[:3])
    message = f"{len(doubtful)} label(s) are read as intervals of numbers, such as {some}: one "
    message += "class each; if they are lists of labels, send label_mode=multi_label"
    return [Problem(code="column_assumed", message=message)]
