"""How one version of a dataset differs from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.manifest import Example
from app.datasets.looks.schemas import (
    ChangedExample,
    ChangedExamples,
    KeptExample,
    OnlyInOne,
    VersionDiff,
)

MOST = 1000
_TOLD = ("group", "split")


def diff_of(
    before: Sequence[Example],
    after: Sequence[Example],
    *,
    dataset_id: str,
    numbers: tuple[int, int],
) -> VersionDiff:
    """What is new, gone, relabelled and moved, in the versions' order; `numbers` are from and to.

    An example is the same where its content and its path are.
    """
    was, now = ({example.id: example for example in some} for some in (before, after))
    both = [(was[one.id], one) for one in after if one.id in was]
    relabelled = [pair for pair in both if pair[0].names != pair[1].names]
    moved = [
        pair for pair in both if pair[0].names == pair[1].names and _told(pair[0]) != _told(pair[1])
    ]
    return VersionDiff(
        dataset_id=dataset_id,
        from_version=numbers[0],
        to_version=numbers[1],
        unchanged=len(both) - len(relabelled) - len(moved),
        added=_only([one for one in after if one.id not in was]),
        removed=_only([one for one in before if one.id not in now]),
        relabelled=_changes(relabelled),
        moved=_changes(moved),
    )


def _told(example: Example) -> Mapping[str, Any]:
    several = example.labels is not None
    labels = {"labels": list(example.names)} if several else {"label": example.label}
    return {**labels, **{name: getattr(example, name) for name in _TOLD}}


def _only(examples: Sequence[Example]) -> OnlyInOne:
    shown = [
        KeptExample(id=one.id, path=one.path, label=one.caption, split=one.split)
        for one in examples[:MOST]
    ]
    return OnlyInOne(count=len(examples), examples=shown)


def _changes(pairs: Sequence[tuple[Example, Example]]) -> ChangedExamples:
    return ChangedExamples(count=len(pairs), examples=[_changed(*pair) for pair in pairs[:MOST]])


def _changed(before: Example, after: Example) -> ChangedExample:
    was, now = _told(before), _told(after)
    return ChangedExample(
        id=after.id,
        path=after.path,
        before={name: value for name, value in was.items() if now.get(name, was) != value},
        after={name: value for name, value in now.items() if was.get(name, now) != value},
    )
