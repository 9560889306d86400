"""Seeded splits and folds that share out every class evenly and never part what belongs together.

What belongs together is one *unit*: equal contents, and all that carries the same group. The
result depends on the seed and on the examples, not on the order that they come in.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.manifest import Split
from app.core.texts import composed

ORDER: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Unit:
    """Examples that stay together: their positions, and how many of each label they have."""

    members: tuple[int, ...]
    counts: Mapping[str, int]
    rank: bytes


def units(keys: Sequence[str], groups: Sequence[str | None]) -> list[int]:
    """For each example the position of the first one that it must stay with.

    `keys` are content hashes; equal keys and equal groups are joined, chains included.
    A group is the same however its accents are composed.
    """
    parent = list(range(len(keys)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[tuple[str, str], int] = {}
    for at, (key, group) in enumerate(zip(keys, groups, strict=True)):
        for name in (("key", key), ("group", None if group is None else composed(group))):
            if name[1] is not None:
                one, other = root(first.setdefault((name[0], name[1]), at)), root(at)
                parent[max(one, other)] = min(one, other)
    return [root(at) for at in range(len(keys))]


def split(
    labels: Sequence[str | tuple[str, ...]],
    *,
    keys: Sequence[str],
    groups: Sequence[str | None],
    val: float,
    test: float,
    seed: int,
) -> list[Split]:
    """A split for each example of a label, or of several or none, with every label in train.

    Raises ValueError for bad shares.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise ValueError("val and test must be shares that leave something to train on")
    shares = (1 - val - test, val, test)
    names = [_counted(label) for label in labels]
    bundles = _bundles(names, keys=keys, groups=groups, seed=seed)
    quotas = _quotas(Counter(name for own in names for name in own), shares)
    for quota in quotas.values():
        _keep_one(quota)
    chosen = _share_out(bundles, quotas)
    _cover_train(bundles, chosen)
    return [ORDER[at] for at in _spread(bundles, chosen, len(labels))]


def folds(
    labels: Sequence[str],
    *,
    keys: Sequence[str],
    groups: Sequence[str | None],
    count: int,
    seed: int,
) -> list[int]:
    """A fold 0 … count-1 for each example. Raises ValueError below two folds."""
    if count < 2:
        raise ValueError("at least two folds are needed")
    bundles = _bundles([(label,) for label in labels], keys=keys, groups=groups, seed=seed)
    quotas = _quotas(Counter(labels), (1 / count,) * count)
    return _spread(bundles, _share_out(bundles, quotas), len(labels))


def _counted(label: str | tuple[str, ...]) -> tuple[str, ...]:
    """What the example counts for: without a label, for the empty one, which is shared out too."""
    return (label,) if isinstance(label, str) else label or ("",)


def _bundles(
    labels: Sequence[tuple[str, ...]],
    *,
    keys: Sequence[str],
    groups: Sequence[str | None],
    seed: int,
) -> list[Unit]:
    """The units, largest first, those of one size in an order that only the seed decides."""
    together: dict[int, list[int]] = defaultdict(list)
    for at, first in enumerate(units(keys, groups)):
        together[first].append(at)
    made = []
    for members in together.values():
        name = min((keys[at], groups[at] or "") for at in members)
        rank = hashlib.sha256(f"{seed}\0{name[0]}\0{name[1]}".encode()).digest()
        counts = Counter(name for at in members for name in labels[at])
        made.append(Unit(tuple(members), counts, rank))
    return sorted(made, key=lambda unit: (-len(unit.members), unit.rank))


def _quotas(counts: Mapping[str, int], shares: Sequence[float]) -> dict[str, list[int]]:
    """Whole numbers per label and bucket, within one of the exact share for each label and,
    what rounding left over being carried on from label to label, in all."""
    owed = [0.0] * len(shares)
    quotas: dict[str, list[int]] = {}
    for label in sorted(counts):
        count = counts[label]
        quota = [int(share * count + 1e-9) for share in shares]
        owed = [
            debt + share * count - has for debt, share, has in zip(owed, shares, quota, strict=True)
        ]
        ranked = sorted((at for at, share in enumerate(shares) if share), key=lambda at: -owed[at])
        for at in ranked[: count - sum(quota)]:
            quota[at] += 1
            owed[at] -= 1
        quotas[label] = quota
    return quotas


def _keep_one(quota: list[int]) -> None:
    """Leave at least one example of a label to train on."""
    if not quota[0]:
        largest = max(range(len(quota)), key=quota.__getitem__)
        quota[largest] -= 1
        quota[0] += 1


def _share_out(bundles: Sequence[Unit], quotas: dict[str, list[int]]) -> list[int]:
    """A bucket for each unit: where most of it still fits, then where most is still missing."""
    left = {label: list(quota) for label, quota in quotas.items()}
    buckets = range(len(next(iter(quotas.values()), [])))
    chosen: list[int] = []
    for unit in bundles:
        room = {at: _room(unit, left, at) for at in buckets}
        best = max(buckets, key=lambda at: (room[at], -at))
        for label, count in unit.counts.items():
            left[label][best] -= count
        chosen.append(best)
    return chosen


def _room(unit: Unit, left: Mapping[str, Sequence[int]], at: int) -> tuple[int, int]:
    fits = sum(min(count, max(0, left[label][at])) for label, count in unit.counts.items())
    return fits, sum(left[label][at] for label in unit.counts)


def _cover_train(bundles: Sequence[Unit], chosen: list[int]) -> None:
    """Move the smallest unit of each label that groups kept out of train into it."""
    trained = {
        label for unit, at in zip(bundles, chosen, strict=True) if at == 0 for label in unit.counts
    }
    for index in range(len(bundles) - 1, -1, -1):
        if not bundles[index].counts.keys() <= trained:
            chosen[index] = 0
            trained |= bundles[index].counts.keys()


def _spread(bundles: Sequence[Unit], chosen: Sequence[int], count: int) -> list[int]:
    """The units' buckets as one number for each example."""
    result = [0] * count
    for unit, at in zip(bundles, chosen, strict=True):
        for member in unit.members:
            result[member] = at
    return result
