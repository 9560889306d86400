"""The images and docker-compose.yml as they really run; `make test-containers` has the tools.

The tests follow each other on one stack, from its making to its end.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from tests.containers.machine import BASE, ROOT, lacking, machine
from tests.containers.stack import FILE, OURS, PROJECT, SERVERS, Stack
from tests.e2e.archives import drawn, zipped
from tests.e2e.test_upload_to_prediction import fine_tune, upload
from tests.servers import free_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
PICTURE = drawn(per_class=1, seed=9)["disc/0.png"]
STANDINS = ROOT / "tests" / "containers" / "standins"
TOLERANCE = 0.005
"""Of a probability: each start of an engine may compile otherwise."""
MOST_API = 500_000_000
"""Bytes of the app's image, its base included."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if "HEADSTART_PODMAN_COMPOSE" not in os.environ:
        pytest.skip("containers are tested by `make test-containers`")
    if reason := lacking():
        pytest.skip(reason)
    with machine() as made:
        began = time.monotonic()
        made.make_base()
        pins = f"{ROOT / 'constraints.txt'}:/constraints.txt:ro"
        made.build(STANDINS, "localhost/standins", "--volume", pins)
        for name in (*SERVERS, "bucket"):
            made.run("podman", "tag", "localhost/standins", FILE["services"][name]["image"])
        for name, target in (("api", "api"), ("worker", "worker")):
            made.build(ROOT, f"localhost/{PROJECT}_{name}", "--target", target)
            size = made.image_bytes(f"localhost/{PROJECT}_{name}")
            print(f"{name}: {size / 1e6:.0f} MB after {time.monotonic() - began:.0f} s")
        made.run("podman", "tag", f"localhost/{PROJECT}_worker", f"localhost/{PROJECT}_predictor")
        found = Stack.made(made, free_port())
        try:
            found.up()
            print(f"up after {time.monotonic() - began:.0f} s")
            yield found
        finally:
            found.compose("down", "--volumes", "--remove-orphans")


@dataclass(frozen=True)
class Trained:
    """A dataset, the model of it and what that says of one picture."""

    dataset: str
    model: str
    answer: dict[str, Any]


@pytest.fixture(scope="module")
def trained(stack: Stack) -> Trained:
    """The whole road once, on pictures; the network is the one that the images bring."""
    with stack.client() as client:
        dataset = upload(client, zipped(drawn(per_class=8)))["id"]
        model = fine_tune(client, dataset)["fine_tuned_model"]
    return Trained(dataset, model, predicted(stack, model))


def predicted(stack: Stack, model: str) -> dict[str, Any]:
    """What the model says of the picture, once the predictor is ready for it."""
    with stack.client() as client:
        ask = {
            "url": f"/v1/models/{model}/predictions",
            "content": PICTURE,
            "headers": {"content-type": "image/png", "prefer": "wait=60"},
        }
        answer = wait_for(
            lambda: answer if (answer := client.post(**ask)).status_code != 503 else None,
            seconds=240,
        )
    assert answer.status_code == 200, answer.text
    row: dict[str, Any] = answer.json()["data"][0]
    return row


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    near = abs(one["probability"] - other["probability"]) < TOLERANCE
    return bool(one["label"] == other["label"] and near)


def has_everything(stack: Stack, trained: Trained) -> None:
    with stack.client() as client:
        assert client.get(f"/v1/datasets/{trained.dataset}").json()["status"] == "ready"
        assert client.get(f"/v1/models/{trained.model}").status_code == 200
    assert same(predicted(stack, trained.model), trained.answer)


def trains_again(stack: Stack, trained: Trained) -> None:
    with stack.client() as client:
        assert fine_tune(client, trained.dataset, seed=2)["status"] == "succeeded"


def test_the_app_s_image_is_small_and_has_no_tensors(stack: Stack) -> None:
    image = f"localhost/{PROJECT}_api"
    size, base = stack.machine.image_bytes(image), stack.machine.image_bytes(BASE)
    print(f"api: {size / 1e6:.0f} MB, {base / 1e6:.0f} of them its base")
    assert size < MOST_API
    code = "import importlib.util as u; print([u.find_spec(n) for n in ('torch', 'openvino')])"
    assert stack.inside("hs_api_1", "python", "-c", code) == "[None, None]"


@pytest.mark.parametrize("name", OURS)
def test_ours_runs_as_nobody_and_writes_its_data_alone(stack: Stack, name: str) -> None:
    container = f"{PROJECT}_{name}_1"
    assert stack.inside(container, "id", "-u") == "10001"
    status = dict(
        line.split(":\t", 1)
        for line in stack.inside(container, "cat", "/proc/1/status").splitlines()
        if ":\t" in line
    )
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    refused = stack.inside(container, "sh", "-c", "touch /srv/x /opt/headstart/x 2>&1 || true")
    assert refused.count("Read-only file system") == 2
    assert stack.inside(container, "sh", "-c", "touch /data/x && rm /data/x && echo ok") == "ok"


def test_what_is_uploaded_trains_and_predicts(stack: Stack, trained: Trained) -> None:
    assert trained.answer["label"] == "disc"
    has_everything(stack, trained)


def test_what_the_app_says_of_weights_is_true_of_the_worker(stack: Stack) -> None:
    """The app has notes in their place, by the Dockerfile; the worker has the files."""
    with stack.client() as client:
        listed = client.get("/v1/backbones").json()["data"]
    told = {one["id"]: one["weights"]["sha256"] for one in listed if one["weights"]}
    code = (
        "import sys; from app.infra import weights as w;"
        "print(*(w.sha256(w.find(n, None).path) for n in sys.argv[1:]))"
    )
    assert len(told) >= 5
    asked = sorted(told)
    found = stack.inside("hs_worker_1", "python", "-c", code, *asked).split()
    assert dict(zip(asked, found, strict=True)) == told


def test_a_text_table_of_parquet_is_read_and_written(stack: Stack) -> None:
    """Without the parts of pyarrow that the app's image leaves out."""
    out = io.BytesIO()
    texts = {"text": [f"number {n} is {'odd' if n % 2 else 'even'}" for n in range(12)]}
    labels = ["odd" if n % 2 else "even" for n in range(12)]
    parquet.write_table(pyarrow.table({**texts, "label": labels}), out)
    with stack.client() as client:
        dataset = upload(client, out.getvalue(), "numbers.parquet")
        assert dataset["status"] == "ready", dataset
        answer = client.get(
            f"/v1/datasets/{dataset['id']}/versions/1/export", params={"format": "parquet"}
        )
    assert answer.status_code == 200, answer.text
    assert parquet.read_table(io.BytesIO(answer.content)).num_rows == 12


def test_two_workers_share_the_work_and_one_does_it_alone(stack: Stack, trained: Trained) -> None:
    stack.scale("worker", 2)
    assert len(stack.containers("worker")) == 2
    for gone in stack.containers("worker"):
        stack.machine.run("podman", "stop", "--time", "30", gone)
        trains_again(stack, trained)
        stack.machine.run("podman", "start", gone)
        stack.wait_healthy(gone)


@pytest.mark.parametrize("name", [*SERVERS, *OURS])
def test_a_container_that_is_killed_comes_back(stack: Stack, trained: Trained, name: str) -> None:
    for container in stack.containers(name):
        stack.kill(container)
    has_everything(stack, trained)
    trains_again(stack, trained)


def test_a_stack_that_was_taken_down_has_everything_when_it_is_up_again(
    stack: Stack, trained: Trained
) -> None:
    stack.compose("down", "--remove-orphans")  # the second worker is none to podman-compose
    assert stack.containers() == []
    stack.up()
    has_everything(stack, trained)
    trains_again(stack, trained)
