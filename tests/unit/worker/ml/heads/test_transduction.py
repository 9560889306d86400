"""Smoothing over a batch: its laws, what it gains, and when it is left off."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.ml.heads import transduction


def batch(n: int, classes: int, *, seed: int, noise: float = 0.3) -> tuple[torch.Tensor, ...]:
    """Rows in as many clouds, unsure probabilities of them, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(classes, 16, generator=generator)
    labels = torch.arange(n) % classes
    rows = points[labels] + noise * torch.randn(n, 16, generator=generator)
    logits = torch.nn.functional.one_hot(labels, classes) + torch.randn(
        n, classes, generator=generator
    )
    return logits.softmax(1), rows, labels


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 60), classes=st.integers(2, 6), seed=st.integers(0, 99))
def test_probabilities_stay_probabilities_in_any_order(n: int, classes: int, seed: int) -> None:
    p, rows, _ = batch(n, classes, seed=seed)
    smooth = transduction.smoothed(p, rows, per_class=5)
    assert bool((smooth >= 0).all())
    torch.testing.assert_close(smooth.sum(1), torch.ones(n))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    turned = transduction.smoothed(p[order], rows[order], per_class=5)
    torch.testing.assert_close(turned, smooth[order], atol=1e-4, rtol=0)


def test_copies_and_rows_of_nothing_are_survived() -> None:
    p, _, _ = batch(30, 3, seed=0)
    for rows in (torch.zeros(30, 8), torch.ones(30, 8), torch.eye(30)):
        assert bool(transduction.smoothed(p, rows, per_class=1).isfinite().all())


def test_where_all_agree_nothing_changes() -> None:
    _, rows, _ = batch(40, 4, seed=1)
    same = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).expand(40, 4)
    smooth = transduction.smoothed(same, rows, per_class=1)
    torch.testing.assert_close(smooth, same, atol=1e-5, rtol=0)


def test_what_looks_alike_helps_the_unsure() -> None:
    p, rows, labels = batch(120, 4, seed=2)
    before = (p.argmax(1) == labels).double().mean()
    after = (transduction.smoothed(p, rows, per_class=2).argmax(1) == labels).double().mean()
    assert after > before + 0.1


def test_rows_beyond_a_block_have_their_neighbours_too(monkeypatch: pytest.MonkeyPatch) -> None:
    p, rows, _ = batch(90, 3, seed=3)
    whole = transduction.smoothed(p, rows, per_class=5)
    monkeypatch.setattr(transduction, "BLOCK", 7)
    torch.testing.assert_close(transduction.smoothed(p, rows, per_class=5), whole)


def why(p: torch.Tensor, per_class: float | None = 2.0) -> str | None:
    left = transduction.left_off(p, per_class=per_class)
    return None if left is None else left.code


def test_it_is_left_off_where_it_would_not_help() -> None:
    sure = torch.eye(4)
    balanced = sure[torch.arange(40) % 4]
    assert why(balanced) is None
    assert why(balanced[:11]) == "too_few_inputs"
    assert why(torch.eye(30)[torch.arange(60) % 30]) == "too_few_inputs"
    assert why(balanced, per_class=20.0) == "enough_examples"
    assert why(balanced, per_class=None) == "enough_examples"
    assert why(sure[torch.zeros(40, dtype=torch.long)]) == "unbalanced"


def test_balance_is_one_where_all_are_alike_and_falls() -> None:
    assert transduction.balance_of(torch.eye(4)) == pytest.approx(1)
    assert transduction.balance_of(torch.eye(4)[[0, 0, 0]]) == pytest.approx(0.25)
