"""Choices that Label Studio asks for each region: they are the region's, never the last one's."""

from __future__ import annotations

from typing import Any

import pytest

from app.uploads.intake import Built, IntakeOptions
from tests.unit.app.uploads.intake.conftest import Take
from tests.unit.app.uploads.intake.pictures.test_regions import CROPS, Refused, archive, left_out

ONE = IntakeOptions(label_mode="single_label")
SEVERAL = IntakeOptions(label_mode="multi_label")
Part = dict[str, Any]


def place(x: int) -> Part:
    return {"x": x, "y": 5, "width": 30, "height": 40, "rotation": 0}


def shape(key: str, x: int, label: str | None = None) -> Part:
    kind = "rectangle" if label is None else "rectanglelabels"
    told = {} if label is None else {kind: [label]}
    return {"id": key, "from_name": "rect", "type": kind, "value": {**place(x), **told}}


def choice(key: str, label: str, x: int | None = None, name: str = "cls") -> Part:
    value = {**({} if x is None else place(x)), "choices": [label]}
    return {"id": key, "from_name": name, "type": "choices", "value": value}


def two(one: str, other: str, *, placed: bool = True) -> list[Part]:
    """Two rectangles, and what each is."""
    first, second = (choice("a", one, 2), choice("b", other, 50))
    if not placed:
        first, second = choice("a", one), choice("b", other)
    return [shape("a", 2), first, shape("b", 50), second]


def names(built: Built) -> list[tuple[str, ...]]:
    return [one.names for one in built.examples]


def told(built: Built, code: str) -> list[str]:
    return [one.message for one in built.problems if one.code == code]


@pytest.mark.parametrize("placed", [True, False])
class TestEachRegionsChoice:
    def test_it_is_the_label_of_its_box(self, take: Take, placed: bool) -> None:
        built = take(archive(two("neg", "pos", placed=placed), two("pos", "neu")), options=CROPS)
        assert [one.label for one in built.examples] == ["neg", "pos", "pos", "neu"]
        assert left_out(built) == []

    def test_those_of_several_are_several_labels(self, take: Take, placed: bool) -> None:
        pictures = archive(two("neg", "pos", placed=placed), [shape("a", 2), choice("a", "pos", 2)])
        built = take(pictures, options=SEVERAL)
        assert names(built) == [("neg", "pos"), ("pos",)]
        assert ["boxes=crops" in one for one in told(built, "boxes_whole")] == [True]

    def test_they_are_never_one(self, refused: Refused, placed: bool) -> None:
        error = refused(archive(two("neg", "pos", placed=placed), two("a", "a")), options=ONE)
        assert error.code == "several_labels"
        assert "neg, pos" in error.message
        assert "boxes=crops" in error.message

    def test_those_that_say_one_are_it(self, take: Take, placed: bool) -> None:
        built = take(archive(two("neg", "neg", placed=placed), two("pos", "pos")), options=ONE)
        assert [one.label for one in built.examples] == ["neg", "pos"]
        assert len(told(built, "boxes_whole")) == 1


class TestBesideOtherLabels:
    def test_what_a_shape_is_called_is_its_label(self, take: Take) -> None:
        every = [[shape("a", 2, kind), choice("a", "deep", 2)] for kind in ("scratch", "dent")]
        for options in (ONE, CROPS):
            built = take(archive(*every), options=options)
            assert [one.label for one in built.examples] == ["scratch", "dent"]
            assert ["`cls`" in one for one in told(built, "column_unread")] == [True]

    def test_the_caller_says_which(self, take: Take) -> None:
        every = [
            [shape("a", 2, "dent"), choice("a", deep, 2)] for deep in ("deep", "shallow", "deep")
        ]
        for crops in (False, True):
            asked = IntakeOptions(label_mode=None, crops=crops, columns={"label": "cls"})
            built = take(archive(*every), options=asked)
            assert [one.label for one in built.examples] == ["deep", "shallow", "deep"]
            assert told(built, "column_unread") == []

    def test_several_questions_of_a_region_are_asked_about(self, refused: Refused) -> None:
        both = [shape("a", 2), choice("a", "x", 2), choice("a", "y", 2, name="depth")]
        for options in (ONE, CROPS):
            error = refused(archive(both, both), options=options)
            assert "`cls`, `depth`" in error.message
            assert "label_column" in error.message

    def test_a_choice_of_the_whole_goes_before_boxes(self, take: Take) -> None:
        every = [[shape("a", 2, "dent"), choice("z", label)] for label in ("good", "bad")]
        built = take(archive(*every), options=ONE)
        assert [one.label for one in built.examples] == ["good", "bad"]
        assert ["`rect`" in one for one in told(built, "column_unread")] == [True]
        assert told(built, "boxes_whole") == []

    def test_all_choices_of_one_control_count(self, take: Take, refused: Refused) -> None:
        twice = [choice("y", "a"), choice("z", "b")]
        assert refused(archive(twice, twice), options=ONE).code == "several_labels"
        built = take(archive(twice, [choice("y", "a")]), options=SEVERAL)
        assert names(built) == [("a", "b"), ("a",)]
