"""Heads and what they are judged by."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.ml.fitting import cross_fit


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_of_many_numbers_the_same_temperature_is_found_by_its_peak(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(12, 5, generator=generator, dtype=torch.double)
    labels = torch.randint(5, (12,), generator=generator)
    every = cross_fit.loss(logits, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_fit, "MOST_NUMBERS", 1)
        peak = cross_fit.loss(logits, labels)
    assert peak == pytest.approx(every, rel=1e-12)
