"""A model that keeps getting better by itself and never silently worse, over HTTP alone."""

from __future__ import annotations

import itertools
import math
import threading
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import fine_tune, upload
from tests.servers import wait_for

ALIAS = "shapes@production"
WAIT = {"Prefer": "wait=60"}
PER_SECOND, CALLERS = 50, 8
CLOSE = 0.005
"""Scores of one model for one picture, alone or among others, are no further apart than this."""
Told = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One request of the caller: of which pictures, when it began and ended, what came back."""

    pictures: tuple[int, ...]
    began: float
    ended: float
    status: int
    body: Told

    @property
    def model(self) -> str:
        return str(self.body.get("model"))

    @property
    def told(self) -> list[tuple[str, dict[str, float]]]:
        """Of each picture the label and every class's probability."""
        return [(one["label"], scores_of(one)) for one in self.body["data"]]


def scores_of(item: Told) -> dict[str, float]:
    return {one["label"]: one["probability"] for one in item["predictions"]}


class Caller:
    """Asks the alias fifty times a second, on average: whoever is late makes it good, so that no
    request is left out. Every fifth is about four pictures.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self._turn = itertools.count()
        self._threads = [threading.Thread(target=self._run) for _ in range(CALLERS)]
        self._began = 0.0
        self._seconds = float("inf")
        self.pictures = list(drawn(per_class=10, seed=99).values())
        self.asked: list[Asked] = []

    def __enter__(self) -> Caller:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.monotonic() - self._began
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def due(self) -> int:
        """How many requests came due while it called."""
        return math.ceil(PER_SECOND * self._seconds)

    @property
    def models(self) -> list[str]:
        """Who answered, in the order in which the requests were sent."""
        return [one.model for one in sorted(self.asked, key=lambda one: one.began)]

    def _run(self) -> None:
        with self._service.client() as client:
            for turn in self._turn:
                left = self._began + turn / PER_SECOND - time.monotonic()
                if left > 0:
                    self._stop.wait(left)
                if self._stop.is_set() and turn / PER_SECOND >= self._seconds:
                    return
                self.asked.append(self._ask(client, turn))

    def _ask(self, client: httpx.Client, turn: int) -> Asked:
        size = 4 if turn % 5 == 0 else 1
        places = tuple((turn + at) % len(self.pictures) for at in range(size))
        began = time.monotonic()
        answer = ask(client, ALIAS, [self.pictures[place] for place in places])
        return Asked(places, began, time.monotonic(), answer.status_code, answer.json())


def ask(client: httpx.Client, model: str, pictures: list[bytes]) -> httpx.Response:
    url = f"/v1/models/{model}/predictions"
    if len(pictures) == 1:
        return client.post(url, content=pictures[0], headers={"content-type": "image/png"})
    return client.post(url, files=[("files", ("a.png", one)) for one in pictures])


def alone(client: httpx.Client, model: str, pictures: list[bytes]) -> list[Told]:
    """What a model says of each picture when it is asked by its own name."""
    answer = ask(client, model, pictures).raise_for_status().json()
    return [scores_of(one) for one in answer["data"]]


def assert_nobody_noticed(client: httpx.Client, caller: Caller, models: list[str]) -> None:
    """No error, no request left out, and each answer wholly that of the model that it names."""
    assert [one.body for one in caller.asked if one.status != 200] == []
    assert len(caller.asked) == caller.due
    assert set(caller.models) == set(models)
    own = {model: alone(client, model, caller.pictures) for model in models}
    for one in caller.asked:
        for place, (label, scores) in zip(one.pictures, one.told, strict=True):
            assert scores == pytest.approx(own[one.model][place], abs=CLOSE)
            assert scores[label] == max(scores.values())
    apart = [
        max(abs(first[label] - second[label]) for label in first)
        for first, second in zip(*own.values(), strict=True)
    ]
    assert max(apart) > 10 * CLOSE, "both models say the same: a mixture would not be seen"


def assert_never_back(asked: list[Asked], new: str) -> None:
    """Whoever asked after somebody had been answered by the new model was answered by it, too."""
    first = min(one.ended for one in asked if one.model == new)
    assert {one.model for one in asked if one.began > first} <= {new}


def say(client: httpx.Client, members: dict[str, bytes]) -> None:
    """Feedback on pictures that were sent themselves: what each is, by the folder it lies in."""
    for path, data in members.items():
        body = {"input": {"image": b64encode(data).decode()}, "label": path.partition("/")[0]}
        client.post(f"/v1/models/{ALIAS}/feedback", json=body).raise_for_status()


def held_out(client: httpx.Client) -> str:
    told = upload(client, zipped(drawn(per_class=60, seed=1)))
    return str(told["id"])


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

    run: Told = wait_for(look, seconds=600)
    return run


def test_a_model_gets_better_by_itself_and_never_worse(service: Service) -> None:
    with service.client() as client:
        some = {**drawn(per_class=3, seed=2), **swapped(drawn(per_class=1, seed=6))}
        dataset = str(upload(client, zipped(some))["id"])
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
                "triggers": [{"type": "labels", "count": 40}, {"type": "inbound"}],
                "debounce_seconds": 0.2,
            },
        )
        assert made.status_code == 201, made.text
        hook = made.json()
        with Caller(service) as caller:
            wait_for(lambda: len(caller.asked) > 20, seconds=60)
            say(client, drawn(per_class=4, seed=3))
            time.sleep(3)
            assert client.get(f"/v1/hooks/{hook['id']}/runs").json()["data"] == []
            say(client, drawn(per_class=16, seed=4))
            good = ended_run(client, hook, 1)
            assert good["status"] == "succeeded", good
            told = {"type": "labels", "count": 40, "dataset_version": 1, "feedback": 40}
            assert good["cause"] == told
            assert good["reason"].startswith("promoted: "), good["reason"]
            second = client.get(f"/v1/aliases/{ALIAS}").json()["model"]
            assert second != first
            wait_for(lambda: second in caller.models, seconds=30)
            assert client.get(f"/v1/datasets/{dataset}").json()["version"] == 2
            patch = {"triggers": [{"type": "labels", "count": 120}, {"type": "inbound"}]}
            client.patch(f"/v1/hooks/{hook['id']}", json=patch).raise_for_status()
            say(client, swapped(drawn(per_class=60, seed=5)))
            bad = ended_run(client, hook, 2)
            assert bad["reason"].startswith("refused: "), bad["reason"]
            assert "evidently worse" in bad["reason"]
            assert client.get(f"/v1/aliases/{ALIAS}").json()["model"] == second
            assert_never_back(list(caller.asked), second)
            back = client.post(f"/v1/aliases/{ALIAS}/rollback", json={"reason": "drill"})
            assert back.json()["model"] == first
            wait_for(lambda: caller.models[-1] == first, seconds=30)
        assert_nobody_noticed(client, caller, [first, second])
        history = client.get(f"/v1/aliases/{ALIAS}/history").json()["data"]
        assert [move["cause"] for move in history] == ["rollback", "promotion", "put"]
        assert history[1]["by"] == hook["id"]
        same = client.post(f"/v1/hooks/{hook['id']}/trigger").json()
        skipped = client.get(f"/v1/hooks/{hook['id']}/runs/{same['id']}", headers=WAIT).json()
        assert skipped["status"] == "skipped"
        assert skipped["reason"].startswith("nothing has changed")
