"""Promise 18: any order of submits, cancels, claims, ends and deletions, on both databases.

A rule-based state machine: the model beside it is a dict of what each job's status must be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from app.infra.database import transaction
from app.infra.repositories import jobs, work
from app.infra.repositories.work import Claim
from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.factories import claim_job, finish_job, make_dataset, make_key, migrated
from tests.faults.counts import times
from tests.servers import postgres_database

JOBS = "/v1/fine_tuning/jobs"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    if request.param == "sqlite":
        migrated(tmp_path)
        with serve(Settings(data_dir=tmp_path, quota_jobs=0)) as service:
            yield service
        return
    from app.infra.database import open_engine
    from app.infra.migrate import migrate

    with postgres_database(request.getfixturevalue("postgres")) as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        with serve(Settings(data_dir=tmp_path, database_url=url, quota_jobs=0)) as service:
            yield service


class Machine(RuleBasedStateMachine):
    """Jobs of an organisation of its own."""

    service: Service
    all_jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.sessions = self.service.services.sessions
        self.organisation = f"o{len(_ORGANISATIONS)}"
        _ORGANISATIONS.append(self.organisation)
        self.client = self.service.client(make_key(self.sessions, self.organisation))
        with transaction(self.sessions) as session:
            version = make_dataset(session, organisation_id=self.organisation)
            self.dataset = version.dataset_id
        self.expected: dict[str, str] = {}
        self.keys: dict[int, str] = {}

    def teardown(self) -> None:
        for job, status in self.expected.items():
            if status in ("queued", "running"):
                self.client.post(f"{JOBS}/{job}/cancel").raise_for_status()
        self.client.close()

    @rule(target=all_jobs, key=st.integers(0, 2) | st.none())
    def submit(self, key: int | None) -> str:
        headers = {} if key is None else {"idempotency-key": f"key-{key}"}
        body = {"model": "efficientnet_lite0", "training_file": self.dataset}
        answer = self.client.post(JOBS, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        job = str(answer.json()["id"])
        if key is not None:
            assert self.keys.setdefault(key, job) == job
        self.expected.setdefault(job, "queued")
        return job

    @rule(job=all_jobs)
    def cancel(self, job: str) -> None:
        answer = self.client.post(f"{JOBS}/{job}/cancel")
        if self.expected[job] in ("queued", "running"):
            assert answer.status_code == 200, answer.text
            self.expected[job] = "cancelled"
        else:
            assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")

    @rule(target=claims)
    def claim(self) -> Claim | None:
        with transaction(self.sessions) as session:
            claim = claim_job(session)
        queued = [job for job, status in self.expected.items() if status == "queued"]
        assert (claim is None) == (not queued)
        if claim is not None:
            assert claim.job_id in queued
            self.expected[str(claim.job_id)] = "running"
        return claim

    @rule(claim=consumes(claims))
    def finish(self, claim: Claim | None) -> None:
        if claim is None:
            return
        storage, job = self.service.services.storage, str(claim.job_id)
        with tempfile.TemporaryDirectory(dir=self.service.settings.data_dir) as folder:
            try:
                with transaction(self.sessions) as session:
                    finish_job(session, claim, storage, Path(folder))
            except work.LostClaimError:
                assert self.expected[job] == "cancelled"
            else:
                assert self.expected[job] == "running"
                self.expected[job] = "succeeded"

    @rule(claim=consumes(claims))
    def fail(self, claim: Claim | None) -> None:
        if claim is None:
            return
        job = str(claim.job_id)
        try:
            with transaction(self.sessions) as session:
                work.finish(session, claim)
                jobs.advance_job(session, jobs.lock_job(session, job), "failed")
        except work.LostClaimError:
            assert self.expected[job] == "cancelled"
        else:
            self.expected[job] = "failed"

    @rule()
    def delete_the_dataset(self) -> None:
        """Refused while a job has yet to read it; this test never lets it go otherwise."""
        if any(status in ("queued", "running") for status in self.expected.values()):
            answer = self.client.delete(f"/v1/datasets/{self.dataset}")
            assert (answer.status_code, answer.json()["code"]) == (409, "in_use")

    @invariant()
    def every_job_is_as_expected(self) -> None:
        seen: dict[str, Any] = {}
        after: dict[str, str] = {}
        while True:
            page = self.client.get(JOBS, params={"limit": "100", **after}).json()
            seen |= {one["id"]: one for one in page["data"]}
            if not page["has_more"]:
                break
            after = {"after": page["data"][-1]["id"]}
        assert {job: one["status"] for job, one in seen.items()} == self.expected
        for one in seen.values():
            assert (one["fine_tuned_model"] is not None) == (one["status"] == "succeeded")


_ORGANISATIONS: list[str] = []


@pytest.mark.promise(18)
@pytest.mark.timeout(900)
def test_jobs_are_what_a_simple_model_says(running: Service) -> None:
    machine = type("MachineOf", (Machine,), {"service": running})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=times(8, 150), stateful_step_count=25, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
