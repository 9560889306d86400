"""What a person who looks at a dataset does to it: order, count, settle labels, set a target."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.infra.database import transaction
from app.infra.orm import ModelRow
from tests.api.service import Service
from tests.api.uploading import DATASETS, code, examples, finish, made
from tests.archives import folders, zipped
from tests.factories import claim_job, finish_job


@pytest.fixture
def dataset(client: httpx.Client) -> str:
    members = folders({"train/a": 3, "train/b": 2, "test/a": 1, "test/b": 1})
    return str(made(client, zipped(members))["id"])


def test_one_of_each_class_in_turn(client: httpx.Client, dataset: str) -> None:
    turns = examples(client, dataset, order="classes")
    assert [one["label"] for one in turns] == ["a", "b", "a", "b", "a", "b", "a"]
    stored = examples(client, dataset)
    assert sorted(one["id"] for one in turns) == sorted(one["id"] for one in stored)
    rest = examples(client, dataset, order="classes", after=turns[2]["id"], split="train")
    assert [one["id"] for one in rest] == [
        one["id"] for one in turns[3:] if one["split"] == "train"
    ]


def test_statistics_count_each_class_in_each_split(client: httpx.Client, dataset: str) -> None:
    told = client.get(f"{DATASETS}/{dataset}/versions/1/statistics").json()
    assert told["num_examples"] == 7
    counts = {
        one["split"]: {c["label"]: c["count"] for c in one["classes"]} for one in told["splits"]
    }
    assert counts == {"train": {"a": 3, "b": 2}, "test": {"a": 1, "b": 1}}
    assert code(client.get(f"{DATASETS}/{dataset}/versions/9/statistics")) == (404, "not_found")


def change(client: httpx.Client, dataset: str, *changes: dict[str, Any]) -> httpx.Response:
    return client.patch(f"{DATASETS}/{dataset}/examples", json={"changes": list(changes)})


def test_several_changes_make_one_version(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    finish(service, dataset)
    first, second, third, *_ = [one for one in examples(client, dataset) if one["label"] == "a"]
    done = change(
        client,
        dataset,
        {"id": first["id"], "label": " b\u00a0"},
        {"id": second["id"], "confirmed": True},
        {"id": third["id"], "split": "test"},
    )
    assert (done.status_code, done.json()["version"]) == (200, 2)
    now = {one["id"]: one for one in examples(client, dataset)}
    assert now[first["id"]]["label"] == "b"
    assert now[second["id"]]["confirmed"]
    assert not now[first["id"]]["confirmed"]
    assert now[third["id"]]["split"] == "test"
    before = {one["id"]: one for one in examples(client, dataset, version=1)}
    assert before[first["id"]]["label"] == "a"


def test_another_label_is_not_confirmed(
    service: Service, client: httpx.Client, dataset: str
) -> None:
    finish(service, dataset)
    first = examples(client, dataset)[0]
    change(client, dataset, {"id": first["id"], "confirmed": True})
    change(client, dataset, {"id": first["id"], "group": "one"})
    assert client.get(f"{DATASETS}/{dataset}/examples/{first['id']}").json()["confirmed"]
    other = "b" if first["label"] == "a" else "a"
    change(client, dataset, {"id": first["id"], "label": other})
    assert not client.get(f"{DATASETS}/{dataset}/examples/{first['id']}").json()["confirmed"]


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [{"id": "ex_" + "0" * 24}],
        [{"label": "b"}],
        [{"id": "ex_nonsense", "label": "b"}],
        [{"id": "ex_" + "0" * 24, "label": "b"}] * 2,
        [{"id": "ex_" + "0" * 24, "colour": "b"}],
    ],
)
def test_bad_changes_change_nothing(
    client: httpx.Client, dataset: str, changes: list[dict[str, Any]]
) -> None:
    assert change(client, dataset, *changes).status_code == 422
    assert client.get(f"{DATASETS}/{dataset}").json()["version"] == 1


def test_one_unknown_example_refuses_them_all(client: httpx.Client, dataset: str) -> None:
    known = examples(client, dataset)[0]["id"]
    refused = change(
        client, dataset, {"id": known, "label": "b"}, {"id": "ex_" + "0" * 24, "label": "b"}
    )
    assert code(refused) == (404, "not_found")
    assert client.get(f"{DATASETS}/{dataset}").json()["version"] == 1


def test_a_target_and_a_name_make_no_version(client: httpx.Client, dataset: str) -> None:
    assert client.get(f"{DATASETS}/{dataset}").json()["target"] is None
    done = client.patch(f"{DATASETS}/{dataset}", json={"target": 0.9, "name": "parts"})
    assert done.status_code == 200, done.text
    told = client.get(f"{DATASETS}/{dataset}").json()
    assert (told["target"], told["name"], told["version"]) == (0.9, "parts", 1)
    client.patch(f"{DATASETS}/{dataset}", json={"target": None})
    told = client.get(f"{DATASETS}/{dataset}").json()
    assert (told["target"], told["name"]) == (None, "parts")
    assert client.get(DATASETS).json()["data"][0]["target"] is None


@pytest.mark.parametrize(
    "body",
    [{}, {"target": 1}, {"target": 0}, {"target": "x"}, {"name": ""}, {"name": None}, {"id": "x"}],
)
def test_bad_changes_of_a_dataset(client: httpx.Client, dataset: str, body: dict[str, Any]) -> None:
    assert client.patch(f"{DATASETS}/{dataset}", json=body).status_code == 422


@pytest.fixture
def doubting(
    service: Service, client: httpx.Client, dataset: str, tmp_path: Path
) -> Callable[[list[dict[str, Any]]], str]:
    """What makes a model of the dataset whose advice names some suspects."""
    return partial(_doubting, service, client, dataset, tmp_path)


def _doubting(
    service: Service,
    client: httpx.Client,
    dataset: str,
    folder: Path,
    suspects: list[dict[str, Any]],
) -> str:
    finish(service, dataset)
    body = {"model": "efficientnet_lite0", "training_file": dataset}
    assert client.post("/v1/fine_tuning/jobs", json=body).status_code == 202
    with transaction(service.services.sessions) as session:
        claim = claim_job(session)
        assert claim is not None
        name = finish_job(session, claim, service.services.storage, folder)
        row = session.get_one(ModelRow, name)
        row.card = {**row.card, "advice": {"probably_mislabelled": suspects}}
    return name


def test_suspect_labels_are_listed_until_they_are_settled(
    client: httpx.Client, dataset: str, doubting: Callable[[list[dict[str, Any]]], str]
) -> None:
    some = [one for one in examples(client, dataset) if one["label"] == "a"][:3]
    told = [{"example_id": one["id"], "label": "a", "suggested": "b"} for one in some]
    model = doubting(told)
    found = examples(client, dataset, suspect=model)
    assert [one["id"] for one in found] == [one["id"] for one in some]
    assert [one["id"] for one in examples(client, dataset, suspect=model, after=some[0]["id"])] == [
        one["id"] for one in some[1:]
    ]
    assert examples(client, dataset, suspect=model, label="b") == []
    change(
        client,
        dataset,
        {"id": some[0]["id"], "label": "b"},
        {"id": some[1]["id"], "confirmed": True},
    )
    assert [one["id"] for one in examples(client, dataset, suspect=model)] == [some[2]["id"]]
    assert len(examples(client, dataset, suspect=model, version=1)) == 3


def test_an_unknown_suspecting_model_is_refused(client: httpx.Client, dataset: str) -> None:
    refused = client.get(f"{DATASETS}/{dataset}/examples", params={"suspect": "nobody@all"})
    assert code(refused) == (404, "not_found")
    assert refused.json()["param"] == "suspect"


def test_suspects_of_several_labels_are_told_by_all_of_them(
    client: httpx.Client, dataset: str, doubting: Callable[[list[dict[str, Any]]], str]
) -> None:
    first, second = [one for one in examples(client, dataset) if one["label"] == "a"][:2]
    told = [
        {"example_id": first["id"], "label": "a", "labels": ["a"], "suggested_labels": []},
        {"example_id": second["id"], "label": "a, b", "labels": ["a", "b"]},
    ]
    found = examples(client, dataset, suspect=doubting(told))
    assert [one["id"] for one in found] == [first["id"]]
