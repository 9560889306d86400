"""What a version's examples are, counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.core import manifest
from app.core.manifest import Example, Split
from app.core.splits import ORDER
from app.datasets.schemas import ClassCount
from app.infra.repositories.datasets import DatasetSnapshot


class SplitCount(BaseModel):
    """The usable examples of one split."""

    split: Split
    num_examples: int
    classes: list[ClassCount]


class VersionStatistics(BaseModel):
    """The usable examples of a version, counted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "dataset.statistics",
                    "dataset": "ds_01jd3v6s0q8m4f2k9x7c5b1n3a",
                    "version": 1,
                    "num_examples": 32,
                    "splits": [
                        {
                            "split": "train",
                            "num_examples": 32,
                            "classes": [
                                {"label": "crack", "count": 12},
                                {"label": "ok", "count": 20},
                            ],
                        }
                    ],
                }
            ]
        }
    )

    object: Literal["dataset.statistics"] = "dataset.statistics"
    dataset: str
    version: int
    num_examples: int
    splits: list[SplitCount]


def statistics_of(snapshot: DatasetSnapshot, examples: Sequence[Example]) -> VersionStatistics:
    """The version's, whose usable examples these are."""
    return VersionStatistics(
        dataset=snapshot.dataset.id,
        version=snapshot.version.number,
        num_examples=len(examples),
        splits=by_split(examples),
    )


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
