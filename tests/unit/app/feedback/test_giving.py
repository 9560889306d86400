"""What is said of a prediction that the log has not."""

from __future__ import annotations

import time

import pytest

from app.core.ids import new_id
from app.feedback import giving


@pytest.mark.parametrize(
    ("behind", "code"),
    [(0.0, "in_flight"), (2.0, "in_flight"), (-60.0, "not_found"), (60.0, "not_found")],
)
def test_clocks_that_differ_a_little_tell_the_same(
    monkeypatch: pytest.MonkeyPatch, behind: float, code: str
) -> None:
    """The replica that answered has its own clock."""
    asked = new_id("pred_")
    now = time.time() - behind
    monkeypatch.setattr(giving.time, "time", lambda: now)
    assert giving._missing(asked).code == code
