"""What a tuning is said to cost before it is begun."""

from __future__ import annotations

import torch

from app.core.modalities import mapped
from tests.unit.worker.ml.tiny_network import seen, tiny_suffix
from worker.ml.tuning.cost import FEWEST_EPOCHS, MOST_EPOCHS, TuningPace, measured, planned_epochs
from worker.ml.tuning.cross_tuned import AVERAGES, ROUNDS
from worker.ml.tuning.rows import PictureRows


def test_epochs_are_fewer_of_more_examples() -> None:
    epochs = [planned_epochs(n) for n in (40, 900, 1500, 100_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[-1]) == (MOST_EPOCHS, FEWEST_EPOCHS)


def test_every_pass_over_an_example_is_counted() -> None:
    learned, judged = 1000.0, 1.0
    told = TuningPace(learned=learned, judged=judged).of_fit(60)
    epochs = planned_epochs(60)
    assert told // learned == ROUNDS * epochs * 40
    assert told % learned == ROUNDS * 40 + ROUNDS * epochs * 20 + len(AVERAGES) * 60


def test_a_pace_is_measured_and_leaves_the_network_as_it_is() -> None:
    suffix, support = tiny_suffix(), seen(4)
    before = {name: value.clone() for name, value in suffix.start.items()}
    rows = PictureRows(
        [support.features[mapped("squish")]], support.labels % 2, torch.ones(len(support))
    )
    pace = measured(suffix, rows, torch.device("cpu"))
    assert pace.learned > 0
    assert pace.judged > 0
    assert all(torch.equal(suffix.start[name], value) for name, value in before.items())
