"""A label in the forms that callers' schemas ask for."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import HeadstartError
from app.core.openai.schema import Ranked, Wording

BEST = Ranked("refund", 0.75)
RANKED = [BEST, Ranked("card", 0.2), Ranked("other", 0.05)]
ENUM = {"type": "string", "enum": ["refund", "card"]}


def written(schema: Any, best: Ranked = BEST) -> Any:
    text = Wording(schema).write(best)
    value = json.loads(text)
    if schema:
        jsonschema.validate(value, schema)
    return value


def strict(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {"label": "refund"}),
        (strict(intent=ENUM), {"intent": "refund"}),
        (strict(label={"type": "string"}), {"label": "refund"}),
        (
            strict(intent=ENUM, confidence={"type": "number"}),
            {"intent": "refund", "confidence": 0.75},
        ),
        (strict(kind={"const": "v1"}, intent=ENUM), {"kind": "v1", "intent": "refund"}),
        (strict(intents={"type": "array", "items": ENUM}), {"intents": ["refund"]}),
        (strict(result=strict(intent=ENUM)), {"result": {"intent": "refund"}}),
        (strict(intent={"anyOf": [{"type": "null"}, ENUM]}), {"intent": "refund"}),
        (strict(intent=ENUM, why={"type": ["string", "null"]}), {"intent": "refund", "why": None}),
        (
            {**strict(intent={"$ref": "#/$defs/Intent"}), "$defs": {"Intent": ENUM}},
            {"intent": "refund"},
        ),
        (
            {"type": "object", "properties": {"intent": ENUM, "why": {"type": "string"}}},
            {"intent": "refund"},
        ),
        ({"type": "string"}, "refund"),
        (strict(intent={"anyOf": [{"const": "refund"}, {"const": "card"}]}), {"intent": "refund"}),
        (
            strict(intent={"oneOf": [{"enum": ["refund"]}, {"const": "card"}, {"type": "null"}]}),
            {"intent": "refund"},
        ),
        (strict(intent={"enum": ["card", "refund", None]}), {"intent": "refund"}),
        (
            strict(labels={"type": "array", "items": strict(name=ENUM, score={"type": "number"})}),
            {"labels": [{"name": "refund", "score": 0.75}]},
        ),
        ({**strict(intent=ENUM), "minProperties": 1, "maxProperties": 1}, {"intent": "refund"}),
    ],
)
def test_the_label_goes_where_the_schema_has_a_place_for_it(schema: Any, value: Any) -> None:
    assert written(schema) == value


def test_without_a_schema_the_label_is_the_content() -> None:
    assert Wording().write(BEST) == "refund"


def test_a_label_that_was_trained_as_json_stays_as_it_is() -> None:
    label = Ranked('{"intent": "refund"}', 1.0)
    assert Wording(strict(intent={"type": "string"})).write(label) == label.label


def test_an_enum_leaves_the_most_probable_of_its_own() -> None:
    form = Wording(strict(intent={"type": "string", "enum": ["card", "other"]}))
    assert [one.label for one in form.choose(RANKED)] == ["card", "other"]
    assert form.write(form.choose(RANKED)[0]) == '{"intent":"card"}'


@pytest.mark.parametrize(
    "schema",
    [
        strict(intent=ENUM, summary={"type": "string"}),
        strict(age={"type": "integer"}),
        strict(intent={"$ref": "#/$defs/Missing"}),
        {"type": "object"},
        {"$ref": "#"},
        strict(score={"type": "number"}),
        strict(kind={"const": "v1"}, score={"type": "number"}),
        strict(intent=ENUM, confidence={"type": "number", "minimum": 1, "maximum": 100}),
        strict(intent=ENUM, confidence={"type": "number", "exclusiveMaximum": 0.75}),
        strict(intent=ENUM, confidence={"type": "number", "multipleOf": 0.1}),
        strict(intents={"type": "array", "items": ENUM, "minItems": 2}),
        strict(intent={"type": "string", "maxLength": 3}),
        strict(intent={"type": "string", "pattern": "^[a-z]+$"}),
        strict(intent={"type": "string", "format": "email"}),
    ],
)
def test_what_a_classifier_does_not_know_is_refused(schema: Any) -> None:
    with pytest.raises(HeadstartError, match="and no more") as refused:
        Wording(schema).write(BEST)
    assert refused.value.param == "response_format"


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (strict(intent=ENUM, reasoning={"type": "string"}), "no more: `reasoning`, which is req"),
        (strict(a={"type": "array", "items": ENUM, "minItems": 2}), "the bounds of `a`, of which"),
        ({**strict(intent=ENUM), "minProperties": 2}, "of the members 1 can be given"),
        ({**strict(intent=ENUM), "not": {}}, "its `not` is not read here"),
        (strict(intent={**ENUM, "if": {}}), "its `if` is not read here"),
        (strict(a={"type": "array", "items": ENUM, "contains": {}}), "its `contains` is not"),
        (strict(intent={"allOf": [ENUM, {"maxLength": 3}]}), "its `allOf` is not read here"),
    ],
)
def test_what_is_too_much_is_named(schema: Any, why: str) -> None:
    with pytest.raises(HeadstartError, match=why):
        Wording(schema).write(BEST)


def test_members_are_not_words_of_the_schema() -> None:
    schema = strict(**{"not": ENUM, "if": {"const": 1}})
    assert written(schema) == {"not": "refund", "if": 1}


NAMED = {"type": "array", "items": strict(name=ENUM, score={"type": "number"})}
SAID = [
    ([], []),
    (RANKED[:1], [{"name": "refund", "score": 0.75}]),
    (RANKED[:2], [{"name": "refund", "score": 0.75}, {"name": "card", "score": 0.2}]),
]


@pytest.mark.parametrize(("said", "value"), SAID)
def test_each_label_that_is_said_is_an_item(said: list[Ranked], value: Any) -> None:
    schema = strict(version={"const": 1}, labels=NAMED)
    told = json.loads(Wording(schema).write_all(BEST, said))
    jsonschema.validate(told, schema)
    assert told == {"version": 1, "labels": value}


@pytest.mark.parametrize(
    "schema",
    [
        strict(label=ENUM),
        strict(label={"anyOf": [ENUM, {"type": "null"}]}),
        strict(label={"type": "string"}),
        strict(labels=NAMED, first=ENUM),
    ],
)
@pytest.mark.parametrize("said", [[], RANKED[:1], RANKED[:2]])
def test_of_several_labels_none_is_lost(schema: Any, said: list[Ranked]) -> None:
    with pytest.raises(HeadstartError, match="has room for one label, and the model may say sev"):
        Wording(schema).write_all(BEST, said)


def test_an_enum_spells_the_classes_its_own_way() -> None:
    words = ["Refund ", "CARD", "something_else"]
    ranked = [BEST, Ranked("card", 0.2), Ranked("something else", 0.05)]
    form = Wording(strict(intent={"enum": words}))
    assert [(one.label, one.word) for one in form.choose(ranked)] == [
        ("refund", "Refund "),
        ("card", "CARD"),
        ("something else", "something_else"),
    ]
    assert json.loads(form.write(form.choose(ranked)[0])) == {"intent": "Refund "}


def test_a_word_that_could_be_two_classes_is_neither() -> None:
    ranked = [Ranked("Card", 0.6), Ranked("card_", 0.3), Ranked("fee", 0.1)]
    form = Wording(strict(intent={"enum": ["card", "fee"]}))
    with pytest.raises(HeadstartError, match="'card', no class of the model, and lacks 'Card'"):
        form.choose(ranked)
    both = Wording(strict(intent={"enum": ["Card", "card"]}))
    assert [one.word for one in both.choose(ranked[:1])] == ["Card"]


def test_a_word_that_is_no_class_leaves_the_answer_to_no_other() -> None:
    form = Wording(strict(intent={"enum": ["refnud", "card"]}))
    with pytest.raises(HeadstartError, match="'refnud', no class of the model"):
        form.choose(RANKED)


def test_words_beside_all_classes_do_no_harm() -> None:
    form = Wording(strict(intent={"enum": ["refund", "card", "other", "none of these"]}))
    assert form.choose(RANKED) == [Ranked(one.label, one.probability, one.label) for one in RANKED]


def test_several_labels_are_spelled_so_too() -> None:
    form = Wording(strict(labels={"type": "array", "items": {"enum": ["Refund", "Card", "Other"]}}))
    ranked = form.choose(RANKED)
    assert json.loads(form.write_all(ranked[0], ranked[:2])) == {"labels": ["Refund", "Card"]}
    assert json.loads(form.write_all(ranked[0], [])) == {"labels": []}


def test_an_enum_of_other_words_is_refused() -> None:
    with pytest.raises(HeadstartError, match="none of the model's classes"):
        Wording(strict(intent={"enum": ["up", "down"]})).choose(RANKED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "enum", "items", "anyOf", "$ref", "required", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "anyOf", "items"]), JSON))
def test_no_schema_does_more_than_be_refused(schema: Any) -> None:
    with suppress(HeadstartError):
        json.loads(Wording(schema).write(BEST))


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"$ref": "#"}] * 100},
        {"type": "array", "items": {"oneOf": [{"$ref": "#"}] * 3}},
        {"properties": {str(name): {"$ref": "#"} for name in range(50)}},
        {"anyOf": [{"$ref": "#/" + "x" * 100_000}] * 10_000},
        {"anyOf": [{"type": ["none"] * 1000, "enum": None}] * 1000},
    ],
    ids=["choices", "items", "properties", "long references", "kinds"],
)
def test_what_would_never_be_filled_in_is_refused_soon(schema: Any) -> None:
    with pytest.raises(HeadstartError, match="again and again"):
        Wording(schema).write(BEST)


def test_a_schema_of_a_tree_is_filled_in() -> None:
    node = strict(intent=ENUM)
    tree = {**node, "properties": {**node["properties"], "children": {
        "type": ["array", "null"], "items": {"$ref": "#"}}}}  # fmt: skip
    assert json.loads(Wording(tree).write(BEST))["intent"] == "refund"


@pytest.mark.parametrize("required", [5, [["intent"]], "intent", [None], {}])
def test_what_is_required_in_no_list_of_names_harms_nothing(required: Any) -> None:
    with suppress(HeadstartError):
        Wording({"properties": {"intent": ENUM}, "required": required}).write(BEST)
