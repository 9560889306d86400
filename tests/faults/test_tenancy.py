"""Promise 16: every operation of the OpenAPI without a key, a live one, the scope, the tenant."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app.core.ids import new_id
from app.infra.database import now, transaction
from app.infra.orm import ApiKeyRow, FeedbackRow, JobRow, LoggedPredictionRow
from app.infra.settings import Settings
from tests.api.service import Service, migrated, serve
from tests.api.uploading import examples, finish, made, small
from tests.factories import add_model, make_key

OPEN = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/health", "/ping", "/version"}
ANY_KEY = {"/v2", "/v1/me"}
"""The protocol's own name and version, and who the key is: a key is needed, but no scope."""
ELSEWHERE = re.compile(
    r"/(customvision|tei|models|mlflow|label-studio)/.*|/(predict|embed|info|invocations|ping|health|version)"
    r"|/v1/models/{model}:predict|/v2/repository/.*|/v2/models/stats|/v1/organizations/.*"
    r"|/v2/models/{model}(/versions/{version})?/(config|stats)"
)
"""In other services' words, or about the organisation itself: their own tests ask as strangers."""
PARAMETER = re.compile(r"{(\w+)}")
MISSING = {
    "dataset_id": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "file_id": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "example_id": "ex_" + "0" * 24,
    "job_id": "ftjob-01ke4bz3r0h5d8g2j4n6p9s1v3",
    "batch_id": "batch_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "model": "ft:efficientnet_lite0:default::01ke4bz3r0h5d8g2j4n6p9s1v3",
    "name": "nothing",
    "key_id": "key_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "number": "1",
    "upload_id": "upload_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "hook_id": "hook_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "run_id": "run_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "promotion_id": "prom_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "webhook_id": "we_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "delivery_id": "dlv_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "feedback_id": "fb_01ke4bz3r0h5d8g2j4n6p9s1v3",
    "logged_id": "log_01ke4bz3r0h5d8g2j4n6p9s1v3",
}
BODIES: dict[str, Any] = {
    "/v1/datasets/{dataset_id}/examples/{example_id}": {"json": {"label": "b"}},
    "/v1/models/{model}/predictions": {"json": {"inputs": [{"text": "hello"}]}},
    "/v1/embeddings": {"json": {"model": "all-MiniLM-L6-v2", "input": "hello"}},
    "/v1/aliases/{name}/rollback": {"json": {}},
    "/v1/hooks/{hook_id}/trigger": {"json": {}},
    "/v1/uploads/{upload_id}/parts": {"files": {"data": ("blob", b"hello")}},
}
PREDICTING = (
    "/predictions",
    "/v1/embeddings",
    "/infer",
    "/v1/chat/completions",
    "/v1/responses",
)
GIVING = ("POST", "/v1/models/{model}/feedback")
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}


@dataclass
class Owned:
    """A tenant's things, by the name of the path parameter that they fill."""

    ids: dict[str, str] = field(default_factory=dict)

    def path(self, template: str, **other: str) -> str:
        names = MISSING | self.ids | other
        if template.startswith("/v1/models/{model}/artifacts/"):
            names["name"] = "head"
        return PARAMETER.sub(lambda match: names.get(match[1], "x"), template)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    shutil.copy(migrated(tmp_path_factory.mktemp("database")), folder / "headstart.db")
    with serve(Settings(data_dir=folder)) as running:
        yield running


@pytest.fixture(scope="module")
def operations(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, how to call it) of everything that needs a key."""
    with service.client(None) as anybody:
        document = anybody.get("/openapi.json").json()
    return [
        (method.upper(), path, {**call(document, path, operation), **queried(operation)})
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path not in OPEN
    ]


def queried(operation: dict[str, Any]) -> dict[str, Any]:
    """The query parameters that it cannot do without."""
    needed = [one for one in operation.get("parameters", []) if one["in"] == "query"]
    needed = [one for one in needed if one.get("required")]
    return (
        {"params": {one["name"]: one["schema"].get("enum", ["x"])[0] for one in needed}}
        if needed
        else {}
    )


def call(document: dict[str, Any], path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """A body that the operation accepts, by its own example where it has one."""
    content = operation.get("requestBody", {}).get("content", {})
    if path.endswith("/infer"):
        return {"json": {"inputs": [TENSOR]}}
    if path in BODIES and content:
        return dict(BODIES[path])
    if "multipart/form-data" in content:
        return {"files": {"file": ("set.zip", small())}}
    if "application/json" in content:
        told = content["application/json"]
        name = told["schema"].get("$ref", "").rpartition("/")[2]
        shape = document["components"]["schemas"].get(name, told["schema"])
        return {"json": told.get("example") or shape.get("examples", [{}])[0]}
    return {}


@pytest.fixture(scope="module")
def owned(service: Service) -> Owned:
    """One of everything, of the organisation `default`."""
    key = make_key(service.services.sessions)
    with service.client(key) as client:
        dataset = made(client)["id"]
        finish(service, dataset)
        body = {"model": "efficientnet_lite0", "training_file": dataset}
        job = client.post("/v1/fine_tuning/jobs", json=body).json()["id"]
        with transaction(service.services.sessions) as session:
            row = session.get_one(JobRow, job)
            folder = service.settings.data_dir
            model = add_model(session, row, service.services.storage, folder).id
            key_id = session.scalars(select(ApiKeyRow.id)).first()
        client.put("/v1/aliases/production", json={"model": model}).raise_for_status()
        asked = {"model": model, "dataset": dataset}
        batch = client.post("/v1/batch_predictions", json=asked).json()["id"]
        example = examples(client, dataset)[0]["id"]
        announced = {"filename": "x", "bytes": 1, "mime_type": "text/csv", "purpose": "batch"}
        upload = client.post("/v1/uploads", json=announced).json()["id"]
    ids = {"dataset_id": dataset, "file_id": dataset, "example_id": example, "job_id": job}
    ids |= {"model": model, "name": "production", "key_id": str(key_id), "batch_id": batch}
    ids |= {"upload_id": upload}
    with service.client(key) as client:
        ids |= retraining(client, dataset)
    ids |= in_use(service, model)
    return Owned(ids)


def retraining(client: httpx.Client, dataset: str) -> dict[str, str]:
    """A hook and its run, a promotion that waits, a webhook and a delivery."""
    new = {
        "name": "nightly",
        "dataset": dataset,
        "alias": "production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "inbound"}],
        "debounce_seconds": 3600,
    }
    hook = client.post("/v1/hooks", json=new).json()["id"]
    run = client.post(f"/v1/hooks/{hook}/trigger").json()["id"]
    webhook = client.post("/v1/webhooks", json={"url": "https://example.invalid/"}).json()["id"]
    delivery = client.post(f"/v1/webhooks/{webhook}/test").json()["id"]
    moved = client.post(
        "/v1/aliases/staging/promotions", json={"candidate": "production", "force": True}
    )
    return {
        "hook_id": hook,
        "run_id": run,
        "webhook_id": webhook,
        "delivery_id": delivery,
        "promotion_id": moved.json()["id"],
    }


def in_use(service: Service, model: str) -> dict[str, str]:
    """Feedback and a logged input of the model."""
    common = {"organisation_id": "default", "model_id": model, "place": 0, "sha256": "0" * 64}
    said = {"label": "a", "probability": 1.0, "scores": {"a": 1.0}}
    ids = {"feedback_id": new_id("fb_"), "logged_id": new_id("log_")}
    with transaction(service.services.sessions) as session:
        at = now(session)
        session.add(
            FeedbackRow(
                id=ids["feedback_id"], **common, subject="s", alias="", answer=said, unknown=False,
                audited=True, source="api", actor="key_1", content_length=0, created_at=at,
                updated_at=at,
            )
        )  # fmt: skip
        session.add(
            LoggedPredictionRow(
                id=ids["logged_id"], **common, alias="production", prediction_id=new_id("pred_"),
                answer=said, content_start=0, content_length=0, lot=0.5, created_at=at,
                expires_at=at + 1000,
            )
        )  # fmt: skip
    return ids


def answer(client: httpx.Client, method: str, path: str, how: dict[str, Any]) -> tuple[int, Any]:
    got = client.request(method, path, **how)
    if not got.content:
        return got.status_code, None
    said = got.json()
    if isinstance(said, dict):
        said.pop("request_id", None)
    return got.status_code, said


@pytest.mark.promise(16)
def test_without_a_valid_key_nothing_answers(
    service: Service, operations: list[Any], owned: Owned
) -> None:
    sessions = service.services.sessions
    revoked = make_key(sessions)
    with transaction(sessions) as session:
        session.execute(
            update(ApiKeyRow)
            .where(ApiKeyRow.prefix == revoked[:15])
            .values(revoked_at=now(session))
        )
    for key in (None, revoked, revoked[:-1] + "x", "hs_short", "sk-other"):
        with service.client(key) as client:
            for method, path, how in operations:
                got = client.request(method, owned.path(path), **how)
                assert got.status_code == 401, (key, method, path)
                if not ELSEWHERE.fullmatch(path):
                    assert got.json().get("code", "unauthenticated") == "unauthenticated"
                assert got.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.promise(16)
def test_the_wrong_scope_opens_nothing(
    service: Service, operations: list[Any], owned: Owned
) -> None:
    sessions = service.services.sessions
    with (
        service.client(make_key(sessions, scopes=["predict"])) as predicter,
        service.client(make_key(sessions, scopes=["read", "write"])) as writer,
        service.client(make_key(sessions, scopes=["read"])) as reader,
        service.client(make_key(sessions, scopes=["write"])) as changer,
    ):
        for method, path, how in operations:
            if path in ANY_KEY or ELSEWHERE.fullmatch(path):
                continue
            predicts = path.endswith(PREDICTING) or (method, path) == GIVING
            wrong = [writer] if predicts else [predicter]
            wrong += [reader] if method != "GET" else []
            if method == "GET" and path.startswith("/v2/models/"):
                wrong = [changer]  # who predicts and who reads may both ask what a model is
            for client in wrong:
                status, said = answer(client, method, owned.path(path), how)
                assert status == 403, (method, path)
                assert said.get("code", "forbidden") == "forbidden", (method, path)


@pytest.mark.promise(16)
def test_somebody_elses_things_look_like_none(
    service: Service, operations: list[Any], owned: Owned
) -> None:
    checked = 0
    with service.client(make_key(service.services.sessions, "other")) as stranger:
        for method, path, how in operations:
            names = PARAMETER.findall(path)
            if not names or (method, path) == ("PUT", "/v1/aliases/{name}"):
                continue
            if ELSEWHERE.fullmatch(path):
                continue
            theirs = answer(stranger, method, owned.path(path), how)
            nobodys = answer(stranger, method, Owned().path(path), how)
            assert theirs == nobodys, (method, path)
            assert theirs[0] == 404, (method, path, theirs)
            checked += 1
    assert checked >= 20


@pytest.mark.promise(16)
def test_a_stranger_cannot_name_what_is_not_his(service: Service, owned: Owned) -> None:
    """Ids within bodies: of datasets, of models to grow from or to give an alias."""
    jobs, mine = "/v1/fine_tuning/jobs", "efficientnet_lite0"
    with service.client(make_key(service.services.sessions, "other")) as stranger:
        own = made(stranger)["id"]

        def tries(ids: dict[str, str]) -> list[tuple[int, Any]]:
            grow = {"type": "auto", "auto": {"from_model": ids["model"]}}
            bodies = [
                {"model": mine, "training_file": ids["dataset_id"]},
                {"model": mine, "training_file": own, "validation_file": ids["dataset_id"]},
                {"model": mine, "training_file": own, "method": grow},
                {"model": ids["model"], "training_file": own},
            ]
            found = [answer(stranger, "POST", jobs, {"json": body}) for body in bodies]
            batch = {"json": {"model": ids["model"], "dataset": ids["dataset_id"]}}
            found.append(answer(stranger, "POST", "/v1/batch_predictions", batch))
            alias = {"json": {"model": ids["model"]}}
            return [*found, answer(stranger, "PUT", "/v1/aliases/mine", alias)]

        assert tries(owned.ids) == (nobodys := tries(MISSING))
        assert {status for status, _ in nobodys} == {404}


@pytest.mark.promise(16)
def test_lists_show_only_ones_own(
    service: Service, operations: list[Any], owned: Owned, tmp_path: Path
) -> None:
    everything = set(owned.ids.values())
    with service.client(make_key(service.services.sessions, "third")) as stranger:
        for method, path, _ in operations:
            if method == "GET" and path.startswith("/v1/") and "{" not in path:
                listed = stranger.get(path)
                assert listed.status_code == 200, path
                assert not {item["id"] for item in listed.json().get("data", [])} & everything, path
