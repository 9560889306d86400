"""Models, aliases and the catalogue over HTTP."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from app.infra.database import transaction
from app.infra.orm import JobRow, ModelRow
from app.infra.repositories import models
from tests.api.service import Service
from tests.factories import add_model, make_dataset

pytestmark = pytest.mark.slow


@pytest.fixture
def model(service: Service, key: str, tmp_path: Path) -> str:
    return new_model(service, tmp_path)


def new_model(
    service: Service, tmp_path: Path, *, organisation_id: str = "default", number: int = 1
) -> str:
    with transaction(service.services.sessions) as session:
        version = make_dataset(session, organisation_id=organisation_id)
        job = JobRow(
            id=f"ftjob-{number:026d}",
            organisation_id=organisation_id,
            status="succeeded",
            backbone="efficientnet_lite0",
            dataset_id=version.dataset_id,
            version_id=version.id,
            method="auto",
            hyperparameters={},
            seed=1,
            suffix="cells",
            created_at=1000.0 + number,
        )
        session.add(job)
        session.flush()
        return add_model(session, job, service.services.storage, tmp_path).id


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_model_is_listed_and_read_back(client: httpx.Client, model: str) -> None:
    listed = client.get("/v1/models").json()
    assert (listed["object"], listed["has_more"]) == ("list", False)
    found = listed["data"][0]
    assert found["id"] == model
    assert (found["object"], found["owned_by"]) == ("model", "default")
    assert isinstance(found["created"], int)
    detail = client.get(f"/v1/models/{model}").json()
    assert detail.pop("card") == {"labels": ["a", "b"], "views": ["squish"]}
    assert detail.pop("precision") == {"fitted": None, "served": None}
    prediction = {"backbones": ["efficientnet_lite0"], "passes": 1, "views": ["squish"]}
    assert detail.pop("prediction") == prediction
    assert detail.pop("calibration") is None
    assert (detail.pop("name"), detail.pop("ready")) == (model, True)
    assert detail == found


def test_all_models_come_on_one_page(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    made = [new_model(service, tmp_path, number=number) for number in range(1, 131)]
    listed = client.get("/v1/models", params={"limit": 5}).json()["data"]
    assert {found["id"] for found in listed} == set(made)


def test_an_alias_names_a_model_everywhere(client: httpx.Client, model: str) -> None:
    put = client.put("/v1/aliases/cells@production", json={"model": model})
    assert put.status_code == 200
    assert put.json()["model"] == model
    assert client.get("/v1/aliases/cells@production").json() == put.json()
    for path in ("", "/evaluation", "/artifacts", "/artifacts/head"):
        assert client.get(f"/v1/models/cells@production{path}").status_code == 200
    assert client.get("/v1/models/cells@production").json()["id"] == model
    assert client.get(f"/v1/models/{model}").json()["aliases"] == ["cells@production"]


def test_ids_may_come_percent_encoded(client: httpx.Client, model: str) -> None:
    encoded = model.replace(":", "%3A")
    assert client.get(f"/v1/models/{encoded}").json()["id"] == model
    client.put("/v1/aliases/cells%40production", json={"model": model}).raise_for_status()
    assert client.get("/v1/aliases/cells@production").json()["model"] == model


def test_an_alias_moves_and_goes(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    second = new_model(service, tmp_path, number=2)
    client.put("/v1/aliases/staging", json={"model": model}).raise_for_status()
    client.put("/v1/aliases/staging", json={"model": second}).raise_for_status()
    client.put("/v1/aliases/production", json={"model": "staging"}).raise_for_status()
    listed = client.get("/v1/aliases", params={"limit": 1}).json()
    assert [alias["name"] for alias in listed["data"]] == ["production"]
    assert listed["has_more"] is True
    rest = client.get("/v1/aliases", params={"after": "production"}).json()
    assert [(alias["id"], alias["model"]) for alias in rest["data"]] == [("staging", second)]
    gone = client.delete("/v1/aliases/staging")
    told = gone.json()
    assert told.pop("deletion")["subject"] == {"object": "alias", "id": "staging"}
    assert told == {"id": "staging", "object": "alias", "deleted": True}
    assert problem(client.delete("/v1/aliases/staging")) == (404, "not_found")
    assert problem(client.get("/v1/aliases/staging")) == (404, "not_found")


def test_what_cannot_be_an_alias_is_refused(client: httpx.Client, model: str) -> None:
    for name in ("a:b", "-a", "ftjob-1", "x" * 129, "a b", "%00", "ünder"):
        answer = client.put(f"/v1/aliases/{name}", json={"model": model})
        assert problem(answer) == (422, "invalid_request"), name
    for body in ({}, {"model": ""}, {"model": model, "more": 1}, {"model": 3}, []):
        answer = client.put("/v1/aliases/fine", json=body)
        assert problem(answer) == (422, "invalid_request"), body
    assert problem(client.put("/v1/aliases/fine", json={"model": "nobody"})) == (404, "not_found")
    assert problem(client.get("/v1/aliases", params={"after": "a:b"})) == (422, "invalid_request")


def test_an_alias_cannot_be_called_as_a_backbone(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    folder = tmp_path / "weights" / "my-encoder"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 8}')
    object.__setattr__(service.settings, "weights_dir", folder.parent)
    for name in ("efficientnet_lite0", "all-MiniLM-L6-v2", "my-encoder"):
        answer = client.put(f"/v1/aliases/{name}", json={"model": model})
        assert problem(answer) == (422, "invalid_value"), name
        assert "backbone" in answer.json()["detail"]
    assert client.get("/v1/aliases").json()["data"] == []


def test_a_slash_in_an_id_is_not_found(client: httpx.Client) -> None:
    assert problem(client.get("/v1/models/a%2Fb")) == (404, "not_found")


def test_the_evaluation_says_how_it_was_obtained(client: httpx.Client, model: str) -> None:
    found = client.get(f"/v1/models/{model}/evaluation").json()
    assert found["object"] == "model.evaluation"
    assert found["model"] == model
    assert found["how"] == {"method": "k-fold", "folds": 5}
    assert found["accuracy"] == {"value": 0.9, "low": 0.7, "high": 1.0}


def test_the_evaluation_has_the_advice_of_the_card(
    service: Service, client: httpx.Client, model: str
) -> None:
    assert client.get(f"/v1/models/{model}/evaluation").json()["advice"] is None
    suspect = {"example_id": "ex_1", "label": "a", "suggested": "b", "probability": 0.9}
    advice = {
        "learning_curve": None,
        "more_of_all": None,
        "more_examples": [],
        "confused": [{"labels": ["a", "b"], "count": 2, "share": 0.2, "message": "both"}],
        "probably_mislabelled": [suspect],
        "near_copies": None,
        "near_duplicates": [],
    }
    with transaction(service.services.sessions) as session:
        row = session.get_one(ModelRow, model)
        row.card = {**row.card, "advice": advice}
    assert client.get(f"/v1/models/{model}/evaluation").json()["advice"] == advice
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(schemas["Advice"]["properties"]) == set(advice)
    assert "class_balance" in schemas["Evaluation"]["properties"]


def test_the_files_of_a_model_can_be_fetched(client: httpx.Client, model: str) -> None:
    listed = client.get(f"/v1/models/{model}/artifacts").json()["data"]
    names = [file["id"] for file in listed]
    assert names == ["head", "model.json", "onnx", "openvino", "torch"]
    head = client.get(f"/v1/models/{model}/artifacts/head")
    assert (
        hashlib.sha256(head.content).hexdigest()
        == client.get("/v1/models").json()["data"][0]["sha256"]
    )
    assert 'filename="head.safetensors"' in head.headers["content-disposition"]
    same = client.get(f"/v1/models/{model}/artifacts/head.safetensors")
    assert same.content == head.content
    card = client.get(f"/v1/models/{model}/artifacts/model.json")
    assert card.headers["content-type"] == "application/json"
    assert card.json()["labels"] == ["a", "b"]
    assert problem(client.get(f"/v1/models/{model}/artifacts/onnxx")) == (404, "not_found")


def test_a_damaged_head_is_not_handed_out(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    (head,) = (tmp_path / "storage").rglob("head.safetensors")
    data = bytearray(head.read_bytes())
    data[0] ^= 1
    head.write_bytes(data)
    assert problem(client.get(f"/v1/models/{model}/artifacts/head")) == (503, "model_corrupt")
    head.unlink()
    answer = client.get(f"/v1/models/{model}/artifacts/head")
    assert problem(answer) == (503, "model_corrupt")
    assert "retry-after" in answer.headers


@pytest.mark.parametrize("change", [b'{"labels": ["b", "a"], "views": ["squish"]}', b"{", b"\xff"])
def test_a_damaged_card_is_not_handed_out(
    client: httpx.Client, model: str, tmp_path: Path, change: bytes
) -> None:
    (card,) = (tmp_path / "storage").rglob("model.json")
    card.write_bytes(change)
    answer = client.get(f"/v1/models/{model}/artifacts/model.json")
    assert problem(answer) == (503, "model_corrupt")


def test_a_deleted_model_is_gone_with_its_files(
    service: Service, client: httpx.Client, model: str, tmp_path: Path
) -> None:
    gone = client.delete(f"/v1/models/{model}")
    told = gone.json()
    deletion = told.pop("deletion")
    assert told == {"id": model, "object": "model", "deleted": True}
    assert (deletion["status"], deletion["removed"]["models"]) == ("done", 1)
    assert deletion["removed"]["files"] >= 2
    assert client.get("/v1/models").json()["data"] == []
    assert problem(client.get(f"/v1/models/{model}")) == (404, "not_found")
    assert problem(client.delete(f"/v1/models/{model}")) == (404, "not_found")
    assert list((tmp_path / "storage").rglob("head.safetensors")) == []


def test_a_model_in_use_stays(client: httpx.Client, model: str) -> None:
    client.put("/v1/aliases/production", json={"model": model}).raise_for_status()
    answer = client.delete(f"/v1/models/{model}")
    assert problem(answer) == (409, "in_use")
    assert answer.headers["x-should-retry"] == "false"
    assert problem(client.delete("/v1/models/production")) == (404, "not_found")
    assert client.get(f"/v1/models/{model}/artifacts/head").status_code == 200
    client.delete("/v1/aliases/production").raise_for_status()
    assert client.delete(f"/v1/models/{model}").status_code == 200


def test_somebody_elses_model_looks_like_none(
    service: Service, client: httpx.Client, other_client: httpx.Client, model: str
) -> None:
    client.put("/v1/aliases/production", json={"model": model}).raise_for_status()
    assert other_client.get("/v1/models").json()["data"] == []
    assert other_client.get("/v1/aliases").json()["data"] == []
    tried: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/v1/models/{}", {}),
        ("DELETE", "/v1/models/{}", {}),
        ("GET", "/v1/models/{}/evaluation", {}),
        ("GET", "/v1/models/{}/artifacts", {}),
        ("GET", "/v1/models/{}/artifacts/head", {}),
    ]
    for method, path, more in tried:
        answers = []
        for name in (model, "ft:efficientnet_lite0:default::nothing", "production"):
            answer = other_client.request(method, path.format(name), **more)
            found = answer.json()
            found.pop("request_id")
            answers.append((answer.status_code, found))
        assert answers[0] == answers[1] == answers[2], path
        assert answers[0][0] == 404
    assert problem(other_client.put("/v1/aliases/mine", json={"model": model})) == (
        404,
        "not_found",
    )
    assert problem(other_client.get("/v1/aliases/production")) == (404, "not_found")
    assert problem(other_client.delete("/v1/aliases/production")) == (404, "not_found")
    assert client.get("/v1/models/production").json()["id"] == model


def test_the_same_alias_of_two_organisations_means_two_models(
    service: Service,
    client: httpx.Client,
    other_client: httpx.Client,
    model: str,
    tmp_path: Path,
) -> None:
    theirs = new_model(service, tmp_path, organisation_id="other", number=2)
    client.put("/v1/aliases/production", json={"model": model}).raise_for_status()
    other_client.put("/v1/aliases/production", json={"model": theirs}).raise_for_status()
    assert client.get("/v1/models/production").json()["id"] == model
    assert other_client.get("/v1/models/production").json()["id"] == theirs


def test_the_catalogue_lists_backbones_and_methods(client: httpx.Client) -> None:
    backbones = {found["id"]: found for found in client.get("/v1/backbones").json()["data"]}
    assert {"efficientnet_lite0", "mobilenet_v2", "resnet50", "all-MiniLM-L6-v2"} <= set(backbones)
    first = backbones["efficientnet_lite0"]
    assert (first["modality"], first["dim"], first["licence"]) == ("image", 1280, "Apache-2.0")
    for found in backbones.values():
        assert found["available"] == (found["weights"] is not None)
        assert found["available"] == (found["reason"] is None)
    methods = {found["id"]: found for found in client.get("/v1/methods").json()["data"]}
    assert {"auto", "linear", "logistic", "prototypical", "matching", "reptile"} <= set(methods)
    assert "learning_rate" in methods["linear"]["hyperparameters"]["properties"]
    assert first["tuning"] == ["partial", "lora", "full"]
    assert backbones["all-MiniLM-L6-v2"]["tuning"] == ["lora", "full", "setfit"]
    for found in backbones.values():
        assert all(found["modality"] in methods[one]["modalities"] for one in found["tuning"])


def test_a_model_deleted_while_it_is_looked_up_is_not_found(
    client: httpx.Client, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = models.resolve

    def then_deleted(session: Session, *, organisation_id: str, name: str) -> models.Resolved:
        told = resolved(session, organisation_id=organisation_id, name=name)
        assert client.delete(f"/v1/models/{told.id}").status_code == 200
        session.close()  # what comes next sees the deletion, as at "read committed"
        return told

    monkeypatch.setattr(models, "resolve", then_deleted)
    assert problem(client.get(f"/v1/models/{model}/evaluation")) == (404, "not_found")
