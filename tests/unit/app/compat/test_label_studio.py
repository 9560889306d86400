"""Label Studio's configurations and annotations, as its users write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.compat.label_studio.config import ChoiceConfig, annotated, last_word, read_config
from app.core.errors import HeadstartError

IMAGE = """<View>
  <Header value="Which cell?"/>
  <Image name="img" value="$image"/>
  <Choices name="kind" toName="img" choice="single" showInLine="true">
    <Choice value="Red cell" alias="RBC"/><Choice value="WBC"/>
  </Choices>
  <Text name="note" value="$note"/>
</View>"""


def test_the_control_over_what_the_model_reads_is_found() -> None:
    config = read_config(IMAGE, "image")
    assert config == ChoiceConfig("kind", "img", "image", frozenset({"RBC", "WBC"}))
    later = IMAGE.replace("<View>", '<View><Choices name="q" toName="note"><Choice value="x"/>'
                          "</Choices>", 1)  # fmt: skip
    assert read_config(later, "image").from_name == "kind"
    assert read_config(later, "text") == ChoiceConfig("q", "note", "note", frozenset({"x"}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<View/>",
        '<View><Image name="img" value="$image"/></View>',
        '<View><Choices name="k" toName="gone"><Choice value="a"/></Choices></View>',
        "<" * 10_000,
        "<a " * 150_000,
        "<View>" * 80_000,
        "<View><Image name='img' value='$image'>",
        "x" * 600_000,
        '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>',
    ],
)
def test_what_has_no_such_control_is_refused(text: str) -> None:
    with pytest.raises(HeadstartError):
        read_config(text, "image")


def annotation(number: int, label: str | None, **more: Any) -> dict[str, Any]:
    region = {"from_name": "kind", "to_name": "img", "type": "choices",
              "value": {"choices": [label]}}  # fmt: skip
    return {"id": number, "result": [] if label is None else [region], **more}


def test_the_last_annotation_that_says_something_holds() -> None:
    config = read_config(IMAGE, "image")
    first = annotation(1, "RBC", updated_at="2026-11-01T10:00:00Z")
    second = annotation(2, "WBC", updated_at="2026-11-02T10:00:00Z")
    skipped = annotation(3, "RBC", updated_at="2026-11-03T10:00:00Z", was_cancelled=True)
    empty = annotation(4, None, updated_at="2026-11-04T10:00:00Z")
    assert last_word({"annotations": [second, first, skipped, empty]}, config) == ["WBC"]
    truth = annotation(5, "RBC", updated_at="2026-10-01T10:00:00Z", ground_truth=True)
    assert last_word({"annotations": [second, truth]}, config) == ["RBC"]
    for nothing in ({}, {"annotations": None}, {"annotations": [skipped]}, {"annotations": ["x"]}):
        assert last_word(nothing, config) is None


def test_where_there_may_be_several_what_was_submitted_without_a_choice_says_none() -> None:
    several, one = ChoiceConfig("kind", "img", "image", frozenset(), single=False), annotation
    empty, skipped = {"annotations": [one(1, None)]}, one(2, None, was_cancelled=True)
    assert last_word(empty, several, several=True) == []
    assert last_word(empty, several) is None, "a model of one label learns nothing of it"
    assert last_word({"annotations": [skipped]}, several, several=True) is None
    assert last_word({"annotations": []}, several, several=True) is None
    two_of_three = [one(1, None), one(2, "RBC"), one(3, None)]
    assert last_word({"annotations": two_of_three}, several, several=True) == []


def test_what_is_asked_of_regions_says_nothing_of_the_whole() -> None:
    text = IMAGE.replace('choice="single"', 'choice="multiple" perRegion="true"')
    config = read_config(text, "image")
    assert last_word({"annotations": [annotation(1, None)]}, config, several=True) is None
    part = annotation(3, "WBC")
    part["result"][0]["value"] |= {"x": 1, "y": 1, "width": 5, "height": 5}
    whole = ChoiceConfig("kind", "img", "image", frozenset(), single=False)
    assert last_word({"annotations": [part]}, whole, several=True) is None


def test_what_was_rejected_or_says_something_of_a_part_does_not_hold() -> None:
    config = read_config(IMAGE, "image")
    whole = annotation(1, "RBC")
    for more in ({"last_action": "rejected"}, {"reviews": [{"accepted": False}]}):
        assert last_word({"annotations": [whole, annotation(2, "WBC", **more)]}, config) == ["RBC"]
        assert last_word({"annotations": [annotation(2, "WBC", **more)]}, config) is None
    part = annotation(3, "WBC")
    part["result"][0]["value"] |= {"x": 1, "y": 1, "width": 5, "height": 5}
    assert last_word({"annotations": [part]}, config) is None
    assert last_word({"annotations": [{**part, "result": [*part["result"], *whole["result"]]}]},
                     config) == ["RBC"]  # fmt: skip


def test_what_is_no_annotation_stops_no_task_and_ids_are_bounded() -> None:
    config = ChoiceConfig("k", "t", "text", frozenset())
    region = {"from_name": "k", "value": {"choices": ["a"]}}
    said = {"data": {"text": "x"}, "annotations": [{"result": [region]}]}
    odd = [5, "abc", {"a": 1}, [5], [{"result": 5}], [{"result": "x"}]]
    tasks = [{"id": 1, "annotations": one} for one in odd]
    tasks += [{**said, "id": one} for one in (7, "t-1", "i" * 5000, "i\0d", {"a": 1}, None, True)]
    found = annotated(json.dumps(tasks).encode(), config)
    assert [one.id for one in found] == ["7", "t-1", "", "", "", "", ""]
