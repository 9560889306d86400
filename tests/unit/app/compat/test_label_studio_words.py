"""Choices of a labelling project beside a model's classes."""

from __future__ import annotations

import pytest

from app.compat.label_studio.config import read_config
from app.compat.label_studio.words import ChoiceWords, Says, classes_of
from app.core.errors import HeadstartError

LABELS = ["card_arrival", "age_limit", "A-"]


@pytest.mark.parametrize(
    "choices", [["CARD_ARRIVAL", "Age limit", "a-"], ["card arrival", "age-limit", "A-", "other"]]
)
def test_choices_are_classes_in_another_spelling(choices: list[str]) -> None:
    words = ChoiceWords.between(choices, LABELS)
    words.check()
    assert words.choice_of == dict(zip(LABELS, choices, strict=False))
    assert list(words.strange) == choices[3:]
    assert list(classes_of(choices, LABELS).values()) == [*LABELS, *choices[3:]]


def test_of_two_choices_alike_the_exact_one_is_the_class_or_none() -> None:
    assert ChoiceWords.between(["A", "a"], ["a"]).choice_of == {"a": "a"}
    assert ChoiceWords.between(["Ab", "AB"], ["ab"]).choice_of == {}


def test_where_tasks_bring_their_choices_classes_are_choices() -> None:
    words = ChoiceWords.between((), LABELS)
    words.check()
    assert words.choice_of == {one: one for one in LABELS}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["happy", "sad"], "none of the choices"),
        (["card_arival", "age_limit", "A-"], "'card_arrival'"),
    ],
)
def test_what_would_never_be_said_is_refused(choices: list[str], said: str) -> None:
    with pytest.raises(HeadstartError, match=said):
        ChoiceWords.between(choices, LABELS).check()


def test_another_class_may_be_a_choice_and_a_class_none() -> None:
    ChoiceWords.between(["age_limit", "refund"], LABELS).check()


def control(name: str, choices: list[str], more: str = "") -> str:
    inside = "".join(f'<Choice value="{one}"/>' for one in choices)
    return f'<Choices name="{name}" toName="t" {more}>{inside}</Choices>'


def test_of_several_controls_the_one_with_the_classes_is_read() -> None:
    tone, intent = control("tone", ["good", "bad"]), control("intent", ["Age limit", "other"])
    text = f'<View><Text name="t" value="$text"/>{tone}{intent}</View>'
    assert read_config(text, "text", Says(LABELS)).from_name == "intent"
    assert read_config(text, "text", Says(["good"])).from_name == "tone"
    assert read_config(text, "text").from_name == "tone"


def test_one_or_several_may_be_chosen_and_a_text_may_lie_at_an_address() -> None:
    text = '<View><Text name="t" value="$text" valueType="url"/>{}</View>'
    config = read_config(text.format(control("c", ["a"], 'choice="multiple"')), "text")
    assert (config.single, config.by_address) == (False, True)
    config = read_config(text.replace(' valueType="url"', "").format(control("c", ["a"])), "text")
    assert (config.single, config.by_address) == (True, False)


def two(first: str, second: str) -> str:
    boxes = control("a", LABELS, first) + control("b", LABELS, second)
    return f'<View><Text name="t" value="$text"/>{boxes}</View>'


@pytest.mark.parametrize(
    ("first", "second", "several", "read"),
    [
        ("", 'choice="multiple"', True, "b"),
        ("", 'choice="multiple"', False, "a"),
        ('choice="multiple"', 'choice="single-radio"', False, "b"),
        ("", "", True, "a"),
    ],
)
def test_of_controls_alike_the_one_that_takes_as_many_labels_as_the_model_says_is_read(
    first: str, second: str, several: bool, read: str
) -> None:
    assert read_config(two(first, second), "text", Says(LABELS, several)).from_name == read


@pytest.mark.parametrize("more", ["", 'choice="single"', 'choice="single-radio"'])
def test_one_choice_is_refused_of_a_model_of_several_labels(more: str) -> None:
    config = read_config(two(more, more), "text", Says(LABELS))
    with pytest.raises(HeadstartError, match='write choice="multiple" in <Choices name="a">'):
        config.check_holds(several=True)
    config.check_holds(several=False)
    config.check_one(several=False)


def test_several_choices_are_refused_of_a_model_of_one_label() -> None:
    config = read_config(two('choice="multiple"', ""), "text", Says(LABELS, several=True))
    with pytest.raises(HeadstartError, match='leave choice="multiple" out of <Choices name="a">'):
        config.check_one(several=False)
    config.check_holds(several=True)
    config.check_one(several=True)
