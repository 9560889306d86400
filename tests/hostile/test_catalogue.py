"""Promise 17: the whole catalogue of bad inputs, on the whole service and on both footings."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.core.errors import TITLES
from tests.api.uploading import code
from tests.archives import png, zipped
from tests.e2e.test_upload_to_prediction import upload
from tests.hostile.catalogue import DATASETS, Row, batch_of_32, rows
from tests.hostile.conftest import Scene
from tests.hostile.damaged import ACCEPTED, PROBLEMS

GROWTH = 200e6
"""Bytes that the app may grow by meanwhile."""


@dataclass
class Watch:
    """What was seen of the app while the catalogue was asked."""

    resident: int
    beside: list[str]
    took: list[float] = field(default_factory=list)
    """Seconds of each look at `/livez`."""


@pytest.fixture(scope="session")
def watch(scene: Scene) -> Iterator[Watch]:
    """Looks at `/livez` meanwhile."""
    seen = Watch(scene.resident(), _beside(scene.service.data_dir))
    stop = threading.Event()
    looks = threading.Thread(target=_look, args=(scene.service.url, stop, seen.took))
    looks.start()
    yield seen
    stop.set()
    looks.join()


def _beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def _look(url: str, stop: threading.Event, took: list[float]) -> None:
    with httpx.Client(base_url=url, timeout=300, trust_env=False) as client:
        while not stop.wait(0.05):
            began = time.perf_counter()
            assert client.get("/livez").status_code == 200
            took.append(time.perf_counter() - began)


def listed(client: httpx.Client) -> list[str]:
    return [one["id"] for one in client.get(DATASETS, params={"limit": 100}).json()["data"]]


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row.group}: {row.name}")
def test_a_bad_input_has_its_answer(scene: Scene, watch: Watch, row: Row) -> None:
    before = listed(scene.client)
    answer = row.ask(scene)
    assert code(answer) == (row.status, row.code), answer.text
    assert row.code in TITLES
    if row.param is not None:
        assert answer.json()["param"] == row.param
    if row.status in (429, 503):
        assert row.code == "quota_exceeded" or int(answer.headers["retry-after"]) > 0
    if row.status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert listed(scene.client) == before


def test_what_only_a_decoder_finds_is_a_problem_of_its_example(scene: Scene) -> None:
    found = {one["path"]: one for one in scene.dataset["problems"] if one["excluded"]}
    assert {path: one["code"] for path, one in found.items()} == PROBLEMS
    assert scene.dataset["num_examples"] == 12 + len(ACCEPTED)


def test_one_picture_under_two_labels_is_a_conflict_that_names_both(scene: Scene) -> None:
    twice = {"a/1.png": png(1), "b/1.png": png(1), "a/2.png": png(2), "b/3.png": png(3)}
    made = upload(scene.client, zipped(twice))
    conflicts = {one["path"] for one in made["problems"] if one["code"] == "label_conflict"}
    assert conflicts == {"a/1.png", "b/1.png"}
    assert made["num_examples"] == 2
    scene.client.delete(f"{DATASETS}/{made['id']}")


def test_one_bad_picture_of_32_is_one_error(scene: Scene) -> None:
    answer = scene.client.post(
        f"/v1/models/{scene.model}/predictions", json={"inputs": batch_of_32()}
    )
    assert answer.status_code == 200, answer.text
    told: list[dict[str, Any]] = answer.json()["data"]
    assert [one["index"] for one in told if "error" in one] == [17]
    assert told[17]["error"]["code"] == "image_invalid"
    assert sum("label" in one for one in told) == 31


def test_a_client_that_goes_in_the_middle_leaves_nothing(scene: Scene) -> None:
    before, place = listed(scene.client), urlsplit(scene.service.url)
    head = (
        f"POST {DATASETS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {scene.service.key}\r\n"
        "content-type: application/zip\r\ncontent-length: 100000\r\n\r\n"
    )
    with socket.create_connection((str(place.hostname), int(place.port or 0)), 30) as caller:
        caller.sendall(head.encode() + bytes(1000))
    time.sleep(0.2)
    assert listed(scene.client) == before


@pytest.mark.promise(17)
def test_the_app_has_stayed_small_and_answered_meanwhile(
    scene: Scene, watch: Watch, record_property: Callable[[str, object], None]
) -> None:
    took = sorted(watch.took)
    grown = scene.resident() - watch.resident
    record_property("bad inputs", len(list(rows())))
    record_property("livez p99 in ms", round(1000 * took[int(0.99 * len(took))], 1))
    record_property("growth of the app in MB", round(grown / 1e6, 1))
    assert grown < GROWTH
    assert _beside(scene.service.data_dir) == watch.beside
    assert not Path("/a/x.png").exists()
