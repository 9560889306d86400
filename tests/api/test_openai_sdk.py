"""The official `openai` client, unchanged, pointed at our base URL."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI
from sqlalchemy import select

from app.infra.database import transaction
from app.infra.orm import DatasetVersionRow
from tests.api.service import Service
from tests.archives import png
from tests.factories import claim_job, finish_job, make_dataset, note, settle

pytestmark = pytest.mark.slow

MODEL = "efficientnet_lite0"


@pytest.fixture
def sdk(service: Service, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key=key) as client:
        yield client


@pytest.fixture
def data(service: Service) -> str:
    with transaction(service.services.sessions) as session:
        return make_dataset(session).dataset_id


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as members:
        for number in range(6):
            members.writestr(f"{'ab'[number % 2]}/{number}.png", png(number))
    return out.getvalue()


def succeed(service: Service, tmp_path: Path, *steps: int) -> str:
    with transaction(service.services.sessions) as session:
        claim = claim_job(session)
        assert claim is not None
        assert claim.job_id is not None
        note(session, claim.job_id, *steps)
        return finish_job(session, claim, service.services.storage, tmp_path)


def test_the_whole_way_from_a_file_to_a_model(
    service: Service, sdk: OpenAI, tmp_path: Path
) -> None:
    file = sdk.files.create(
        file=("cells.zip", archive()), purpose="fine-tune", extra_body={"name": "blood cells"}
    )
    assert (file.object, file.status, file.purpose) == ("file", "uploaded", "fine-tune")
    job = sdk.fine_tuning.jobs.create(model=MODEL, training_file=file.id, suffix="cells", seed=7)
    assert job.status == "validating_files"
    assert job.training_file == file.id
    with transaction(service.services.sessions) as session:
        settle(session, session.scalars(select(DatasetVersionRow)).one())
    assert sdk.files.retrieve(file.id).status == "processed"
    assert [found.id for found in sdk.files.list()] == [file.id]
    assert sdk.fine_tuning.jobs.retrieve(job.id).status == "queued"

    model_id = succeed(service, tmp_path, 1, 2)
    job = sdk.fine_tuning.jobs.retrieve(job.id)
    assert (job.status, job.fine_tuned_model, job.seed) == ("succeeded", model_id, 7)
    assert job.finished_at is not None
    assert job.error is None
    assert job.organization_id == "default"

    model = sdk.models.retrieve(model_id)
    assert (model.id, model.object, model.owned_by) == (model_id, "model", "default")
    assert [found.id for found in sdk.models.list()] == [model_id]
    assert sdk.models.delete(model_id).deleted is True
    assert list(sdk.models.list()) == []


def test_jobs_are_listed_over_all_pages(sdk: OpenAI, data: str) -> None:
    made = [
        sdk.fine_tuning.jobs.create(
            model=MODEL, training_file=data, metadata={"parity": str(number % 2)}
        ).id
        for number in range(7)
    ]
    seen = [job.id for job in sdk.fine_tuning.jobs.list(limit=2)]
    assert sorted(seen) == sorted(made)
    odd = [job.id for job in sdk.fine_tuning.jobs.list(metadata={"parity": "1"})]
    assert sorted(odd) == sorted(made[1::2])


def test_events_and_checkpoints_are_followed(
    service: Service, sdk: OpenAI, data: str, tmp_path: Path
) -> None:
    method = {"type": "linear", "linear": {"hyperparameters": {"epochs": 30}}}
    job = sdk.fine_tuning.jobs.create(
        model=MODEL,
        training_file=data,
        method=method,  # type: ignore[arg-type]
    )
    succeed(service, tmp_path, *range(1, 31))
    events = list(sdk.fine_tuning.jobs.list_events(job.id, limit=10))
    assert events[0].message == "Job succeeded"
    assert events[-1].message == f"Created fine-tuning job: {job.id}"
    metrics = [event for event in events if event.type == "metrics"]
    assert len(metrics) == 30
    points = list(sdk.fine_tuning.jobs.checkpoints.list(job.id, limit=7))
    assert [point.step_number for point in points] == list(range(30, 0, -1))
    assert {point.fine_tuning_job_id for point in points} == {job.id}


def test_openais_method_and_hyperparameters_are_understood(sdk: OpenAI, data: str) -> None:
    job = sdk.fine_tuning.jobs.create(
        model=MODEL,
        training_file=data,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}},
    )
    assert job.method is not None
    assert job.method.type == "auto"
    old = sdk.fine_tuning.jobs.create(
        model=MODEL, training_file=data, hyperparameters={"n_epochs": 2}
    )
    assert old.hyperparameters.n_epochs == 2


def test_a_cancel_is_final(sdk: OpenAI, data: str) -> None:
    job = sdk.fine_tuning.jobs.create(model=MODEL, training_file=data)
    assert sdk.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    sent: list[httpx.Request] = []
    with httpx.Client(event_hooks={"request": [sent.append]}) as counted:
        again = sdk.with_options(http_client=counted).fine_tuning.jobs
        with pytest.raises(openai.ConflictError, match="that is cancelled cannot become") as no:
            again.cancel(job.id)
    assert len(sent) == 1, "the client tried again"
    assert no.value.code == "invalid_transition"


def test_a_job_is_paused_and_resumed(service: Service, sdk: OpenAI, data: str) -> None:
    jobs = sdk.fine_tuning.jobs
    job = jobs.create(model=MODEL, training_file=data)
    before = job.status
    assert jobs.pause(job.id).status == "paused"
    with transaction(service.services.sessions) as session:
        assert claim_job(session) is None
    with pytest.raises(openai.ConflictError, match="that is paused cannot become paused"):
        jobs.pause(job.id)
    assert jobs.resume(job.id).status == before
    with pytest.raises(openai.ConflictError, match="cannot be resumed"):
        jobs.resume(job.id)
    said = [event.message for event in jobs.list_events(job.id)]
    assert said.index("Job resumed") < said.index("Job paused")
    jobs.pause(job.id)
    assert jobs.cancel(job.id).status == "cancelled"


def test_errors_say_something(sdk: OpenAI, data: str) -> None:
    with pytest.raises(openai.NotFoundError, match="no such fine-tuning job") as missing:
        sdk.fine_tuning.jobs.retrieve("ftjob-01ke4bz3r0h5d8g2j4n6p9s1v3")
    assert missing.value.code == "not_found"
    assert missing.value.request_id
    with pytest.raises(openai.UnprocessableEntityError, match="no_such_net") as unknown:
        sdk.fine_tuning.jobs.create(model="no_such_net", training_file=data)
    assert (unknown.value.code, unknown.value.param) == ("unknown_backbone", "model")
    with pytest.raises(openai.AuthenticationError, match="send a valid key"):
        sdk.with_options(api_key="hs_wrong").models.list()


def test_a_wait_and_a_key_travel_as_headers(sdk: OpenAI, data: str) -> None:
    headers = {"Prefer": "wait=1", "Idempotency-Key": "once"}
    first, second = (
        sdk.fine_tuning.jobs.create(model=MODEL, training_file=data, extra_headers=headers)
        for _ in range(2)
    )
    assert first.id == second.id
