"""Feedback under labels that a dataset called otherwise since, or has no more."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.api.feedback.conftest import ALIAS, DIGITS
from tests.archives import zipped

pytestmark = pytest.mark.slow
HERE = f"/v1/models/{ALIAS}"
PER_CLASS = 40
FRESH = DIGITS[PER_CLASS + 1][0]
"""A picture of 1 that the dataset has not."""


def upload(client: httpx.Client) -> str:
    files = {
        f"{label}/{n}.png": DIGITS[int(label) * PER_CLASS + n][0] for label in "012"
        for n in (10, 11, 12, 13)
    }  # fmt: skip
    made = client.post("/v1/datasets", files={"file": ("digits.zip", zipped(files))})
    return str(made.raise_for_status().json()["id"])


def examples(client: httpx.Client, dataset: str, label: str) -> list[dict[str, Any]]:
    every = client.get(f"/v1/datasets/{dataset}/examples?limit=100").json()["data"]
    return [one for one in every if one["label"] == label]


def rename(client: httpx.Client, dataset: str, label: str, *names: str) -> None:
    """Give all that has a label another, or several in turn."""
    found = examples(client, dataset, label)
    changes = [{"id": one["id"], "label": names[at % len(names)]} for at, one in enumerate(found)]
    said = {"changes": changes}
    client.patch(f"/v1/datasets/{dataset}/examples", json=said).raise_for_status()


def say(client: httpx.Client, label: str, data: bytes = FRESH) -> None:
    body = {"input": {"image": base64.b64encode(data).decode()}, "label": label}
    client.post(f"{HERE}/feedback", json=body).raise_for_status()


def apply(client: httpx.Client, dataset: str) -> dict[str, Any]:
    made = client.post(f"{HERE}/feedback/apply", json={"dataset": dataset})
    return dict(made.raise_for_status().json()["feedback"])


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("name", ["one", "2"])
def test_what_was_renamed_or_merged_has_its_name(
    client: httpx.Client, name: str, *, before: bool
) -> None:
    dataset = upload(client)
    for first in (before, not before):
        if first:
            say(client, "1")
        else:
            rename(client, dataset, "1", name)
    told = apply(client, dataset)
    assert (told["added"], told["renamed"]) == (1, {"1": name})
    assert examples(client, dataset, "1") == []
    assert len(examples(client, dataset, name)) == (5 if name == "one" else 9)
    assert apply(client, dataset)["unchanged"] == 1


def test_a_name_that_changed_twice_is_the_last(client: httpx.Client) -> None:
    dataset = upload(client)
    rename(client, dataset, "1", "one")
    rename(client, dataset, "one", "uno")
    say(client, "1")
    assert apply(client, dataset)["renamed"] == {"1": "uno"}


def test_an_example_that_is_there_keeps_the_name(client: httpx.Client) -> None:
    dataset = upload(client)
    rename(client, dataset, "1", "one")
    say(client, "1", DIGITS[PER_CLASS + 10][0])
    told = apply(client, dataset)
    assert (told["relabelled"], told["unchanged"], told["renamed"]) == (0, 1, {"1": "one"})


@pytest.mark.parametrize("names", [("0", "2"), ()])
def test_what_was_parted_or_dropped_is_left_out(
    client: httpx.Client, names: tuple[str, ...]
) -> None:
    dataset = upload(client)
    say(client, "1")
    if names:
        rename(client, dataset, "1", *names)
    for one in examples(client, dataset, "1"):
        client.delete(f"/v1/datasets/{dataset}/examples/{one['id']}").raise_for_status()
    told = apply(client, dataset)
    assert (told["added"], told["renamed"]) == (0, {})
    assert [one["code"] for one in told["left_out"]] == ["label_dropped"]
    assert "'1'" in told["left_out"][0]["reason"]
    say(client, "0")
    assert apply(client, dataset)["added"] == 1


def test_a_label_that_is_said_since_it_went_is_a_class(client: httpx.Client) -> None:
    dataset = upload(client)
    rename(client, dataset, "1", "0", "2")
    say(client, "1")
    assert apply(client, dataset)["added"] == 1
    assert len(examples(client, dataset, "1")) == 1


def test_a_label_that_the_dataset_never_had_is_a_class(client: httpx.Client) -> None:
    dataset = upload(client)
    say(client, "seven")
    told = apply(client, dataset)
    assert (told["added"], told["renamed"]) == (1, {})


@pytest.mark.parametrize("said", ["Ninth_Class", "ninth class", "NINTH-CLASS"])
def test_another_spelling_is_the_class_that_the_dataset_has(
    client: httpx.Client, said: str
) -> None:
    dataset = upload(client)
    rename(client, dataset, "1", "ninth class")
    say(client, said)
    before = len(examples(client, dataset, "ninth class"))
    assert apply(client, dataset)["added"] == 1
    assert len(examples(client, dataset, "ninth class")) == before + 1


def change_places(client: httpx.Client, dataset: str) -> None:
    rename(client, dataset, "1", "for now")
    rename(client, dataset, "2", "1")
    rename(client, dataset, "for now", "2")


@pytest.mark.parametrize("before", [True, False])
def test_of_names_that_changed_places_each_means_what_it_did(
    client: httpx.Client, *, before: bool
) -> None:
    dataset = upload(client)
    if before:
        say(client, "1")
    change_places(client, dataset)
    if not before:
        say(client, "1")
    told = apply(client, dataset)
    name = "2" if before else "1"
    assert (told["added"], told["renamed"]) == (1, {"1": "2"} if before else {})
    assert len(examples(client, dataset, name)) == 5


def test_a_name_that_another_class_took_over_means_what_it_did(client: httpx.Client) -> None:
    dataset = upload(client)
    say(client, "1")
    rename(client, dataset, "1", "one")
    rename(client, dataset, "2", "1")
    told = apply(client, dataset)
    assert (told["added"], told["renamed"]) == (1, {"1": "one"})
    assert len(examples(client, dataset, "one")) == 5


def test_a_model_is_agreed_with_in_its_own_words(client: httpx.Client) -> None:
    dataset = upload(client)
    change_places(client, dataset)
    body = {"input": {"image": base64.b64encode(FRESH).decode()}, "correct": True}
    given = client.post(f"{HERE}/feedback", json=body).raise_for_status().json()
    label = given["label"] or given["predicted"]["label"]
    assert apply(client, dataset)["added"] == 1
    name = {"1": "2", "2": "1"}.get(label, label)
    assert len(examples(client, dataset, name)) == 5


def test_one_example_that_was_corrected_renames_nothing(client: httpx.Client) -> None:
    dataset = upload(client)
    for one in examples(client, dataset, "1")[1:]:
        client.delete(f"/v1/datasets/{dataset}/examples/{one['id']}").raise_for_status()
    say(client, "1")
    rename(client, dataset, "1", "0")
    say(client, "1", DIGITS[PER_CLASS + 2][0])
    assert apply(client, dataset)["added"] == 2
