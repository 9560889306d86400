"""Datasets over HTTP on a real Postgres, where locks, JSON and clocks are different ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from app.infra.database import now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import EmbeddingRow, WorkRow
from app.infra.repositories import embeddings
from app.infra.settings import Settings
from tests.api.datasets.test_problems import NUMBER, doubled, listed
from tests.api.service import Service, serve
from tests.api.uploading import (
    DATASETS,
    appended,
    code,
    examples,
    finish,
    leftovers,
    made,
    rows,
    send,
    works,
)
from tests.archives import folders, png, zipped
from tests.factories import make_key
from tests.servers import postgres_server

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres_server() as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        yield url


@pytest.fixture
def service(database: str, tmp_path: Path) -> Iterator[Service]:
    with serve(Settings(data_dir=tmp_path, database_url=database)) as running:
        yield running


@pytest.fixture
def client(service: Service, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A caller of an organisation that is this test's own."""
    name = request.node.name.replace("_", "-")[:60]
    with service.client(make_key(service.services.sessions, name)) as found:
        yield found


def test_the_whole_life_of_a_dataset(service: Service, client: httpx.Client) -> None:
    first = made(client, headers={"idempotency-key": "k"})
    assert made(client, headers={"idempotency-key": "k"})["id"] == first["id"]
    dataset = first["id"]
    appended(client, dataset, {"a/new.png": png(500)})
    example = examples(client, dataset)[0]
    path = f"{DATASETS}/{dataset}/examples/{example['id']}"
    assert client.patch(path, json={"label": "b"}).json()["version"] == 3
    assert client.delete(path).json()["num_examples"] == 6
    finish(service, dataset)
    assert client.get(f"{DATASETS}/{dataset}").json()["status"] == "ready"
    assert client.get(f"/v1/files/{dataset}").json()["status"] == "processed"
    assert [one["num_problems"] for one in client.get(DATASETS).json()["data"]] == [0]
    assert len(client.get(f"{DATASETS}/{dataset}/versions").json()["data"]) == 4
    assert client.get(f"{path}/content", params={"version": 1}).content.startswith(b"\x89PNG")
    assert client.delete(f"{DATASETS}/{dataset}").status_code == 200
    assert (rows(service), works(service), leftovers(service)) == (0, [], [])


def test_embeddings_go_with_their_dataset(
    service: Service, client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    organisation = request.node.name.replace("_", "-")[:60]
    kept = made(client, zipped({"a/1.png": png(1), "b/2.png": png(2)}))["id"]
    gone = made(client, zipped({"a/2.png": png(2), "b/3.png": png(3)}))["id"]
    shas = {one["path"]: one["sha256"] for one in examples(client, gone)}
    with transaction(service.services.sessions) as session:
        embeddings.add_segment(
            session,
            "seg_1",
            organisation_id=organisation,
            key="k",
            sha256s=list(shas.values()),
            size=4,
        )
    assert client.delete(f"{DATASETS}/{gone}").status_code == 200
    with reading(service.services.sessions) as session:
        assert list(session.scalars(select(EmbeddingRow.sha256))) == [shas["a/2.png"]]
    assert client.delete(f"{DATASETS}/{kept}").status_code == 200
    assert (rows(service), leftovers(service)) == (0, [])


def test_appends_at_once_all_count(client: httpx.Client) -> None:
    dataset = made(client)["id"]
    threads = [
        threading.Thread(
            target=appended, args=(client, dataset, {f"a/extra-{number}.png": png(700 + number)})
        )
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = client.get(f"{DATASETS}/{dataset}").json()
    assert (found["version"], found["num_examples"]) == (6, 11)
    assert client.delete(f"{DATASETS}/{dataset}").status_code == 200


def test_a_job_and_a_deletion_never_both_win(client: httpx.Client) -> None:
    for _ in range(20):
        dataset = made(client)["id"]
        asked = {"model": "efficientnet_lite0", "training_file": dataset}
        answers: dict[str, httpx.Response] = {}

        def ask(
            asked: dict[str, str] = asked, answers: dict[str, httpx.Response] = answers
        ) -> None:
            answers["job"] = client.post("/v1/fine_tuning/jobs", json=asked)

        def delete(dataset: str = dataset, answers: dict[str, httpx.Response] = answers) -> None:
            answers["deletion"] = client.delete(f"{DATASETS}/{dataset}")

        threads = [threading.Thread(target=target) for target in (ask, delete)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if answers["job"].is_success:
            assert code(answers["deletion"]) == (409, "in_use")
        else:
            assert code(answers["job"]) == (404, "not_found")
            assert answers["deletion"].status_code == 200


def test_names_that_postgres_cannot_hold_are_refused(client: httpx.Client) -> None:
    dataset = made(client, zipped(folders({"a": 2, "b": 2})))["id"]
    assert code(client.get(f"{DATASETS}/ds_%00")) == (404, "not_found")
    assert code(client.get("/v1/files/%00")) == (404, "not_found")
    assert code(client.get(f"{DATASETS}/{dataset}/examples/%00")) == (404, "not_found")
    assert code(client.get(f"{DATASETS}/{dataset}/versions/9223372036854775807"))[0] == 404
    assert code(client.get(DATASETS, params={"after": "\0"})) == (422, "invalid_request")
    assert code(client.delete("/v1/api_keys/%00")) == (404, "not_found")
    assert code(send(client, name="a\0b")) == (422, "invalid_value")


def test_problems_are_paged_and_mark_their_examples(client: httpx.Client) -> None:
    dataset = made(client, doubled())["id"]
    shown = client.get(f"{DATASETS}/{dataset}").json()
    assert (shown["num_problems"], len(shown["problems"])) == (NUMBER, 100)
    assert len({one["example_id"] for one in listed(client, dataset, 65)}) == NUMBER
    kept = [one["path"] for one in examples(client, dataset) if not one["excluded"]]
    assert sorted(kept) == ["a/9.png", "b/2.png"]
    assert client.get(f"/v1/files/{dataset}/content").content.count(b"PNG") == 2
    assert client.delete(f"{DATASETS}/{dataset}").status_code == 200


def test_what_is_put_off_says_why_until_its_next_try_is_due(
    service: Service, client: httpx.Client
) -> None:
    dataset = made(client)["id"]
    away = {"code": "storage_unavailable", "message": "it is away"}

    def told(seconds: float) -> object:
        with transaction(service.services.sessions) as session:
            due = now(session) + seconds
            session.execute(update(WorkRow).values(error=away | {"times": 1}, not_before=due))
        listed = [one["waits_for"] for one in client.get(DATASETS).json()["data"]]
        return client.get(f"{DATASETS}/{dataset}").json()["waits_for"], listed[0]

    assert told(600) == (away, away)
    assert told(-1) == (None, None)
