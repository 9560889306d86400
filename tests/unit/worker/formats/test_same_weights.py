"""A head answers only over the backbone's weights that it was trained on."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import HeadstartError
from worker.formats import same_weights

OLD, NEW = "a" * 64, "b" * 64


def test_the_same_weights_pass() -> None:
    same_weights.check("resnet18", trained=OLD, loaded=OLD)


def test_others_are_refused_with_both_names_and_the_way_back() -> None:
    with pytest.raises(HeadstartError) as caught:
        same_weights.check("resnet18", trained=OLD, loaded=NEW)
    assert caught.value.code == "backbone_unavailable"
    for part in ("resnet18", OLD, NEW, "HEADSTART_WEIGHTS_DIR"):
        assert part in caught.value.message


def test_a_card_says_what_its_head_was_trained_on() -> None:
    assert same_weights.trained_on({"backbone": {"weights_sha256": OLD}}) == OLD


@pytest.mark.parametrize("card", [{}, {"backbone": "resnet18"}, {"backbone": {"name": "resnet18"}}])
def test_a_card_that_does_not_say_is_damaged(card: dict[str, Any]) -> None:
    with pytest.raises(HeadstartError) as caught:
        same_weights.trained_on(card)
    assert caught.value.code == "model_corrupt"


def test_weights_that_are_read_otherwise_are_refused() -> None:
    same_weights.check_reading("resnet18", trained=OLD, loaded=OLD)
    same_weights.check_reading("resnet18", trained="", loaded=NEW)  # a model of before
    with pytest.raises(HeadstartError, match="side file") as caught:
        same_weights.check_reading("resnet18", trained=OLD, loaded=NEW)
    assert caught.value.code == "backbone_unavailable"


def test_a_model_of_an_older_rule_is_served_and_one_of_todays_by_todays_alone() -> None:
    same_weights.check_reading("own", trained=OLD, loaded=NEW, former=[OLD])
    with pytest.raises(HeadstartError, match="side file"):
        same_weights.check_reading("own", trained="c" * 64, loaded=NEW, former=[OLD])


def test_a_card_says_how_weights_are_read_as_a_release_before_does_too() -> None:
    told = same_weights.told_of(NEW, [OLD])
    assert told == {"fingerprint": OLD, "reading": NEW}
    assert same_weights.read_as({"backbone": told}) == NEW
    assert same_weights.told_of(NEW, []) == {"fingerprint": NEW}
    assert same_weights.read_as({"backbone": {"fingerprint": NEW}}) == NEW
    assert same_weights.told_of("", []) == {}


@pytest.mark.parametrize("card", [{}, {"backbone": 1}, {"backbone": {"fingerprint": 3}}])
def test_an_older_card_says_nothing_of_reading(card: dict[str, Any]) -> None:
    assert same_weights.read_as(card) == ""
