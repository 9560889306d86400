"""What a gate makes of an answer."""

from __future__ import annotations

from app.core.manifest import Example
from worker.trainer.inputs.asked import _verdicted

LISTED = [{"label": "a", "probability": 0.75}, {"label": "b", "probability": 0.25}]


def _example(label: str) -> Example:
    return Example(
        id="ex_0", sha256="0", label=label, group=None, path="0", pack="p", offset=0, length=1
    )


def test_the_true_label_has_its_probability_whoever_wins() -> None:
    said = {"label": "a", "probability": 0.75, "predictions": LISTED}
    told = _verdicted(said, _example("b"))
    assert (told.label, told.probability) == ("a", 0.25)
    assert _verdicted(said, _example("new")).probability == 0


def test_of_several_labels_each_keeps_its_probability() -> None:
    told = _verdicted({"labels": ["a"], "predictions": LISTED}, _example("b"))
    assert told.label == frozenset({"a"})
    assert told.probabilities == {"a": 0.75, "b": 0.25}
