"""Held-out answers and comparisons over HTTP: never of an example that was learned from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.infra.database import transaction
from app.infra.orm import DatasetRow, ModelRow
from tests.api.models.test_models import new_model, problem
from tests.api.service import Service
from tests.factories import make_key

pytestmark = pytest.mark.slow


def answer(number: int, expected: str, label: str, probability: float = 0.8) -> dict[str, Any]:
    rest = "b" if label == "a" else "a"
    shares = [
        {"label": label, "probability": probability},
        {"label": rest, "probability": 1 - probability},
    ]
    own = probability if expected == label else 1 - probability
    return {
        "example_id": f"ex_{number:024x}",
        "expected": expected,
        "expected_probability": own,
        **shares[0],
        "predictions": shares,
    }


def judged(service: Service, folder: Path, model: str, rows: list[dict[str, Any]]) -> None:
    """Let the model have been judged so."""
    path = folder / "held_out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with transaction(service.services.sessions) as session:
        prefix = session.get_one(ModelRow, model).artifact
    service.services.storage.put(f"{prefix}/held_out.jsonl", path)


@pytest.fixture
def model(service: Service, key: str, tmp_path: Path) -> str:
    made = new_model(service, tmp_path)
    rows = [answer(1, "a", "a"), answer(2, "a", "b"), answer(3, "b", "b"), answer(4, "b", "b", 0.6)]
    judged(service, tmp_path, made, rows)
    return made


def listed(client: httpx.Client, model: str, **query: Any) -> list[str]:
    found = client.get(f"/v1/models/{model}/evaluation/examples", params=query)
    assert found.status_code == 200, found.text
    return [one["example_id"][-1] for one in found.json()["data"]]


def test_a_cell_of_the_matrix_opens(client: httpx.Client, model: str) -> None:
    assert listed(client, model) == ["1", "2", "3", "4"]
    assert listed(client, model, expected="a", label="b") == ["2"]
    assert listed(client, model, correct=True) == ["1", "3", "4"]
    assert listed(client, model, expected="a", correct=True) == ["1"]
    assert listed(client, model, expected="nothing") == []


def test_they_are_paged_and_name_their_dataset(client: httpx.Client, model: str) -> None:
    url = f"/v1/models/{model}/evaluation/examples"
    page = client.get(url, params={"limit": 3}).json()
    assert page["has_more"]
    assert page["dataset"]["version"] == 1
    assert page["data"][1]["predictions"][0] == {"label": "b", "probability": 0.8}
    assert page["data"][1]["expected_probability"] == pytest.approx(0.2)
    last = page["data"][-1]["id"]
    rest = client.get(url, params={"limit": 3, "after": last}).json()
    assert [one["id"][-1] for one in rest["data"]] == ["4"]
    assert not rest["has_more"]
    unknown = client.get(url, params={"after": "ex_" + "f" * 24})
    assert problem(unknown) == (422, "invalid_request")


def test_a_model_without_them_says_so(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    bare = new_model(service, tmp_path, number=7)
    answered = client.get(f"/v1/models/{bare}/evaluation/examples")
    assert problem(answered) == (404, "not_found")
    assert "train it again" in answered.json()["detail"]


def test_two_models_are_compared_where_both_were_judged(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    other = new_model(service, tmp_path, number=2)
    rows = [answer(2, "a", "a"), answer(3, "b", "a"), answer(4, "a", "b"), answer(9, "a", "a")]
    judged(service, tmp_path, other, rows)
    found = client.get(f"/v1/models/{model}/comparison", params={"other": other}).json()
    assert found["num_examples"] == 2
    assert found["left_out"] == 1  # 4 has another label by now
    assert found["counts"] == {"both_right": 0, "only_this": 1, "only_other": 1, "both_wrong": 0}
    assert found["p_value"] == 1.0
    query = {"other": other, "outcome": "only_other"}
    (one,) = client.get(f"/v1/models/{model}/comparison", params=query).json()["data"]
    assert (one["example_id"][-1], one["expected"]) == ("2", "a")
    assert (one["this"]["label"], one["other"]["label"]) == ("b", "a")
    reverse = client.get(f"/v1/models/{other}/comparison", params={"other": model}).json()
    assert reverse["counts"]["only_this"] == found["counts"]["only_other"]


def test_models_without_a_common_example_are_not_compared(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    other = new_model(service, tmp_path, number=3)
    judged(service, tmp_path, other, [answer(9, "a", "a")])
    refused = client.get(f"/v1/models/{model}/comparison", params={"other": other})
    assert problem(refused) == (422, "invalid_request")
    assert client.get(f"/v1/models/{model}/comparison").status_code == 422


def test_nobody_else_sees_them(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    with service.client(make_key(service.services.sessions, "other")) as stranger:
        assert stranger.get(f"/v1/models/{model}/evaluation/examples").status_code == 404
        query = {"other": model}
        assert stranger.get(f"/v1/models/{model}/comparison", params=query).status_code == 404
    foreign = new_model(service, tmp_path, organisation_id="other", number=5)
    query = {"other": foreign}
    assert client.get(f"/v1/models/{model}/comparison", params=query).status_code == 404


def test_a_model_tells_what_it_was_made_of(
    service: Service, client: httpx.Client, model: str
) -> None:
    (found,) = client.get("/v1/models").json()["data"]
    assert found["suffix"] == "cells"
    assert (found["dataset"]["name"], found["dataset"]["version"]) == ("cells", 1)
    with transaction(service.services.sessions) as session:
        session.get_one(ModelRow, model).accuracy = {"value": 0.9, "low": 0.7, "high": 1.0}
        session.delete(session.get_one(DatasetRow, found["dataset"]["id"]))
    detail = client.get(f"/v1/models/{model}").json()
    assert detail["dataset"] is None
    assert detail["accuracy"] == {"value": 0.9, "low": 0.7, "high": 1.0}


def test_the_baseline_is_the_most_frequent_class(
    service: Service, client: httpx.Client, model: str
) -> None:
    assert client.get(f"/v1/models/{model}/evaluation").json()["baseline"] is None
    with transaction(service.services.sessions) as session:
        row = session.get_one(ModelRow, model)
        classes = [{"label": "a", "support": 30}, {"label": "b", "support": 10}]
        row.evaluation = {**row.evaluation, "per_class": classes}
    told = client.get(f"/v1/models/{model}/evaluation").json()["baseline"]
    assert told == {"label": "a", "accuracy": 0.75}


@pytest.mark.parametrize("damage", [b"", b"{", b"garbage", None])
def test_answers_that_are_not_what_was_stored_are_refused(
    service: Service, client: httpx.Client, model: str, damage: bytes | None
) -> None:
    with transaction(service.services.sessions) as session:
        row = session.get_one(ModelRow, model)
        path = service.services.storage.fetch(f"{row.artifact}/held_out.jsonl")
        whole = path.read_bytes()
        row.card = {**row.card, "held_out": {"sha256": hashlib.sha256(whole).hexdigest()}}
    url = f"/v1/models/{model}/evaluation/examples"
    assert client.get(url).status_code == 200
    path.write_bytes(whole.replace(b'"a"', b'"b"') if damage is None else damage)
    assert problem(client.get(url)) == (503, "model_corrupt")


def test_damaged_answers_of_an_older_model_are_refused(
    service: Service, client: httpx.Client, model: str
) -> None:
    with transaction(service.services.sessions) as session:
        prefix = session.get_one(ModelRow, model).artifact
    service.services.storage.fetch(f"{prefix}/held_out.jsonl").write_bytes(b"garbage\n")
    answer = client.get(f"/v1/models/{model}/evaluation/examples")
    assert problem(answer) == (503, "model_corrupt")


def marked(number: int, expected: str, labels: str) -> dict[str, Any]:
    """An answer of several labels, each of one letter."""
    shares = [{"label": x, "probability": 0.9 if x in labels else 0.2} for x in "abc"]
    shares.sort(key=lambda one: -float(str(one["probability"])))
    return {
        "example_id": f"ex_{number:024x}",
        "expected": ", ".join(expected),
        "expected_labels": list(expected),
        "expected_probability": 0.5,
        **shares[0],
        "labels": list(labels),
        "predictions": shares,
    }


def test_answers_of_several_labels_are_found_and_compared_by_label(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    this, other = (new_model(service, tmp_path, number=number) for number in (4, 5))
    rows = [marked(1, "ab", "ab"), marked(2, "b", "bc"), marked(3, "", ""), marked(4, "ac", "a")]
    judged(service, tmp_path, this, rows)
    assert listed(client, this, expected="a") == ["1", "4"]
    assert listed(client, this, expected="b", label="c") == ["2"]
    assert listed(client, this, correct=True) == ["1", "3"]
    first = client.get(f"/v1/models/{this}/evaluation/examples").json()["data"][0]
    assert (first["expected_labels"], first["labels"]) == (["a", "b"], ["a", "b"])
    theirs = [marked(1, "ab", "a"), marked(2, "b", "b"), marked(3, "", ""), marked(4, "a", "a")]
    judged(service, tmp_path, other, theirs)
    found = client.get(f"/v1/models/{this}/comparison", params={"other": other}).json()
    assert (found["num_examples"], found["left_out"]) == (3, 1)
    assert found["counts"] == {"both_right": 1, "only_this": 1, "only_other": 1, "both_wrong": 0}
    assert found["figures"]["this"]["accuracy"] == pytest.approx(2 / 3)
    assert found["figures"]["this"]["mean_average_precision"] == 1.0
    assert set(found["data"][0]["this"]) == {"label", "probability", "labels"}


def test_why_there_are_no_held_out_answers_is_told(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    bare = new_model(service, tmp_path, number=8)
    with transaction(service.services.sessions) as session:
        row = session.get_one(ModelRow, bare)
        row.evaluation = {"estimable": False, "reason": "not estimable: one example of each"}
    told = client.get(f"/v1/models/{bare}/evaluation/examples").json()["detail"]
    assert "one example of each" in told
    assert "train it again" not in told
