"""What a gate makes of an answer."""

from __future__ import annotations

import pytest

from app.core.errors import HeadstartError
from worker.trainer.inputs.asked import _verdicted

LISTED = [{"label": "a", "probability": 0.75}, {"label": "b", "probability": 0.25}]


def test_the_true_label_has_its_probability_whoever_wins() -> None:
    said = _verdicted({"label": "a", "probability": 0.75, "predictions": LISTED}, "b")
    assert (said.label, said.probability) == ("a", 0.25)
    assert _verdicted({"label": "a", "predictions": LISTED}, "new").probability == 0


def test_several_labels_are_not_compared_as_if_they_were_one() -> None:
    with pytest.raises(HeadstartError, match="one label"):
        _verdicted({"label": "a", "labels": ["a", "b"], "predictions": LISTED}, "")
