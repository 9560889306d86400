"""Batches over HTTP on a real Postgres, where locks, JSON and cascades are different ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.infra.database import open_engine
from app.infra.migrate import migrate
from app.infra.settings import Settings
from tests.api.batches.test_batches import BATCHES, WAIT, lines, send, start, trainer
from tests.api.service import Service, serve
from tests.api.uploading import code, leftovers, made
from tests.archives import png, zipped
from tests.factories import make_key
from tests.servers import postgres_server

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("service")
    with postgres_server() as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        settings = Settings(data_dir=folder, database_url=url, batch_chunk=4, poll_seconds=0.2)
        with serve(settings) as running, trainer(settings):
            yield running


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client(make_key(service.services.sessions)) as found:
        yield found


def kept(service: Service) -> list[str]:
    """Files of the service but embeddings, which idle time adds to, by way of its scratch."""
    idle = ("/embeddings/", "staging/.scratch-")
    return [path for path in leftovers(service) if not any(part in path for part in idle)]


def test_the_whole_life_of_a_batch(service: Service, client: httpx.Client) -> None:
    dataset = made(client, headers=WAIT)["id"]
    body = {"model": "efficientnet_lite0", "training_file": dataset}
    model = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()["fine_tuned_model"]
    before = kept(service)
    judged = start(client, model=model, dataset=dataset)
    assert judged["evaluation"][0]["num_examples"] == 6
    members = {f"{i}.png": png(400 + i) for i in range(10)} | {"bad.png": b"?"}
    sent = send(client, zipped(members), model=model).json()
    assert sent["progress"] == {"done": 11, "total": 11, "failed": 1}
    assert [one["path"] for one in lines(client, sent["id"])] == list(members)
    assert [one["id"] for one in client.get(BATCHES).json()["data"]] == [sent["id"], judged["id"]]
    for batch in (sent["id"], judged["id"]):
        assert client.delete(f"{BATCHES}/{batch}").status_code == 200
    assert kept(service) == before
    assert client.delete(f"/v1/models/{model}").status_code == 200
    assert client.delete(f"/v1/datasets/{dataset}").status_code == 200


def test_a_batch_and_a_deletion_never_both_win(client: httpx.Client) -> None:
    for _ in range(8):
        dataset = made(client, headers=WAIT)["id"]
        body = {"model": "efficientnet_lite0", "training_file": dataset}
        job = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
        asked = {"model": job["fine_tuned_model"], "dataset": dataset}
        paths = [f"/v1/models/{job['fine_tuned_model']}", f"/v1/datasets/{dataset}"]
        answers: dict[str, httpx.Response] = {}

        def ask(
            asked: dict[str, str] = asked, answers: dict[str, httpx.Response] = answers
        ) -> None:
            answers["batch"] = client.post(BATCHES, json=asked)

        def delete(path: str, answers: dict[str, httpx.Response] = answers) -> None:
            answers[path] = client.delete(path)

        threads = [threading.Thread(target=ask)]
        threads += [threading.Thread(target=delete, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not answers["batch"].is_success:
            assert code(answers["batch"]) == (404, "not_found")
            continue
        batch = answers["batch"].json()["id"]
        ended = client.get(f"{BATCHES}/{batch}", headers=WAIT).json()
        assert ended["status"] == "succeeded", ended


def test_cancels_and_ends_never_both_win(client: httpx.Client) -> None:
    dataset = made(client, headers=WAIT)["id"]
    body = {"model": "efficientnet_lite0", "training_file": dataset}
    model = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()["fine_tuned_model"]
    seen = set()
    for _ in range(12):
        batch = client.post(BATCHES, json={"model": model, "dataset": dataset}).json()["id"]
        answer = client.post(f"{BATCHES}/{batch}/cancel")
        found = client.get(f"{BATCHES}/{batch}", headers=WAIT).json()
        if answer.is_success:
            assert found["status"] == "cancelled"
        else:
            assert code(answer) == (409, "invalid_transition")
            assert found["status"] == "succeeded"
        assert len(lines(client, batch)) == found["progress"]["done"]
        seen.add(found["status"])
    assert seen <= {"cancelled", "succeeded"}
