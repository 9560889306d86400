"""What a job is expected to take."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from app.infra.database import transaction
from app.infra.orm import JobRow
from tests.api.service import Service
from tests.factories import make_dataset


def test_what_a_job_takes_is_expected_from_such_jobs_on_this_machine(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    sessions = service.services.sessions
    with transaction(sessions) as session:
        dataset = make_dataset(session).dataset_id
    body = {"model": "efficientnet_lite0", "training_file": dataset, "method": {"type": "matching"}}

    def first_event(job: str) -> str:
        events = client.get(f"/v1/fine_tuning/jobs/{job}/events").json()["data"]
        return str(events[-1]["message"])

    unknown = client.post("/v1/fine_tuning/jobs", json=body).json()
    assert (unknown["timing"]["estimated"], unknown["estimated_finish"]) == (None, None)
    assert first_event(unknown["id"]) == f"Created fine-tuning job: {unknown['id']}"
    elsewhere = client.post("/v1/fine_tuning/jobs", json=body | {"method": None}).json()
    assert "no such job has ended here yet" in first_event(elsewhere["id"])
    with transaction(sessions) as session:
        session.execute(
            update(JobRow)
            .where(JobRow.id == unknown["id"])
            .values(status="succeeded", started_at=1000.0, finished_at=1040.0)
        )
    known = client.post("/v1/fine_tuning/jobs", json=body).json()
    assert known["timing"]["estimated"] == 40.0
    assert known["estimated_finish"] == known["created_at"] + 40
    assert "about 40 s, as such jobs took here" in first_event(known["id"])


def test_more_classes_are_expected_to_take_longer(service: Service, client: httpx.Client) -> None:
    sessions = service.services.sessions
    with transaction(sessions) as session:
        few, many = make_dataset(session), make_dataset(session)
        many.classes = [{"label": f"{number}", "count": 2} for number in range(602)]
        datasets = few.dataset_id, many.dataset_id

    def estimated(dataset: str) -> float:
        body = {"model": "efficientnet_lite0", "training_file": dataset}
        job = client.post("/v1/fine_tuning/jobs", json=body).json()
        return float(job["timing"]["estimated"])

    before = [estimated(one) for one in datasets]
    assert before[1] > 2 * before[0]
    with transaction(sessions) as session:
        measured = session.scalars(select(JobRow).where(JobRow.dataset_id == many.dataset_id)).one()
        measured.status, measured.started_at, measured.finished_at = "succeeded", 1000.0, 1090.0
    after = [estimated(one) for one in datasets]
    assert after[1] == 90.0
    assert after[0] == pytest.approx(90.0 * 302 / 902, abs=1e-3)


def test_jobs_that_try_deeper_say_nothing_of_those_that_do_not(
    service: Service, client: httpx.Client
) -> None:
    sessions = service.services.sessions
    with transaction(sessions) as session:
        dataset = make_dataset(session).dataset_id
    body = {"model": "efficientnet_lite0", "training_file": dataset}
    deep = body | {"hyperparameters": {"depth": "auto"}}
    first = client.post("/v1/fine_tuning/jobs", json=deep).json()
    assert first["timing"]["estimated"] is None, "nothing was measured elsewhere"
    with transaction(sessions) as session:
        session.execute(
            update(JobRow)
            .where(JobRow.id == first["id"])
            .values(status="succeeded", started_at=1000.0, finished_at=1040.0)
        )
    second, plain = (client.post("/v1/fine_tuning/jobs", json=one).json() for one in (deep, body))
    assert second["timing"]["estimated"] == 40.0
    assert plain["timing"]["estimated"] < 40.0
