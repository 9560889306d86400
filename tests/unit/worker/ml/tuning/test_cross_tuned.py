"""Tuning in folds: it learns, the same seed gives the same, and a killed one goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from app.core.errors import HeadstartError
from app.core.modalities import TUNED_VIEWS, Depth, mapped
from tests.unit.worker.ml.tiny_network import seen, tiny_suffix
from worker.ml.folds import Folds
from worker.ml.tuning.cross_tuned import AVERAGES, CrossTuned, CrossTuning
from worker.ml.tuning.descent import TrainingPlan
from worker.ml.tuning.rows import BATCH, PictureRows, bytes_needed

pytestmark = pytest.mark.slow

EPOCHS = 4
State = dict[str, Tensor]


class KilledError(Exception):
    """The worker dies."""


def tuned(
    *,
    depth: Depth = "partial",
    seed: int = 0,
    rate: float = 1e-3,
    die_after: int | None = None,
    kept: Mapping[str, Tensor] | None = None,
    told: list[dict[str, Any]] | None = None,
    states: list[State] | None = None,
) -> CrossTuned:
    support = seen(12)
    suffix = tiny_suffix(depth)
    rows = PictureRows(
        [support.features[mapped(view, depth)] for view in TUNED_VIEWS],
        support.labels,
        torch.ones(len(support)),
        together=BATCH if depth == "partial" else 5,
    )
    plan = TrainingPlan(
        epochs=EPOCHS, learning_rate=rate, seed=seed, classes=3, device=torch.device("cpu")
    )

    def keep(state: State) -> None:
        if states is not None:
            states.append({name: value.clone() for name, value in state.items()})
            if len(states) == die_after:
                raise KilledError

    report = (lambda _event: None) if told is None else told.append
    folds = Folds.of(support)
    made = CrossTuning(suffix, rows, folds, plan, report=report, keep=keep, kept=kept)
    return made.run()


def test_every_example_is_judged_by_a_training_that_has_not_seen_it() -> None:
    made = tuned()
    labels = seen(12).labels
    assert set(made.out_of_fold) == set(AVERAGES)
    for rows in made.out_of_fold.values():
        assert float((rows.argmax(1) == labels).double().mean()) > 0.6
    assert len(made.epochs) == 3


def test_a_seed_is_an_answer() -> None:
    one, again, other = tuned(), tuned(), tuned(seed=1)
    torch.testing.assert_close(one.out_of_fold[1.0], again.out_of_fold[1.0], rtol=0, atol=0)
    assert not torch.equal(one.out_of_fold[1.0], other.out_of_fold[1.0])


@pytest.mark.parametrize("depth", get_args(Depth))
@pytest.mark.parametrize("die_after", [1, 3, 6, 9])
def test_a_killed_tuning_goes_on_to_the_same_end(die_after: int, depth: Depth) -> None:
    states: list[State] = []
    with pytest.raises(KilledError):
        tuned(depth=depth, die_after=die_after, states=states)
    unbroken, resumed = tuned(depth=depth), tuned(depth=depth, kept=states[-1])
    assert resumed.epochs == unbroken.epochs
    for average in AVERAGES:
        torch.testing.assert_close(resumed.out_of_fold[average], unbroken.out_of_fold[average])
        for name, value in unbroken.tensors[average].items():
            torch.testing.assert_close(resumed.tensors[average][name], value)


def test_it_tells_how_far_it_is_by_what_it_has_not_seen() -> None:
    told: list[dict[str, Any]] = []
    tuned(told=told)
    steps = [event["step"] for event in told]
    assert steps == sorted(steps)
    last = told[-1]["data"]
    assert last["steps"] == 3 * EPOCHS
    assert {"train_loss", "valid_loss", "valid_accuracy", "seconds_left"} <= set(last)


def test_a_rate_that_explodes_is_told() -> None:
    with pytest.raises(HeadstartError) as caught:
        tuned(rate=1e30)
    assert (caught.value.code, caught.value.param) == ("diverged", "learning_rate")


def test_more_examples_need_more_memory() -> None:
    suffix = tiny_suffix()
    needed = [bytes_needed(suffix, examples=n, vector=90) for n in (10, 1010)]
    assert needed[1] - needed[0] >= 1000 * 2 * len(TUNED_VIEWS) * suffix.cut.width * 2
