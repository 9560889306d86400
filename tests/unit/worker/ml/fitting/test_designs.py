"""Designs of many examples against those of few, and their Gram matrices."""

from __future__ import annotations

import pytest
import torch

from tests.unit.worker.ml.tasks import LAYOUT, clouds
from worker.ml import folds
from worker.ml.features import spaces
from worker.ml.features.spaces import Channel
from worker.ml.fitting import cross_fit, design, designs
from worker.ml.fitting.design import Design
from worker.ml.fitting.designs import Designs, Recipe
from worker.ml.folds import Canonical, Folds

RECIPE = Recipe(space="late", views=("squish",))


def made(counts: list[int], recipe: Recipe = RECIPE) -> Design:
    support = Canonical.of(clouds(counts, noise=1.5, views=("squish", "mirror")), 0).support
    maker = Designs(spaces.transform(tuple(LAYOUT), None), support, Folds.of(support))
    return maker.make(recipe)


@pytest.fixture
def few_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows enough to span the made-up space, fewer than the examples; uneven chunks."""
    monkeypatch.setattr(folds, "MOST_DUAL", 240)
    monkeypatch.setattr(designs, "CHUNK", 77)


@pytest.mark.parametrize("counts", [[100, 100, 100], [200, 80, 40]])
def test_landmarks_that_span_the_space_change_no_fit(
    counts: list[int], request: pytest.FixtureRequest
) -> None:
    whole = made(counts)
    request.getfixturevalue("few_landmarks")
    many = made(counts)
    assert whole.many is None
    assert many.many is not None
    assert len(many.x) < len(whole.x) == sum(counts)
    l2 = torch.tensor([0.1, 1.0], dtype=torch.double)
    for one, other in zip(
        cross_fit.by_ridge(whole, whole.folds, l2),
        cross_fit.by_ridge(many, many.folds, l2),
        strict=True,
    ):
        torch.testing.assert_close(one.out_of_fold, other.out_of_fold, atol=3e-3, rtol=0)
        for mine, theirs in zip(
            whole.folded(one.alpha, one.bias), many.folded(other.alpha, other.bias), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-2, rtol=0.02)


def test_of_many_the_primary_view_asks_and_all_views_teach(few_landmarks: None) -> None:
    both = Recipe(space="late", views=("squish", "mirror"))
    rows, asked = made([100, 100, 100], both).many or ()
    assert rows.shape == asked.shape == (300, 240)
    assert not torch.equal(rows, asked)
    rows, asked = made([100, 100, 100]).many or ()
    assert torch.equal(rows, asked)


def test_a_large_gram_matrix_is_made_of_upper_blocks() -> None:
    x = torch.randn(2 * design.BLOCK + 90, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(design._inner(x), x @ x.T)


def test_coordinates_keep_inner_products() -> None:
    one = made([5, 5, 5])
    torch.testing.assert_close(one.factor @ one.factor.T, one.gram, atol=1e-4, rtol=1e-4)


def test_rows_that_differ_by_less_than_half_precision_are_one() -> None:
    support = clouds([3, 3])
    rows = torch.nn.functional.normalize(support.features["squish"].float()[:1], dim=1)
    near = rows + 1e-8 * torch.randn(6, rows.shape[1], generator=torch.Generator().manual_seed(0))
    found = design.design(
        [near], Folds.of(support), asked=None, channel=Channel("last", ("squish",)), learned=()
    )
    assert not bool(found.x.any())
