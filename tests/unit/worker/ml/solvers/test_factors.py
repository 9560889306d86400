"""Cholesky factors of what is positive definite, and of what rounding made indefinite."""

from __future__ import annotations

import pytest
import torch

from worker.ml.solvers.factors import cholesky


def near_copies(count: int = 200) -> torch.Tensor:
    """The inner products [n, n] of rows of which all but two are sums of these, rounded."""
    shares = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    rows = shares @ torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    return rows @ rows.T


def test_what_has_a_factor_gets_just_that() -> None:
    matrix = near_copies().double() + torch.eye(200)
    assert torch.equal(cholesky(matrix), torch.linalg.cholesky(matrix))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_of_near_copies_it_is_one_of_nearly_the_same_matrix(kind: torch.dtype) -> None:
    matrix = near_copies().to(kind)
    with pytest.raises(torch.linalg.LinAlgError):
        torch.linalg.cholesky(matrix)
    factor = cholesky(matrix)
    torch.testing.assert_close(factor @ factor.T, matrix, rtol=0, atol=1e-3)


def test_each_of_several_gets_no_more_than_it_needs() -> None:
    whole = torch.eye(200) * 2
    found = cholesky(torch.stack([whole, near_copies()]))
    assert torch.equal(found[0], torch.linalg.cholesky(whole))
    torch.testing.assert_close(found[1] @ found[1].T, near_copies(), rtol=0, atol=1e-3)


def test_nothing_at_all_has_a_factor() -> None:
    assert float(cholesky(torch.zeros(3, 3)).abs().max()) < 1e-9


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        cholesky(torch.full((3, 3), torch.nan))
