"""Query parameters of predictions: whatever they hold, the answer is a value or a 422."""

from __future__ import annotations

import pytest

from app.core.errors import HeadstartError
from app.predictions.options import read_options

HUGE = "9" * 400
WRONG = [HUGE, "9" * 5000, "-" + HUGE, "nan", "inf", "-inf", "1e999", "", "x", "0x1", "\xb2"]


@pytest.mark.parametrize("name", ["top_k", "unknown", "timeout"])
@pytest.mark.parametrize("value", WRONG)
def test_numbers_out_of_range_are_refused(name: str, value: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        read_options(f"{name}={value}", "")
    assert (caught.value.code, caught.value.param) == ("invalid_request", name)
