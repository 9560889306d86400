"""What the Open Inference Protocol's documents say beside their tensors."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.predictions.inference_protocol import _levels


@pytest.mark.parametrize(
    ("given", "level", "levels"),
    [
        (None, None, {}),
        ({"threshold": 0.5, "sequence_id": 7}, 0.5, {}),
        ({"thresholds": {"card": 0.9}}, None, {"card": 0.9}),
        ({"thresholds": '{"card": 0.9}'}, None, {"card": 0.9}),
    ],
)
def test_thresholds_are_heeded(given: Any, level: float | None, levels: dict[str, float]) -> None:
    assert _levels({"parameters": given}) == {"level": level, "levels": levels}


@pytest.mark.parametrize("given", [{"top_k": 1}, {"treshold": 0.5}, [1]])
def test_other_wishes_are_refused(given: Any) -> None:
    with pytest.raises(HeadstartError):
        _levels({"parameters": given})
