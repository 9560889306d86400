from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import splits

pytestmark = pytest.mark.slow

EXAMPLES = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(0, 30).map(str),
        st.one_of(st.none(), st.integers(0, 6).map(str)),
    ),
    min_size=1,
    max_size=60,
)


def parts(examples: list[tuple[str, str, str | None]]) -> tuple[list[str], dict[str, list]]:
    labels = [label for label, _, _ in examples]
    return labels, {"keys": [key for _, key, _ in examples], "groups": [g for _, _, g in examples]}


def crossing(names: list[str | None], buckets: list) -> bool:
    where = defaultdict(set)
    for name, bucket in zip(names, buckets, strict=True):
        if name is not None:
            where[name].add(bucket)
    return any(len(found) > 1 for found in where.values())


@given(EXAMPLES, st.integers(0, 3))
def test_what_belongs_together_stays_together(examples: list, seed: int) -> None:
    labels, named = parts(examples)
    for buckets in (
        splits.split(labels, **named, val=0.2, test=0.3, seed=seed),
        splits.folds(labels, **named, count=3, seed=seed),
    ):
        assert len(buckets) == len(labels)
        assert not crossing(named["keys"], buckets)
        assert not crossing(named["groups"], buckets)


@given(EXAMPLES, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_the_seed_decides(examples: list, order: random.Random) -> None:
    labels, named = parts(examples)
    before = splits.split(labels, **named, val=0.25, test=0.25, seed=1)
    shuffled = list(range(len(examples)))
    order.shuffle(shuffled)
    labels, named = parts([examples[at] for at in shuffled])
    after = splits.split(labels, **named, val=0.25, test=0.25, seed=1)
    assert sorted(zip(shuffled, after, strict=True)) == list(enumerate(before))


@given(EXAMPLES)
def test_every_label_is_trained_on(examples: list) -> None:
    labels, named = parts(examples)
    chosen = splits.split(labels, **named, val=0.4, test=0.4, seed=0)
    assert {label for label, at in zip(labels, chosen, strict=True) if at == "train"} == set(labels)


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 40), min_size=1))
def test_single_examples_are_shared_out_exactly(counts: dict[str, int]) -> None:
    labels = [label for label, count in counts.items() for _ in range(count)]
    named = {"keys": [str(at) for at in range(len(labels))], "groups": [None] * len(labels)}
    chosen = splits.split(labels, **named, val=0.2, test=0.2, seed=0)
    held = Counter(zip(labels, chosen, strict=True))
    for label, count in counts.items():
        for name in ("val", "test"):
            assert abs(held[label, name] - 0.2 * count) <= 1 + 1e-9
    fold = Counter(zip(labels, splits.folds(labels, **named, count=5, seed=0), strict=True))
    for label, count in counts.items():
        assert {fold[label, at] for at in range(5)} <= {count // 5, -(-count // 5)}
    sizes = Counter(splits.folds(labels, **named, count=5, seed=0))
    assert max(sizes.values()) - min(sizes[at] for at in range(5)) <= 2


def test_seeds_differ() -> None:
    labels = ["a"] * 20 + ["b"] * 20
    named = {"keys": [str(at) for at in range(40)], "groups": [None] * 40}
    drawn = {tuple(splits.split(labels, **named, val=0.2, test=0.2, seed=at)) for at in range(5)}
    assert len(drawn) == 5


def test_groups_are_joined_through_equal_contents() -> None:
    assert splits.units(["x", "y", "x", "z"], ["p", "q", "q", None]) == [0, 0, 0, 3]


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="leave something"):
        splits.split(["a"], keys=["1"], groups=[None], val=0.5, test=0.5, seed=0)
    with pytest.raises(ValueError, match="two folds"):
        splits.folds(["a"], keys=["1"], groups=[None], count=1, seed=0)


def test_a_group_is_one_however_its_accents_are_composed() -> None:
    assert splits.units(["k", "l", "m"], ["caf\u00e9", "cafe\u0301", "cafe"]) == [0, 0, 2]
