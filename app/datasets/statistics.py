"""Examples counted by split and class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pydantic import BaseModel

from app.core import manifest
from app.core.manifest import Example, Split
from app.core.splits import ORDER
from app.datasets.schemas import ClassCount


class SplitCount(BaseModel):
    """The usable examples of one split."""

    split: Split
    num_examples: int
    classes: list[ClassCount]


def by_split(examples: Sequence[Example]) -> list[SplitCount]:
    """The splits that have examples, in the order train, val, test."""
    some: dict[Split, list[Example]] = defaultdict(list)
    for example in examples:
        some[example.split].append(example)
    return [
        SplitCount(split=split, num_examples=len(some[split]), classes=classes(some[split]))
        for split in ORDER
        if split in some
    ]


def classes(examples: Sequence[Example]) -> list[ClassCount]:
    """How many each label has."""
    return [ClassCount.model_validate(one) for one in manifest.class_counts(examples)]
