"""The stack gives what `serving.predict` gives, for any mix of heads in one batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from app.core import backbones
from worker.ml import fit
from worker.ml.features import whitening
from worker.ml.heads import scoring, scoring_numpy
from worker.ml.tasks import Support, Task

SPEC = backbones.EFFICIENTNET
GENERATOR = torch.Generator().manual_seed(0)
CENTRES = torch.rand(8, SPEC.width, generator=GENERATOR) * 2


def rows(labels: torch.Tensor) -> torch.Tensor:
    """Features like a backbone's: not negative, of all sizes, clustered by label."""
    noise = torch.rand(len(labels), SPEC.width, generator=GENERATOR)
    return CENTRES[labels] + noise


def head(classes: int, per_class: int, statistics: str | None) -> scoring.LiveHead:
    labels = torch.arange(classes).repeat(per_class)
    support = Support(
        features={"squish": rows(labels)},
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[f"ex_{place}" for place in range(len(labels))],
        classes=[f"class {label}" for label in range(classes)],
    )
    task = Task(
        method="auto",
        hyperparameters={},
        support=support,
        layout=SPEC.layout,
        backbone=SPEC.name,
        weights_sha256=statistics,
    )
    return scoring.load(fit.fit(task).head)


def shipped() -> str:
    """The weights that the shipped statistics of this backbone are for."""
    from safetensors import safe_open

    (path,) = whitening.FOLDER.glob(f"{SPEC.name}.*.safetensors")
    with safe_open(path, "pt") as file:
        return str(file.metadata()["weights_sha256"])


def check(heads: Sequence[scoring.LiveHead], features: torch.Tensor) -> None:
    laid = [scoring_numpy.stacked(one) for one in heads]
    assert all(laid)
    by_id = {id(one): made for one, made in zip(heads, laid, strict=True)}
    fast = scoring_numpy.predict(
        features.numpy(), [by_id[id(one)] for one in heads], layout=SPEC.layout
    )  # type: ignore[misc]
    slow = scoring.predict({"squish": features}, heads, layout=SPEC.layout)
    for quick, right in zip(fast, slow, strict=True):
        torch.testing.assert_close(
            torch.from_numpy(quick.probabilities), right.probabilities, atol=1e-4, rtol=1e-3
        )
        assert quick.familiarity == pytest.approx(right.familiarity, abs=2e-3)
        assert quick.unknown == right.unknown or abs(right.familiarity - 0.05) < 2e-3


@pytest.mark.parametrize("statistics", [None, shipped()])
def test_mixed_heads_answer_as_each_alone(statistics: str | None) -> None:
    heads = [head(2, 5, statistics), head(5, 2, statistics), head(7, 1, statistics)]
    order = [heads[place % 3] for place in range(11)]
    labels = torch.arange(11) % 8
    check(order, rows(labels))
    check([heads[0]] * 5, rows(labels[:5]))
    check([heads[1]], rows(labels[:1]))


def test_heads_with_and_without_statistics_share_a_batch() -> None:
    heads = [head(3, 4, None), head(3, 4, shipped())]
    check([heads[0], heads[1], heads[0], heads[1]], rows(torch.arange(4)))


def test_a_row_of_zeros_has_an_answer() -> None:
    one = head(3, 4, None)
    check([one, one], torch.zeros(2, SPEC.width))
