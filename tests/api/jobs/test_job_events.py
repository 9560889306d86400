"""Following a job: `Prefer: wait`, and the stream of its events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.infra.database import transaction
from app.infra.repositories import jobs
from tests.api.service import Service
from tests.factories import claim_job, finish_job, make_dataset, note

pytestmark = pytest.mark.slow

JOBS = "/v1/fine_tuning/jobs"
STREAM = {"accept": "text/event-stream"}


@dataclass
class Frame:
    """One server-sent event."""

    id: str | None = None
    event: str | None = None
    data: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def frames(answer: httpx.Response) -> Iterator[Frame]:
    frame = Frame()
    for line in answer.iter_lines():
        if not line:
            if frame != Frame():
                yield frame
            frame = Frame()
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            setattr(frame, name, value)


def new_job(service: Service, client: httpx.Client, **headers: str) -> dict[str, Any]:
    with transaction(service.services.sessions) as session:
        data = make_dataset(session).dataset_id
    sent = {"model": "efficientnet_lite0", "training_file": data}
    answer = client.post(JOBS, json=sent, headers=headers)
    answer.raise_for_status()
    return dict(answer.json())


def succeed(service: Service, tmp_path: Path, *steps: int) -> None:
    while True:
        with transaction(service.services.sessions) as session:
            claim = claim_job(session)
        if claim is not None:
            break
        time.sleep(0.01)
    assert claim.job_id is not None
    for step in steps:
        time.sleep(0.05)
        with transaction(service.services.sessions) as session:
            note(session, claim.job_id, step)
    with transaction(service.services.sessions) as session:
        finish_job(session, claim, service.services.storage, tmp_path)


def test_the_history_of_a_finished_job_streams_oldest_first(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    job = new_job(service, client)
    succeed(service, tmp_path, 1, 2)
    with client.stream("GET", f"{JOBS}/{job['id']}/events", headers=STREAM) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["vary"] == "Accept"
        found = list(frames(answer))
    assert (found[-1].event, found[-1].data) == ("done", "[DONE]")
    events = [frame.json for frame in found[:-1]]
    assert [frame.id for frame in found[:-1]] == [event["id"] for event in events]
    assert events[0]["message"].startswith("Created")
    assert events[-1]["message"] == "Job succeeded"
    listed = client.get(f"{JOBS}/{job['id']}/events", params={"limit": 100})
    assert listed.headers["vary"] == "Accept"
    assert list(reversed(listed.json()["data"])) == events


def test_a_stream_follows_a_running_job_to_its_end(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    job = new_job(service, client)
    trainer = threading.Thread(target=succeed, args=(service, tmp_path, 1, 2, 3))
    with client.stream("GET", f"{JOBS}/{job['id']}/events", headers=STREAM) as answer:
        trainer.start()
        arrived = [(time.monotonic(), frame) for frame in frames(answer)]
    trainer.join()
    steps = [(at, frame.json["data"]["step"]) for at, frame in arrived[:-1] if frame.json["data"]]
    assert [step for _, step in steps] == [1, 2, 3]
    assert steps[-1][0] - steps[0][0] > 0.05, "events came in one go"
    ids = [frame.id for _, frame in arrived[:-1]]
    assert len(set(ids)) == len(ids)


def test_a_stream_resumes_where_it_broke_off(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    job = new_job(service, client)
    with transaction(service.services.sessions) as session:
        note(session, job["id"], 1, 2, 3)
    with client.stream("GET", f"{JOBS}/{job['id']}/events", headers=STREAM) as answer:
        stream = frames(answer)
        first = [next(stream) for _ in range(4)]
    succeed(service, tmp_path)
    again = STREAM | {"last-event-id": first[-1].id or ""}
    with client.stream("GET", f"{JOBS}/{job['id']}/events", headers=again) as answer:
        rest = list(frames(answer))
    ids = [frame.id for frame in first + rest[:-1]]
    everything = client.get(f"{JOBS}/{job['id']}/events", params={"limit": 100}).json()["data"]
    assert ids == [event["id"] for event in reversed(everything)]
    nothing = STREAM | {"last-event-id": ids[-1] or ""}
    assert client.get(f"{JOBS}/{job['id']}/events", headers=nothing).status_code == 204


def test_a_stream_ends_with_its_key(service: Service, client: httpx.Client) -> None:
    job = new_job(service, client)
    made = client.post("/v1/api_keys", json={"name": "follows", "scopes": ["read"]}).json()
    headers = STREAM | {"authorization": f"Bearer {made['key']}"}
    with client.stream("GET", f"{JOBS}/{job['id']}/events", headers=headers) as answer:
        lines = frames(answer)
        assert next(lines).json["object"] == "fine_tuning.job.event"
        client.delete(f"/v1/api_keys/{made['id']}").raise_for_status()
        with transaction(service.services.sessions) as session:
            note(session, job["id"], 77)
            jobs.cancel_job(session, job["id"])
        rest = list(lines)
    told = client.get(f"{JOBS}/{job['id']}/events").json()["data"]
    since = {one["id"] for one in told if one["message"] in ("77", "Job cancelled")}
    assert since
    assert not since & {frame.id for frame in rest}
    assert all(frame.event is None for frame in rest), "it was not told that the job is over"


def test_a_bad_last_event_id_is_refused(service: Service, client: httpx.Client) -> None:
    job = new_job(service, client)
    for bad in ("7", "ftevent-", "ftevent-x", "ftevent-1e3", "ftevent-" + "9" * 30):
        answer = client.get(f"{JOBS}/{job['id']}/events", headers=STREAM | {"last-event-id": bad})
        assert (answer.status_code, answer.json()["param"]) == (422, "Last-Event-ID"), bad


def test_a_client_that_goes_leaves_nothing_behind(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    job = new_job(service, client)
    for _ in range(5):
        with client.stream("GET", f"{JOBS}/{job['id']}/events", headers=STREAM) as answer:
            next(frames(answer))
    slow = httpx.Timeout(30, read=0.2)
    for _ in range(5):
        try:
            client.get(f"{JOBS}/{job['id']}", headers={"prefer": "wait=60"}, timeout=slow)
        except httpx.ReadTimeout:
            continue
    succeed(service, tmp_path)
    _until(lambda: not service.services.waiting._watches)


def test_streams_and_waiters_hold_no_thread(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    """Sixty of each, more than the forty threads there are, and a plain request still answers."""
    job = new_job(service, client)

    def follow(_: int) -> str:
        with (
            service.client(client.headers["authorization"][7:]) as mine,
            mine.stream("GET", f"{JOBS}/{job['id']}/events", headers=STREAM) as answer,
        ):
            return list(frames(answer))[-1].data

    def wait(_: int) -> str:
        with service.client(client.headers["authorization"][7:]) as mine:
            answer = mine.get(f"{JOBS}/{job['id']}", headers={"prefer": "wait=60"})
        return str(answer.json()["status"])

    with ThreadPoolExecutor(120) as callers:
        streams = callers.map(follow, range(60))
        waits = callers.map(wait, range(60))
        _until(lambda: sum(map(len, service.services.waiting._watches.values())) == 120)
        began = time.monotonic()
        assert client.get(JOBS).status_code == 200
        assert time.monotonic() - began < 2
        succeed(service, tmp_path)
        assert set(streams) == {"[DONE]"}
        assert set(waits) == {"succeeded"}


def test_prefer_wait_answers_when_the_job_has_ended(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    trainer = threading.Thread(target=succeed, args=(service, tmp_path))
    trainer.start()
    with transaction(service.services.sessions) as session:
        data = make_dataset(session).dataset_id
    sent = {"model": "efficientnet_lite0", "training_file": data}
    answer = client.post(JOBS, json=sent, headers={"prefer": "respond-async, wait=30"})
    trainer.join()
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json()["status"] == "succeeded"


def test_prefer_wait_gives_up_in_time(service: Service, client: httpx.Client) -> None:
    began = time.monotonic()
    job = new_job(service, client, prefer="wait=1")
    assert job["status"] == "queued"
    assert 0.9 < time.monotonic() - began < 5


def test_a_wish_that_makes_no_sense_is_ignored(service: Service, client: httpx.Client) -> None:
    for prefer in ("wait=-1", "wait=soon", "handling=lenient", "await=5", "wait", ""):
        job = new_job(service, client, prefer=prefer)
        assert job["status"] == "queued"


def test_a_cancelled_job_ends_every_wait(service: Service, client: httpx.Client) -> None:
    job = new_job(service, client)
    with ThreadPoolExecutor(1) as callers:
        waiting = callers.submit(client.get, f"{JOBS}/{job['id']}", headers={"prefer": "wait=30"})
        _until(lambda: bool(service.services.waiting._watches))
        with transaction(service.services.sessions) as session:
            jobs.cancel_job(session, job["id"])
        assert waiting.result().json()["status"] == "cancelled"


def test_stopping_lets_streams_and_waiters_go(service: Service, client: httpx.Client) -> None:
    job = new_job(service, client)
    with ThreadPoolExecutor(2) as callers:
        waiting = callers.submit(client.get, f"{JOBS}/{job['id']}", headers={"prefer": "wait=30"})
        stream = callers.submit(client.get, f"{JOBS}/{job['id']}/events", headers=STREAM)
        _until(lambda: len(service.services.waiting._watches) == 2)
        began = time.monotonic()
        service.services.waiting.stop()
        assert waiting.result().json()["status"] == "queued"
        assert "Created" in stream.result().text
        assert time.monotonic() - began < 2


def _until(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
