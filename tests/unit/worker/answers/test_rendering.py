"""The JSON of an answer, written by hand, is the JSON that a parser reads."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.messages import Options
from worker.answers.rendering import Labels, Scores, assemble, render, render_error

SCORES = Scores(Labels(["a", 'b"\\', "ç\n"]), array("f", [0.25, 0.7, 0.05]))


def test_an_item_lists_its_classes_most_probable_first() -> None:
    item = json.loads(render(SCORES, index=3, options=Options()))
    assert item["index"] == 3
    assert (item["label"], item["unknown"]) == ('b"\\', False)
    assert [entry["label"] for entry in item["predictions"]] == ['b"\\', "a", "ç\n"]
    assert item["probability"] == pytest.approx(0.7, abs=1e-6)


def test_top_k_cuts_the_list() -> None:
    item = json.loads(render(SCORES, index=0, options=Options(top_k=1)))
    assert len(item["predictions"]) == 1


@pytest.mark.parametrize(("threshold", "unknown"), [(0.69, False), (0.71, True)])
def test_the_callers_threshold_decides_what_is_unknown(threshold: float, unknown: bool) -> None:
    item = json.loads(render(SCORES, index=0, options=Options(threshold=threshold)))
    assert item["unknown"] is unknown


def test_a_whole_answer_keeps_the_order() -> None:
    items = [
        render(SCORES, index=0, options=Options()),
        render_error(HeadstartError("image_invalid"), index=1),
    ]
    whole = json.loads(assemble("pred_1", "ft:m", items))
    assert (whole["id"], whole["object"], whole["model"]) == ("pred_1", "list", "ft:m")
    assert whole["data"][1]["error"]["code"] == "image_invalid"


@given(st.lists(st.tuples(st.text(), st.floats(0, 1, width=32)), min_size=1, max_size=8))
def test_any_labels_and_probabilities_are_valid_json(pairs: list[tuple[str, float]]) -> None:
    pairs = [(name.encode(errors="ignore").decode(), p) for name, p in pairs]
    scores = Scores(Labels([name for name, _ in pairs]), array("f", [p for _, p in pairs]))
    item = json.loads(render(scores, index=0, options=Options()))
    assert {entry["label"] for entry in item["predictions"]} == {name for name, _ in pairs}
