"""Learning by pairs: who is paired with whom, what is pulled and pushed, how a killed one ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.core.errors import HeadstartError
from tests.unit.worker.ml.tiny_encoder import tiny_texts
from worker.ml.backbones.suffix import Suffix
from worker.ml.folds import Folds
from worker.ml.tasks import Support
from worker.ml.tuning import rows as tuning_rows
from worker.ml.tuning.contrast import FEWEST_PAIRS, ContrastiveDescent, contrast, pairs
from worker.ml.tuning.cross_tuned import AVERAGES, CrossTuned, CrossTuning
from worker.ml.tuning.descent import BIAS, WEIGHT, TrainingPlan, behind, embedded, probed
from worker.ml.tuning.rows import TextRows

pytestmark = pytest.mark.slow

EPOCHS = 3
WORDS = ("red", "green", "white")
State = dict[str, Tensor]


class KilledError(Exception):
    """The worker dies."""


@pytest.fixture(scope="module")
def suffix() -> Suffix:
    return tiny_texts("lora")


def texts(count: int) -> list[str]:
    """Of three classes by turns, none as long as another."""
    return [f"a {WORDS[n % 3]} house{' by the sea' * (n % 4)} {n}" for n in range(count)]


def rows_of(suffix: Suffix, count: int) -> TextRows:
    return TextRows(texts(count), suffix, torch.arange(count) % 3, torch.ones(count))


def plan(**given: Any) -> TrainingPlan:
    told = {"epochs": EPOCHS, "learning_rate": 3e-3, "seed": 0, "classes": 3, **given}
    return TrainingPlan(device=torch.device("cpu"), contrastive=True, **told)


def trained(suffix: Suffix, count: int = 12, **given: Any) -> ContrastiveDescent:
    descent = ContrastiveDescent(
        suffix, rows_of(suffix, count), torch.arange(count), plan(**given), number=0
    )
    for number in range(EPOCHS):
        descent.epoch(number + 1)
    return descent


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


labelled = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(torch.tensor)


@given(labels=labelled, count=st.integers(1, 60), seed=st.integers(0, 9))
def test_a_pair_has_one_label_and_two_examples_where_there_are_two(
    labels: Tensor, count: int, seed: int
) -> None:
    made = pairs(labels, count, draw(seed))
    assert made.shape == (count, 2)
    first, second = made.T
    assert torch.equal(labels[first], labels[second])
    alone = torch.bincount(labels)[labels[first]] == 1
    assert torch.equal(first == second, alone)
    assert torch.equal(made, pairs(labels, count, draw(seed)))


@given(labels=labelled, rounds=st.integers(1, 5))
def test_every_label_has_as_many_pairs_as_any_other(labels: Tensor, rounds: int) -> None:
    present = labels.unique()
    made = pairs(labels, rounds * len(present), draw())
    counts = torch.bincount(labels[made[:, 0]], minlength=5)[present]
    assert set(counts.tolist()) == {rounds}


def test_no_example_waits_while_another_of_its_label_has_two_turns() -> None:
    labels = torch.tensor([0] * 6 + [1] * 2)
    made = pairs(labels, 2 * 9, draw())
    turns = torch.bincount(made[:, 0], minlength=8)
    assert set(turns[:6].tolist()) == {1, 2}
    assert set(turns[6:].tolist()) == {4, 5}


def test_examples_of_one_label_are_pulled_and_others_pushed() -> None:
    x = torch.nn.functional.normalize(torch.randn(8, 5, generator=draw()), dim=1)
    labels, numbers = torch.arange(8) % 2, torch.arange(8)
    moved = x.clone().requires_grad_()
    with torch.enable_grad():
        contrast(moved, labels, numbers).backward()
    assert moved.grad is not None
    after = torch.nn.functional.normalize(x - 0.1 * moved.grad, dim=1)
    same, before = labels[:, None] == labels, x @ x.T
    off = ~torch.eye(8, dtype=torch.bool)
    now = after @ after.T
    assert float(now[same & off].mean()) > float(before[same & off].mean())
    assert float(now[~same].square().mean()) < float(before[~same].square().mean())


@pytest.mark.parametrize(
    ("labels", "numbers"), [([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 1, 2]), ([0, 0], [4, 4])]
)
def test_where_there_is_nothing_to_compare_the_loss_is_a_number(
    labels: list[int], numbers: list[int]
) -> None:
    x = torch.randn(len(labels), 4, generator=draw(), requires_grad=True)
    with torch.enable_grad():
        loss = contrast(x, torch.tensor(labels), torch.tensor(numbers))
        loss.backward()
    assert x.grad is not None
    assert bool(loss.isfinite())
    assert bool(x.grad.isfinite().all())


def test_an_example_says_nothing_of_itself() -> None:
    x = torch.randn(4, 4, generator=draw())
    one = contrast(x, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 3]))
    twice = contrast(x[[0, 1, 2, 3, 3]], torch.tensor([0, 0, 1, 1, 1]), torch.arange(5))
    paired = contrast(x[[0, 1, 2, 2]], torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 2]))
    alone = contrast(x[[0, 1, 2]], torch.tensor([0, 0, 1]), torch.arange(3))
    assert float(twice) != float(one)
    torch.testing.assert_close(paired, alone)


def test_in_parts_it_is_the_same_step(suffix: Suffix, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is that of a part, the gradient that of the batch."""
    at_once = trained(suffix)
    monkeypatch.setattr(tuning_rows, "TOGETHER_TOKENS", 40)
    parts = len(list(rows_of(suffix, 12).drawn(torch.arange(12), draw())))
    assert parts > 2
    in_parts = trained(suffix)
    for name, value in at_once.tensors.items():
        torch.testing.assert_close(in_parts.tensors[name], value, rtol=1e-3, atol=1e-5)


def test_texts_of_one_label_come_together(suffix: Suffix) -> None:
    descent, rows = trained(suffix, learning_rate=3e-2), rows_of(suffix, 12)
    same = rows.labels[:, None] == rows.labels

    def gap(tensors: State) -> float:
        x = embedded(suffix, tensors, rows, torch.arange(12))
        return float((x @ x.T)[same].mean() - (x @ x.T)[~same].mean())

    assert gap(behind(descent.average)) > 2 * gap(dict(suffix.start)) > 0


def test_the_new_layer_is_fitted_to_what_the_network_gives_now(suffix: Suffix) -> None:
    descent, rows = trained(suffix), rows_of(suffix, 12)
    again = probed(suffix, descent.average, rows, torch.arange(12), classes=3)
    for name in (WEIGHT, BIAS):
        torch.testing.assert_close(descent.average[name], again[name])
        assert not torch.equal(descent.average[name], descent.start[name])


def test_of_few_examples_an_epoch_has_pairs_enough_and_of_many_each_example(
    suffix: Suffix,
) -> None:
    few, many = (
        ContrastiveDescent(suffix, rows_of(suffix, n), torch.arange(n), plan(), number=0)
        for n in (6, 4 * FEWEST_PAIRS)
    )
    seen = [torch.cat(list(one._batches(draw()))) for one in (few, many)]
    assert [len(one) for one in seen] == [2 * FEWEST_PAIRS, 4 * FEWEST_PAIRS]
    assert [one.steps for one in (few, many)] == [
        len(list(one._batches(draw()))) for one in (few, many)
    ]


def tuned(
    suffix: Suffix,
    *,
    seed: int = 0,
    rate: float = 3e-3,
    die_after: int | None = None,
    states: list[State] | None = None,
    kept: State | None = None,
) -> CrossTuned:
    rows = rows_of(suffix, 18)
    support = Support(
        features={"text": torch.zeros(18, 1)},
        labels=rows.labels,
        groups=torch.arange(18),
        ids=[str(n) for n in range(18)],
        classes=WORDS,
    )

    def keep(state: State) -> None:
        if states is not None:
            states.append({name: value.clone() for name, value in state.items()})
            if len(states) == die_after:
                raise KilledError

    return CrossTuning(
        suffix, rows, Folds.of(support), plan(seed=seed, learning_rate=rate),
        report=lambda _event: None, keep=keep, kept=kept,
    ).run()  # fmt: skip


@pytest.mark.parametrize("die_after", [1, 3, 6])
def test_a_killed_one_goes_on_to_the_same_end(suffix: Suffix, die_after: int) -> None:
    states: list[State] = []
    with pytest.raises(KilledError):
        tuned(suffix, die_after=die_after, states=states)
    unbroken, resumed = tuned(suffix), tuned(suffix, kept=states[-1])
    assert resumed.epochs == unbroken.epochs
    for average in AVERAGES:
        torch.testing.assert_close(resumed.out_of_fold[average], unbroken.out_of_fold[average])
        for name, value in unbroken.tensors[average].items():
            torch.testing.assert_close(resumed.tensors[average][name], value)


def test_a_seed_is_an_answer(suffix: Suffix) -> None:
    one, again, other = tuned(suffix), tuned(suffix), tuned(suffix, seed=1)
    torch.testing.assert_close(one.out_of_fold[1.0], again.out_of_fold[1.0], rtol=0, atol=0)
    assert not torch.equal(one.out_of_fold[1.0], other.out_of_fold[1.0])


def test_each_average_has_a_layer_of_its_own(suffix: Suffix) -> None:
    made = tuned(suffix)
    rows = rows_of(suffix, 18)
    for average in AVERAGES:
        own = dict(made.tensors[average])
        again = probed(suffix, own, rows, torch.arange(18), classes=3)
        torch.testing.assert_close(own[WEIGHT], again[WEIGHT])
    assert not torch.equal(*(made.tensors[average][WEIGHT] for average in AVERAGES))


def test_a_rate_that_explodes_is_told(suffix: Suffix) -> None:
    with pytest.raises(HeadstartError) as caught:
        tuned(suffix, rate=1e30)
    assert (caught.value.code, caught.value.param) == ("diverged", "learning_rate")
