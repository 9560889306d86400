"""Fine-tuning jobs over HTTP: what is accepted, what is refused, and what can be read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.core.manifest import Modality, Problem
from app.infra.database import reading, transaction
from app.infra.orm import DatasetVersionRow, JobRow, WorkRow
from tests.api.service import Service
from tests.factories import claim_job, finish_job, make_dataset, make_key, note, settle

pytestmark = pytest.mark.slow

JOBS = "/v1/fine_tuning/jobs"


def dataset(service: Service, **fields: Any) -> str:
    with transaction(service.services.sessions) as session:
        return make_dataset(session, **fields).dataset_id


def body(dataset_id: str, **fields: Any) -> dict[str, Any]:
    return {"model": "efficientnet_lite0", "training_file": dataset_id, **fields}


def create(client: httpx.Client, dataset_id: str, **fields: Any) -> dict[str, Any]:
    answer = client.post(JOBS, json=body(dataset_id, **fields))
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def refused(client: httpx.Client, sent: dict[str, Any]) -> tuple[int, str, str | None]:
    answer = client.post(JOBS, json=sent)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, problem["code"], problem["param"]


def succeed(service: Service, tmp_path: Path) -> str:
    with transaction(service.services.sessions) as session:
        claim = claim_job(session)
        assert claim is not None
        return finish_job(session, claim, service.services.storage, tmp_path)


def test_a_job_on_a_ready_dataset_is_queued_with_its_work(
    service: Service, client: httpx.Client
) -> None:
    data = dataset(service)
    answer = client.post(JOBS, json=body(data, seed=7, suffix="cells", metadata={"run": "nightly"}))
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    assert job["id"].startswith("ftjob-")
    assert (job["object"], job["status"]) == ("fine_tuning.job", "queued")
    assert (job["seed"], job["suffix"], job["metadata"]) == (7, "cells", {"run": "nightly"})
    assert job["dataset"] == {"id": data, "version": 1}
    assert job["method"]["type"] == "auto"
    assert job["estimated_finish"] >= job["created_at"]
    assert job["result_files"] == []
    assert client.get(f"{JOBS}/{job['id']}").json() == job
    with reading(service.services.sessions) as session:
        work = session.scalars(select(WorkRow).where(WorkRow.job_id == job["id"])).one()
    assert (work.kind, work.state) == ("fine_tune", "queued")


def test_a_job_without_a_seed_records_the_one_it_got(
    service: Service, client: httpx.Client
) -> None:
    data = dataset(service)
    seeds = {create(client, data)["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_a_job_on_a_dataset_still_processing_waits_for_it(
    service: Service, client: httpx.Client
) -> None:
    data = dataset(service, status="processing")
    job = create(client, data)
    assert job["status"] == "validating_files"
    with transaction(service.services.sessions) as session:
        version = session.scalars(select(JobRow)).one().version_id
        settle(session, session.get_one(DatasetVersionRow, version))
    assert client.get(f"{JOBS}/{job['id']}").json()["status"] == "queued"


def test_a_job_waits_for_its_validation_dataset_too(service: Service, client: httpx.Client) -> None:
    train, held_out = dataset(service), dataset(service, status="processing")
    job = create(client, train, validation_file=held_out)
    assert job["status"] == "validating_files"
    assert job["validation_dataset"] == {"id": held_out, "version": 1}


def test_another_backbone_is_embedded_in_chunks_once(
    service: Service, client: httpx.Client, supply: Callable[[str], None]
) -> None:
    supply("resnet18")
    problem = Problem(code="image_invalid", message="bad", example_id="ex_1", excluded=True)
    data = dataset(service, examples=4999, problems=[problem])
    for _ in range(2):
        create(client, data, model="resnet18")
    with reading(service.services.sessions) as session:
        wanted = select(WorkRow).where(WorkRow.backbone == "resnet18").order_by(WorkRow.id)
        chunks = [row.payload for row in session.scalars(wanted)]
    assert sorted(chunk["start"] for chunk in chunks) == [0, 1666, 3333]
    assert max(chunk["stop"] for chunk in chunks) == 5000
    assert {chunk["view"] for chunk in chunks} == {"squish"}


def test_a_failed_dataset_takes_no_jobs(service: Service, client: httpx.Client) -> None:
    data = dataset(service, status="failed")
    assert refused(client, body(data)) == (422, "dataset_failed", "training_file")


@pytest.mark.parametrize("member", ["training_file", "validation_file"])
def test_somebody_elses_dataset_looks_like_none(
    service: Service, client: httpx.Client, member: str
) -> None:
    theirs = dataset(service, organisation_id="other")
    mine = dataset(service)
    answers = []
    for data in (theirs, "ds_01ke4bz3r0h5d8g2j4n6p9s1v3"):
        answer = client.post(JOBS, json=body(mine) | {member: data})
        problem = answer.json()
        problem.pop("request_id")
        answers.append((answer.status_code, problem))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert answers[0][1]["param"] == member


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/checkpoints"),
        ("POST", "/cancel"),
    ],
)
def test_somebody_elses_job_looks_like_none(
    service: Service,
    client: httpx.Client,
    other_client: httpx.Client,
    method: str,
    path: str,
) -> None:
    job = create(client, dataset(service))
    answers = []
    for job_id in (job["id"], "ftjob-01ke4bz3r0h5d8g2j4n6p9s1v3"):
        answer = other_client.request(method, f"{JOBS}/{job_id}{path}")
        problem = answer.json()
        problem.pop("request_id")
        answers.append((answer.status_code, problem))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert other_client.get(JOBS).json()["data"] == []
    assert client.get(f"{JOBS}/{job['id']}").json()["status"] == "queued"


def test_scopes_are_needed(service: Service) -> None:
    data = dataset(service)
    with service.client(make_key(service.services.sessions, scopes=["read"])) as reader:
        assert reader.get(JOBS).status_code == 200
        assert reader.post(JOBS, json=body(data)).status_code == 403
    with service.client(make_key(service.services.sessions, scopes=["predict"])) as predicter:
        assert predicter.get(JOBS).status_code == 403
    with service.client(None) as nobody:
        assert nobody.get(JOBS).status_code == 401


def test_bad_json_is_refused(client: httpx.Client) -> None:
    for content, code in [
        (b"{", "invalid_json"),
        (b'{"model": NaN}', "invalid_json"),
        (b"[" * 10_000 + b"]" * 10_000, "invalid_json"),
        (b'{"model": "a\\u0000"}', "invalid_json"),
        (b'{"model": "\\ud800"}', "invalid_json"),
        (b'{"seed": 9223372036854775808}', "invalid_json"),
        (b"null", "invalid_request"),
        (b"", "invalid_request"),
    ]:
        answer = client.post(JOBS, content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, code), content


def test_another_content_type_is_refused(client: httpx.Client) -> None:
    assert client.post(JOBS, content=b"x", headers={"content-type": "text/csv"}).status_code == 415


def test_a_queued_job_is_cancelled_and_never_runs(service: Service, client: httpx.Client) -> None:
    job = create(client, dataset(service))
    cancelled = client.post(f"{JOBS}/{job['id']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["finished_at"] is not None
    with transaction(service.services.sessions) as session:
        assert claim_job(session) is None


def test_a_finished_job_cannot_be_cancelled(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    job = create(client, dataset(service))
    succeed(service, tmp_path)
    answer = client.post(f"{JOBS}/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")
    assert answer.headers["x-should-retry"] == "false"


def test_a_finished_job_tells_what_came_of_it(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    job = create(client, dataset(service), suffix="cells")
    model = succeed(service, tmp_path)
    job = client.get(f"{JOBS}/{job['id']}").json()
    assert job["status"] == "succeeded"
    assert job["fine_tuned_model"] == model
    assert model.startswith("ft:efficientnet_lite0:default:cells:")
    assert job["hyperparameters"] == {"views": ["squish"]}
    assert job["progress"] == {"stage": "fitting", "done": 10, "total": 10}
    assert job["embedding"] == {"new": 0, "cached": 10}
    assert job["views"] == ["squish"]
    assert 0 <= job["timing"]["ran"] < 60


def test_events_and_checkpoints_go_newest_first(service: Service, client: httpx.Client) -> None:
    job = create(client, dataset(service))["id"]
    with transaction(service.services.sessions) as session:
        note(session, job, *range(1, 13))
    page = client.get(f"{JOBS}/{job}/events", params={"limit": 2}).json()
    assert [event["data"]["step"] for event in page["data"]] == [12, 11]
    assert page["has_more"] is True
    after = page["data"][-1]["id"]
    page = client.get(f"{JOBS}/{job}/events", params={"limit": 100, "after": after}).json()
    assert page["data"][0]["data"]["step"] == 10
    assert page["data"][-1]["message"].startswith("Created")
    assert {event["type"] for event in page["data"]} == {"message", "metrics"}
    assert page["has_more"] is False

    page = client.get(f"{JOBS}/{job}/checkpoints").json()
    assert [point["step_number"] for point in page["data"]] == list(range(12, 2, -1))
    after = page["data"][-1]["id"]
    rest = client.get(f"{JOBS}/{job}/checkpoints", params={"after": after}).json()
    assert [point["step_number"] for point in rest["data"]] == [2, 1]
    assert rest["data"][0]["fine_tuning_job_id"] == job


def test_a_job_grows_from_a_model(service: Service, client: httpx.Client, tmp_path: Path) -> None:
    data = dataset(service)
    method = {"type": "auto", "auto": {"hyperparameters": {"class_balance": "none"}}}
    create(client, data, method=method)
    model = succeed(service, tmp_path)
    client.put("/v1/aliases/cells@production", json={"model": model}).raise_for_status()
    by_alias = {"type": "auto", "auto": {"from_model": "cells@production"}}
    for fields in ({"method": by_alias}, {"model": model}):
        job = create(client, data, **fields)
        assert job["from_model"] == model
        assert job["model"] == "efficientnet_lite0"
        assert job["method"]["auto"]["hyperparameters"]["class_balance"] == "none"
    assert refused(client, body(data, model="resnet18", method=by_alias)) == (
        422,
        "invalid_request",
        "method.from_model",
    )
    missing = {"type": "auto", "auto": {"from_model": "nobody"}}
    assert refused(client, body(data, method=missing))[:2] == (404, "not_found")


def test_another_method_takes_over_what_means_the_same_to_it(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    data = dataset(service)
    asked = {"unknown_false_alarm_rate": 0.2, "views": ["mirror"], "n_epochs": 3}
    create(client, data, method={"type": "auto", "auto": {"hyperparameters": asked}})
    options = {"from_model": succeed(service, tmp_path), "hyperparameters": {"views": "auto"}}
    job = create(client, data, method={"type": "logistic", "logistic": options})
    found = job["method"]["logistic"]["hyperparameters"]
    assert (found["unknown_false_alarm_rate"], found["views"]) == (0.2, "auto")


@pytest.mark.parametrize("method", ["auto", "logistic"])
@pytest.mark.parametrize(
    ("modality", "model", "view"),
    [("text", "all-MiniLM-L6-v2", "rot90"), ("image", "vit_b_16", "large")],
)
def test_views_that_a_backbone_lacks_are_refused(
    service: Service,
    client: httpx.Client,
    modality: Modality,
    model: str,
    view: str,
    method: str,
) -> None:
    options = {"hyperparameters": {"views": [view]}}
    sent = body(dataset(service, modality=modality), method={"type": method, method: options})
    param = f"method.{method}.hyperparameters.views"
    assert refused(client, sent | {"model": model}) == (422, "invalid_hyperparameter", param)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("label_names", "alone", "reads no names"),
        ("label_names", True, "reads no names"),
        ("prompts", ["a photo of a {}."], "reads no names"),
        ("prompts", ["a photo"], "match pattern"),
        ("prompts", [], "at least 1"),
        ("prompts", ["{} {}"], "match pattern"),
    ],
)
def test_names_count_only_where_they_are_read(
    service: Service, client: httpx.Client, name: str, value: object, told: str
) -> None:
    options = {"hyperparameters": {name: value}}
    sent = body(dataset(service), method={"type": "auto", "auto": options})
    answer = client.post("/v1/fine_tuning/jobs", json=sent)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_hyperparameter"
    assert answer.json()["param"].startswith(f"method.auto.hyperparameters.{name}")
    assert told in answer.json()["message"]


@pytest.mark.parametrize("modality", ["text"])
def test_text_reads_by_its_own_backbone(
    service: Service, client: httpx.Client, modality: Modality
) -> None:
    data = dataset(service, modality=modality)
    assert create(client, data, model="all-MiniLM-L6-v2")["status"] == "queued"
    sent = create(client, data, model="all-MiniLM-L6-v2", method={"type": "reptile"})
    assert sent["status"] == "queued"
