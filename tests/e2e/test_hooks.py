"""A model that keeps getting better by itself and never silently worse, over HTTP alone."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any

import httpx

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import fine_tune, upload
from tests.servers import wait_for

ALIAS = "shapes@production"
WAIT = {"Prefer": "wait=60"}
Told = dict[str, Any]


class Caller:
    """Asks the alias fifty times a second, and remembers who answered and what went wrong."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self.models: list[str] = []
        self.faults: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        pictures = list(drawn(per_class=10, seed=99).values())
        with self._service.client() as client:
            while not self._stop.wait(0.02):
                self._ask(client, random.choice(pictures))

    def _ask(self, client: httpx.Client, picture: bytes) -> None:
        answer = client.post(
            f"/v1/models/{ALIAS}/predictions",
            content=picture,
            headers={"content-type": "image/png"},
        )
        if answer.status_code == 200 and "label" in answer.json()["data"][0]:
            self.models.append(answer.json()["model"])
        else:
            self.faults.append(answer.text)


def held_out(client: httpx.Client) -> str:
    told = upload(client, zipped(drawn(per_class=60, seed=1)))
    return str(told["id"])


def new_examples(client: httpx.Client, dataset: str, members: dict[str, bytes]) -> None:
    files = {"file": ("more.zip", zipped(members))}
    client.post(f"/v1/datasets/{dataset}/examples", files=files, headers=WAIT).raise_for_status()


def swapped(members: dict[str, bytes]) -> dict[str, bytes]:
    """The same pictures, each in the folder of the other class."""
    other = {"disc": "bar", "bar": "disc"}
    named = {path: path.partition("/") for path in members}
    return {f"{other[named[path][0]]}/x{named[path][2]}": data for path, data in members.items()}


def ended_run(client: httpx.Client, hook: Told, number: int) -> Told:
    def look() -> Told | None:
        page = client.get(f"/v1/hooks/{hook['id']}/runs").json()["data"]
        rows = [run for run in page if run["joined"] is None]
        found = rows[-number] if len(rows) >= number else None
        return found if found and found["status"] not in ("waiting", "running") else None

    run: Told = wait_for(look, seconds=120)
    return run


def test_a_model_gets_better_by_itself_and_never_worse(service: Service) -> None:
    with service.client() as client:
        dataset = str(upload(client, zipped(drawn(per_class=3, seed=2)))["id"])
        first = fine_tune(client, dataset)["fine_tuned_model"]
        client.put(f"/v1/aliases/{ALIAS}", json={"model": first}).raise_for_status()
        made = client.post(
            "/v1/hooks",
            json={
                "name": "more labels",
                "dataset": dataset,
                "alias": ALIAS,
                "job": {"model": "efficientnet_lite0"},
                "gate": {"evaluation_set": held_out(client), "margin": 0.05},
                "triggers": [{"type": "labels", "count": 20}, {"type": "inbound"}],
                "debounce_seconds": 0.2,
            },
        )
        assert made.status_code == 201, made.text
        hook = made.json()
        with Caller(service) as caller:
            wait_for(lambda: len(caller.models) > 20, seconds=60)
            few = {f"{path[:-4]}a.png": data for path, data in drawn(per_class=4, seed=3).items()}
            new_examples(client, dataset, few)
            time.sleep(3)
            assert client.get(f"/v1/hooks/{hook['id']}/runs").json()["data"] == []
            begun = time.monotonic()
            more = {f"{path[:-4]}b.png": data for path, data in drawn(per_class=16, seed=4).items()}
            new_examples(client, dataset, more)
            good = ended_run(client, hook, 1)
            seconds = time.monotonic() - begun
            assert good["status"] == "succeeded", good
            assert good["cause"] == {"type": "labels", "count": 40, "dataset_version": 3}
            assert good["reason"].startswith("promoted: "), good["reason"]
            second = client.get(f"/v1/aliases/{ALIAS}").json()["model"]
            assert second != first
            wait_for(lambda: second in caller.models, seconds=30)
            poison = swapped(drawn(per_class=60, seed=5))
            new_examples(client, dataset, poison)
            bad = ended_run(client, hook, 2)
            assert bad["reason"].startswith("refused: "), bad["reason"]
            assert "evidently worse" in bad["reason"]
            assert client.get(f"/v1/aliases/{ALIAS}").json()["model"] == second
            back = client.post(f"/v1/aliases/{ALIAS}/rollback", json={"reason": "drill"})
            assert back.json()["model"] == first
            wait_for(lambda: caller.models[-1] == first, seconds=30)
        assert caller.faults == []
        assert set(Counter(caller.models)) == {first, second}
        history = client.get(f"/v1/aliases/{ALIAS}/history").json()["data"]
        assert [move["cause"] for move in history] == ["rollback", "promotion", "put"]
        assert history[1]["by"] == hook["id"]
        same = client.post(f"/v1/hooks/{hook['id']}/trigger").json()
        skipped = client.get(f"/v1/hooks/{hook['id']}/runs/{same['id']}", headers=WAIT).json()
        assert skipped["status"] == "skipped"
        assert skipped["reason"].startswith("nothing has changed")
        assert seconds < 60
