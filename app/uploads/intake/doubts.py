"""What is doubtful about the labels of an upload: that they may be no labels at all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from app.core.manifest import Problem
from app.uploads.intake.names import shown

ENOUGH = 20
"""Examples from which on it is told that labels hardly repeat."""
_FRACTION = re.compile(r"[+-]?\d*[.,]\d+(?:[eE][+-]?\d+)?")
_ID = re.compile(r"(?=.*\d)[\w.:/-]+")


def of_labels(labels: Sequence[str]) -> Iterator[Problem]:
    """Warnings where labels look like measurements or ids instead of classes."""
    counts = Counter(labels)
    few = [label for label, count in counts.most_common()[-3:]]
    some = ", ".join(shown(label, 30) for label in few)
    fractions = sum(_is_fraction(label) for label in counts)
    if fractions > max(2, len(counts) // 2):
        yield _doubt(
            f"{fractions} of {len(counts)} labels are numbers with a fraction, as {some}: "
            "each is a class of its own; give ranges names to tell them apart"
        )
    elif len(labels) >= ENOUGH and 2 * len(counts) > len(labels) and _are_ids(counts):
        yield _doubt(
            f"{len(labels)} examples have {len(counts)} labels, such as {some}: "
            "is this the label's column, or one of ids?"
        )


def _are_ids(counts: Counter[str]) -> bool:
    return sum(_ID.fullmatch(label) is not None for label in counts) > 0.9 * len(counts)


def _is_fraction(label: str) -> bool:
    if _FRACTION.fullmatch(label.strip()) is None:
        return False
    return bool(re.split("[.,]", label.strip())[1].strip("0"))


def _doubt(message: str) -> Problem:
    return Problem(code="labels_doubtful", message=message)
