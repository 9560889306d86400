"""Uploading over HTTP, and looking at what an upload has left behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from app.infra.database import reading, transaction
from app.infra.orm import DatasetRow, DatasetVersionRow, WorkRow
from tests.api.service import Service
from tests.archives import folders, zipped
from tests.factories import settle

DATASETS = "/v1/datasets"


def small() -> bytes:
    """A zip of two classes of three pictures each."""
    return zipped(folders({"a": 3, "b": 3}))


def send(
    client: httpx.Client,
    data: bytes | None = None,
    *,
    filename: str = "set.zip",
    to: str = DATASETS,
    headers: dict[str, str] | None = None,
    **fields: str,
) -> httpx.Response:
    """Upload `data` with the form's other fields after the file."""
    body = small() if data is None else data
    return client.post(to, files={"file": (filename, body)}, data=fields, headers=headers)


def made(client: httpx.Client, data: bytes | None = None, **options: Any) -> dict[str, Any]:
    """The dataset that was made of an upload."""
    answer = send(client, data, **options)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def appended(client: httpx.Client, dataset: str, members: dict[str, bytes]) -> dict[str, Any]:
    """The dataset after an upload was appended to it."""
    return made(client, zipped(members), to=f"{DATASETS}/{dataset}/examples")


def examples(client: httpx.Client, dataset: str, **query: Any) -> list[dict[str, Any]]:
    """The examples of a version."""
    answer = client.get(f"{DATASETS}/{dataset}/examples", params={"limit": 1000, **query})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem, whose shape is checked."""
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["message"] == problem["detail"]
    return answer.status_code, problem["code"]


def finish(service: Service, dataset: str, status: str = "ready") -> None:
    """Settle the dataset's latest version as a trainer does."""
    with transaction(service.services.sessions) as session:
        row = session.get_one(DatasetRow, dataset)
        version = (
            session.query(DatasetVersionRow)
            .filter_by(dataset_id=dataset, number=row.latest_version)
            .one()
        )
        settle(session, version, status)


def works(service: Service) -> list[WorkRow]:
    """All rows of work, oldest first."""
    with reading(service.services.sessions) as session:
        return session.query(WorkRow).order_by(WorkRow.id).all()


def rows(service: Service) -> int:
    """How many datasets and versions there are, of anybody."""
    with reading(service.services.sessions) as session:
        return session.query(DatasetRow).count() + session.query(DatasetVersionRow).count()


def leftovers(service: Service) -> list[str]:
    """Files in storage and in staging."""
    root = service.settings.data_dir
    return sorted(
        path.relative_to(root).as_posix()
        for folder in ("storage", "staging")
        for path in Path(root / folder).rglob("*")
        if path.is_file()
    )


def idle(service: Service, seconds: float = 30) -> None:
    """Wait until nothing is left to do, not even for idle time: then the files stay as they are."""
    until = time.monotonic() + seconds
    while open_ := [work for work in works(service) if work.state in ("queued", "running")]:
        assert time.monotonic() < until, [(work.kind, work.state, work.error) for work in open_]
        time.sleep(0.02)
