"""What each method accepts, and how it says no."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from app.core import hyperparameters
from app.core.errors import HeadstartError


def refusal(method: str, given: dict[str, Any]) -> HeadstartError:
    with pytest.raises(HeadstartError) as caught:
        hyperparameters.validate(method, given)
    return caught.value


@pytest.mark.parametrize("value", [0, -1, 1e30, math.nan, math.inf, "fast", True, [1]])
def test_a_bad_learning_rate_is_refused(value: Any) -> None:
    error = refusal("linear", {"learning_rate": value})
    assert error.code == "invalid_hyperparameter"
    assert error.param == "method.linear.hyperparameters.learning_rate"


@pytest.mark.parametrize("value", [0, -3, 10**9, 2.5, "10", True])
def test_a_bad_number_of_epochs_is_refused(value: Any) -> None:
    error = refusal("linear", {"epochs": value})
    assert error.code == "invalid_hyperparameter"
    assert error.param == "method.linear.hyperparameters.epochs"


def test_the_message_says_what_a_number_must_be() -> None:
    assert "greater than or equal to" in refusal("linear", {"learning_rate": -1}).message
    assert "rot90" in refusal("auto", {"views": ["upside-down"]}).message


def test_an_unknown_hyperparameter_is_named() -> None:
    error = refusal("ridge", {"lambda": 1.0})
    assert (error.code, error.param) == (
        "invalid_hyperparameter",
        "method.ridge.hyperparameters.lambda",
    )


def test_an_unknown_method_is_refused_with_the_choice() -> None:
    error = refusal("magic", {})
    assert (error.code, error.param) == ("unknown_method", "method")
    assert "prototypical" in error.message


@pytest.mark.parametrize("method", list(hyperparameters.METHODS))
def test_every_method_has_defaults_that_it_accepts_itself(method: str) -> None:
    defaults = hyperparameters.validate(method)
    assert hyperparameters.validate(method, defaults) == defaults
    assert json.loads(json.dumps(defaults)) == defaults


def test_numbers_and_auto_are_both_accepted() -> None:
    found = hyperparameters.validate("logistic", {"l2": 0.5, "space": "auto"})
    assert (found["l2"], found["space"]) == (0.5, "auto")


def test_openais_supervised_means_auto() -> None:
    given = {"n_epochs": "auto", "batch_size": 8, "learning_rate_multiplier": 0.1}
    assert hyperparameters.validate("supervised", given)["batch_size"] == 8
    assert hyperparameters.method_name("supervised") == "auto"


def test_the_catalogue_is_json_schema() -> None:
    listed = {entry["id"]: entry for entry in hyperparameters.catalogue()}
    assert set(listed) == set(hyperparameters.METHODS)
    schema = listed["linear"]["hyperparameters"]
    assert schema["properties"]["epochs"]["default"] == "auto"
    assert schema["additionalProperties"] is False
    assert all(entry["description"] and entry["source"] for entry in listed.values())


def test_what_is_given_counts_more_than_what_is_inherited_by_any_of_its_names() -> None:
    inherited = hyperparameters.validate("linear", {"learning_rate": 0.5, "epochs": 7})
    found = hyperparameters.validate("linear", {"lr": 0.1}, inherited)
    assert (found["learning_rate"], found["epochs"]) == (0.1, 7)


def test_methods_share_what_means_the_same_to_both() -> None:
    assert {"views", "class_balance"} <= hyperparameters.shared("auto", "logistic")
    assert "space" in hyperparameters.shared("logistic", "ridge")
    assert "l2" not in hyperparameters.shared("logistic", "ridge")
    assert "l2" in hyperparameters.shared("ridge", "ridge")
    assert hyperparameters.shared("linear", "auto") == {"unknown_false_alarm_rate"}
    assert "epochs" in hyperparameters.shared("lora", "setfit")
    assert "learning_rate" not in hyperparameters.shared("lora", "setfit")


def test_what_a_fit_only_tells_is_not_asked_for() -> None:
    used = {"views": ["text"], "statistics": None, "l2": 0.5, "space": "last"}
    assert hyperparameters.askable("ridge", used) == {"l2": 0.5, "space": "last"}


def test_names_of_other_libraries_are_read_of_pairs() -> None:
    asked = {"num_epochs": 2, "body_learning_rate": 1e-4, "lora_r": 4}
    found = hyperparameters.validate("setfit", asked)
    assert (found["epochs"], found["learning_rate"], found["rank"]) == (2, 1e-4, 4)


@pytest.mark.parametrize("method", ["lora", "full", "setfit"])
def test_what_tunes_a_network_fits_one_label_an_example(method: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        hyperparameters.check_label_mode(method, "multi_label", {})
    assert (caught.value.code, caught.value.param) == ("label_mode_mismatch", "method")


def test_a_bound_on_what_is_not_tried_is_refused() -> None:
    found = hyperparameters.validate("auto", {"depth": "auto", "max_seconds": 60})
    assert (found["depth"], found["max_seconds"]) == ("auto", 60)
    assert hyperparameters.validate("auto", found) == found
    with pytest.raises(HeadstartError) as caught:
        hyperparameters.validate("auto", {"max_seconds": 60})
    assert caught.value.param == "method.auto.hyperparameters.max_seconds"


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "60", True, 1e9])
def test_a_bad_bound_is_refused(value: Any) -> None:
    with pytest.raises(HeadstartError) as caught:
        hyperparameters.validate("auto", {"depth": "auto", "max_seconds": value})
    assert caught.value.code == "invalid_hyperparameter"


@pytest.mark.parametrize(
    ("method", "mode"),
    [(name, one) for name, spec in hyperparameters.METHODS.items() for one in spec.label_modes],
)
def test_a_method_is_not_refused_what_nobody_asked_for(method: str, mode: str) -> None:
    hyperparameters.check_label_mode(method, mode, hyperparameters.validate(method))


@pytest.mark.parametrize("method", ["auto", "logistic", "ridge"])
def test_what_one_label_alone_has_a_use_for_is_refused_where_it_is_asked_for(method: str) -> None:
    chosen = hyperparameters.validate(method, {"class_balance": "balanced"})
    with pytest.raises(HeadstartError) as caught:
        hyperparameters.check_label_mode(method, "multi_label", chosen)
    assert caught.value.param == f"method.{method}.hyperparameters.class_balance"


def test_nothing_deeper_is_tried_of_several_labels() -> None:
    with pytest.raises(HeadstartError) as caught:
        hyperparameters.check_label_mode("auto", "multi_label", {"depth": "auto"})
    assert caught.value.param == "method.auto.hyperparameters.depth"


@pytest.mark.parametrize("method", [*hyperparameters.METHODS, "supervised"])
def test_what_a_job_was_asked_for_here_is_known_here(method: str) -> None:
    hyperparameters.check_known(method, hyperparameters.validate(method))


@pytest.mark.parametrize(
    ("method", "chosen"),
    [("later", {}), ("auto", hyperparameters.validate("auto") | {"later": "auto"})],
)
def test_what_only_a_later_release_knows_is_no_method_here(
    method: str, chosen: dict[str, Any]
) -> None:
    with pytest.raises(HeadstartError) as raised:
        hyperparameters.check_known(method, chosen)
    assert raised.value.code == "unknown_method"
