"""What a job cannot be, refused by name before anything is queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.jobs.test_jobs import body, create, dataset, refused
from tests.api.service import Service

JOBS = "/v1/fine_tuning/jobs"


def test_a_backbone_without_weights_is_refused_at_once(
    service: Service, client: httpx.Client, supply: Callable[[str], None]
) -> None:
    data = dataset(service)
    asked = body(data, model="vit_b_16")
    answer = client.post("/v1/fine_tuning/jobs", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (503, "backbone_unavailable")
    assert "put vit_b_16.safetensors or vit_b_16.pth into" in answer.json()["detail"]
    listed = {one["id"]: one for one in client.get("/v1/backbones").json()["data"]}
    assert listed["vit_b_16"]["reason"] == answer.json()["detail"]
    supply("vit_b_16")
    assert client.post("/v1/fine_tuning/jobs", json=asked).status_code == 202


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": "no_such_net"}, "unknown_backbone", "model"),
        ({"method": {"type": "magic"}}, "unknown_method", "method"),
        ({"method": {"type": "setfit"}}, "modality_mismatch", "method"),
        ({"model": "all-MiniLM-L6-v2"}, "modality_mismatch", "training_file"),
        ({"seed": -1}, "invalid_request", "seed"),
        ({"seed": 2**32}, "invalid_request", "seed"),
        ({"suffix": "a/b"}, "invalid_request", "suffix"),
        ({"suffix": "x" * 65}, "invalid_request", "suffix"),
        ({"no_such_field": 1}, "invalid_request", "no_such_field"),
        ({"metadata": {"a": 1}}, "invalid_request", "metadata.a"),
        ({"integrations": [{"type": "wandb"}]}, "invalid_request", "integrations"),
        (
            {"method": {"type": "linear", "ridge": {"hyperparameters": {}}}},
            "invalid_request",
            "method.ridge",
        ),
        (
            {"method": {"linear": {"epochs": 3, "hyperparameters": {"epochs": 4}}}},
            "invalid_request",
            "method",
        ),
        (
            {"method": {"type": "auto"}, "hyperparameters": {"n_epochs": 3}},
            "invalid_request",
            "hyperparameters",
        ),
    ],
)
def test_what_a_job_cannot_be_is_refused_by_name(
    service: Service, client: httpx.Client, fields: dict[str, Any], code: str, param: str
) -> None:
    assert refused(client, body(dataset(service)) | fields) == (422, code, param)


def test_hyperparameters_out_of_range_are_refused(service: Service, client: httpx.Client) -> None:
    data = dataset(service)
    for name, value in [
        ("learning_rate", 0),
        ("learning_rate", -1),
        ("learning_rate", 1e30),
        ("learning_rate", "fast"),
        ("epochs", 0),
        ("epochs", 10**9),
        ("epochs", 1.5),
        ("no_such", 1),
    ]:
        method = {"type": "linear", "linear": {"hyperparameters": {name: value}}}
        param = f"method.linear.hyperparameters.{name}"
        sent = body(data, method=method)
        assert refused(client, sent) == (422, "invalid_hyperparameter", param), value


@pytest.mark.parametrize(
    "fields",
    [
        {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}},
        {"hyperparameters": {"n_epochs": 3}},
    ],
)
def test_openais_own_method_means_auto(
    service: Service, client: httpx.Client, fields: dict[str, Any]
) -> None:
    job = create(client, dataset(service), **fields)
    assert job["method"]["type"] == "auto"
    assert job["hyperparameters"]["n_epochs"] == 3
    events = client.get(f"{JOBS}/{job['id']}/events").json()["data"]
    assert [event["level"] for event in events].count("warn") == 1


def test_hyperparameters_are_read_where_people_put_them(
    service: Service, client: httpx.Client
) -> None:
    data = dataset(service)
    sent = body(data, method={"type": "linear", "hyperparameters": {"epochs": 3}})
    job = client.post("/v1/fine_tuning/jobs", json=sent).json()
    assert job["method"]["linear"]["hyperparameters"]["epochs"] == 3
    sent = body(data, method={"type": "linear", "hyperparameters": {"epoch": 3}})
    wrong = "method.linear.hyperparameters.epoch"
    assert refused(client, sent) == (422, "invalid_hyperparameter", wrong)
