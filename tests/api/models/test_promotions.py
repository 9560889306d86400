"""Histories, roll-backs, canaries and promotions over HTTP, without a trainer."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app.infra.database import reading, transaction
from app.infra.orm import ModelRow, ShadowAgreementRow
from app.infra.repositories.retraining.agreement import ShadowTally
from tests.api.models.test_models import new_model, problem
from tests.api.service import Service

ALIAS = "/v1/aliases/cells@production"
WAIT_NOT = {"prefer": "wait=1"}


@pytest.fixture
def models(service: Service, key: str, tmp_path: Path) -> list[str]:
    return [new_model(service, tmp_path, number=number) for number in (1, 2, 3)]


def put(client: httpx.Client, model: str) -> None:
    client.put(ALIAS, json={"model": model}).raise_for_status()


def test_a_forced_promotion_moves_the_alias_and_is_in_its_history(
    client: httpx.Client, models: list[str]
) -> None:
    put(client, models[0])
    body = {"candidate": models[1], "force": True, "reason": "hot fix"}
    made = client.post(f"{ALIAS}/promotions", json=body)
    assert made.status_code == 201
    said = made.json()
    assert (said["verdict"], said["forced"], said["incumbent"]) == ("promoted", True, models[0])
    assert said["reason"] == "forced: hot fix"
    assert client.get(made.headers["location"]).json() == said
    assert client.get(f"{ALIAS}/promotions").json()["data"] == [said]
    assert client.get(ALIAS).json()["model"] == models[1]
    newest, first = client.get(f"{ALIAS}/history").json()["data"]
    assert (newest["cause"], newest["promotion"]) == ("promotion", said["id"])
    assert (newest["from_model"], newest["model"]) == (models[0], models[1])
    assert newest["by"] == said["requested_by"] == first["by"]
    assert first["evidence"]["accuracy"]["value"] == 0.9


def test_a_promotion_waits_for_a_trainer(client: httpx.Client, models: list[str]) -> None:
    put(client, models[0])
    made = client.post(f"{ALIAS}/promotions", json={"candidate": models[1]}, headers=WAIT_NOT)
    assert made.status_code == 202
    assert (made.json()["status"], made.json()["verdict"]) == ("waiting", None)
    assert client.get(ALIAS).json()["model"] == models[0]


def test_rolling_back_goes_back_as_far_as_there_is_something(
    client: httpx.Client, models: list[str]
) -> None:
    for model in models:
        put(client, model)
    back = client.post(f"{ALIAS}/rollback", json={"reason": "complaints"})
    assert (back.status_code, back.json()["model"]) == (200, models[1])
    assert client.post(f"{ALIAS}/rollback").json()["model"] == models[0]
    assert problem(client.post(f"{ALIAS}/rollback")) == (409, "invalid_transition")
    put(client, models[2])
    assert client.post(f"{ALIAS}/rollback").json()["model"] == models[0]
    causes = [move["cause"] for move in client.get(f"{ALIAS}/history").json()["data"]]
    assert causes == ["rollback", "put", "rollback", "rollback", "put", "put", "put"]


def test_a_deleted_model_is_passed_over(client: httpx.Client, models: list[str]) -> None:
    for model in models:
        put(client, model)
    client.delete(f"/v1/models/{models[1]}").raise_for_status()
    assert client.post(f"{ALIAS}/rollback").json()["model"] == models[0]


def test_one_request_is_one_line_of_the_history(client: httpx.Client, models: list[str]) -> None:
    put(client, models[0])
    client.patch(ALIAS, json={"prediction_log": {}}).raise_for_status()
    both = {"shadow": models[1], "prediction_log": None}
    told = client.patch(ALIAS, json=both).json()
    assert (told["shadow"], told["prediction_log"]) == (models[1], None)
    newest, begun, *_ = client.get(f"{ALIAS}/history").json()["data"]
    assert (newest["cause"], newest["evidence"]) == ("traffic", {"split": [], "shadow": models[1]})
    assert (begun["cause"], begun["evidence"]["shadow"]) == ("traffic", None)
    client.patch(ALIAS, json={"prediction_log": {}}).raise_for_status()
    client.patch(ALIAS, json={"prediction_log": None}).raise_for_status()
    assert len(client.get(f"{ALIAS}/history").json()["data"]) == 5


def test_a_history_outlives_its_alias(client: httpx.Client, models: list[str]) -> None:
    put(client, models[0])
    client.delete(ALIAS).raise_for_status()
    newest = client.get(f"{ALIAS}/history").json()["data"][0]
    assert (newest["cause"], newest["model"]) == ("deleted", None)
    put(client, models[1])
    assert problem(client.post(f"{ALIAS}/rollback")) == (409, "invalid_transition")


def test_a_split_and_a_shadow_are_set_and_end_with_a_move(
    client: httpx.Client, models: list[str]
) -> None:
    put(client, models[0])
    split = [{"model": models[1], "weight": 0.1}]
    changed = client.patch(ALIAS, json={"split": split, "shadow": models[2]}).json()
    assert (changed["split"], changed["shadow"]) == (split, models[2])
    assert client.patch(ALIAS, json={"shadow": None}).json()["split"] == split
    assert problem(client.delete(f"/v1/models/{models[1]}")) == (409, "in_use")
    client.post(f"{ALIAS}/promotions", json={"candidate": models[1], "force": True})
    alias = client.get(ALIAS).json()
    assert (alias["model"], alias["split"], alias["shadow"]) == (models[1], [], None)


def test_a_split_keeps_the_classes_of_the_alias(
    service: Service, client: httpx.Client, models: list[str]
) -> None:
    with transaction(service.services.sessions) as session:
        for model, classes in zip(models, ("abc", "ca", "bacd"), strict=True):
            row = session.get_one(ModelRow, model)
            row.card = row.card | {"config": {"classes": list(classes)}}
    put(client, models[0])
    lacking, whole = ([{"model": model, "weight": 0.1}] for model in models[1:])
    refused = client.patch(ALIAS, json={"split": [*whole, *lacking]})
    assert problem(refused) == (422, "invalid_value")
    assert f"{models[1]}: the candidate lacks 1 of the incumbent's 3 classes: 'b'" in refused.text
    assert client.get(ALIAS).json()["split"] == []
    assert client.patch(ALIAS, json={"split": whole}).json()["split"] == whole
    meant = client.patch(ALIAS, json={"split": lacking, "classes": "any"})
    assert meant.json()["split"] == lacking
    assert client.patch(ALIAS, json={"shadow": models[1]}).json()["shadow"] == models[1]


@pytest.mark.parametrize("goes", ["alias", "model"])
def test_what_a_shadow_agreed_to_goes_with_either(
    service: Service, client: httpx.Client, models: list[str], goes: str
) -> None:
    shadow = models[1]

    def begin() -> None:
        put(client, models[0])
        client.patch(ALIAS, json={"shadow": shadow}).raise_for_status()

    def rows() -> int:
        with reading(service.services.sessions) as session:
            return len(session.scalars(select(ShadowAgreementRow)).all())

    begin()
    tally = ShadowTally()
    tally.count(("default", "cells@production", models[0], shadow), [(), ()])
    tally.flush(service.services.sessions)
    assert client.get(f"{ALIAS}/shadow").json()["compared"] == 2
    if goes == "alias":
        client.delete(ALIAS).raise_for_status()
        begin()
        assert client.get(f"{ALIAS}/shadow").json()["compared"] == 0
    else:
        client.patch(ALIAS, json={"shadow": None}).raise_for_status()
        client.delete(f"/v1/models/{shadow}").raise_for_status()
    assert rows() == 0


@pytest.mark.parametrize(
    ("split", "code"),
    [
        ([{"model": 1, "weight": 0.6}, {"model": 2, "weight": 0.6}], "invalid_value"),
        ([{"model": 1, "weight": 0.1}, {"model": 1, "weight": 0.1}], "invalid_value"),
        ([{"model": 0, "weight": 0.1}], "invalid_value"),
        ([{"model": 1, "weight": 0}], "invalid_request"),
        ([{"model": 1, "weight": 1.5}], "invalid_request"),
    ],
)
def test_bad_splits(
    client: httpx.Client, models: list[str], split: list[dict[str, float]], code: str
) -> None:
    put(client, models[0])
    named = [{**share, "model": models[int(share["model"])]} for share in split]
    assert problem(client.patch(ALIAS, json={"split": named})) == (422, code)


def test_what_cannot_be_promoted(
    client: httpx.Client, other_client: httpx.Client, models: list[str]
) -> None:
    put(client, models[0])
    for body, expected in (
        ({"candidate": "ft:a:b:c:d"}, (404, "not_found")),
        ({"candidate": models[0]}, (422, "invalid_value")),
        ({"candidate": models[1], "gate": {"margin": 2}}, (422, "invalid_request")),
        (
            {"candidate": models[1], "gate": {"evaluation_set": "ds_" + "0" * 26}},
            (404, "not_found"),
        ),
    ):
        assert problem(client.post(f"{ALIAS}/promotions", json=body)) == expected
    foreign = other_client.post(f"{ALIAS}/promotions", json={"candidate": models[1]})
    assert problem(foreign) == (404, "not_found")
    assert problem(other_client.get(f"{ALIAS}/history")) == (404, "not_found")
    assert problem(other_client.post(f"{ALIAS}/rollback")) == (404, "not_found")


def test_the_same_key_promotes_once(client: httpx.Client, models: list[str]) -> None:
    put(client, models[0])
    body = {"candidate": models[1], "force": True}
    headers = {"idempotency-key": "once"}
    made = [client.post(f"{ALIAS}/promotions", json=body, headers=headers) for _ in range(2)]
    assert made[0].json() == made[1].json()
    assert len(client.get(f"{ALIAS}/promotions").json()["data"]) == 1
