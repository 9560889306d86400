"""`depth` "auto" over HTTP: what was tried and came of it is told, and nothing is lost by it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.test_upload_to_prediction import upload
from tests.e2e.tuning.test_partial import JOBS, WAIT
from tests.servers import wait_for

FORCED = {"views": ["squish", "mirror"]}
"""So that what idle time has embedded meanwhile makes no difference."""
PER_CLASS = 20


def mixed_up() -> bytes:
    """Discs and bars under either label: nothing tells them, at any depth."""
    every = list(drawn(per_class=PER_CLASS, seed=44).values())
    return zipped({f"{'ab'[n % 2]}/{n}.png": data for n, data in enumerate(every)})


def fitted(
    client: httpx.Client, dataset: str, *, model: str = "efficientnet_lite0", **given: Any
) -> dict[str, Any]:
    """A job of `auto` that has succeeded."""
    method = {"type": "auto", "auto": {"hyperparameters": given}}
    body = {"model": model, "training_file": dataset, "seed": 1, "method": method}
    job = client.post(JOBS, json=body).raise_for_status().json()
    told = wait_for(lambda: _over(client, job["id"]), seconds=1200)
    assert told["status"] == "succeeded", told
    return dict(told)


def _over(client: httpx.Client, job: str) -> dict[str, Any] | None:
    told: dict[str, Any] = client.get(f"{JOBS}/{job}").json()
    return told if told["status"] in ("succeeded", "failed") else None


def deeper(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/v1/models/{job['fine_tuned_model']}/evaluation").json()
    return dict(told["deeper"])


def said(client: httpx.Client, job: dict[str, Any]) -> str:
    events = client.get(f"{JOBS}/{job['id']}/events?limit=100").json()["data"]
    return "\n".join(event["message"] for event in events)


def head(client: httpx.Client, job: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Every number of a model's head, and what is said of it."""
    model = f"/v1/models/{job['fine_tuned_model']}"
    stored = client.get(f"{model}/artifacts/head").raise_for_status().content
    return stored, client.get(model).json()["card"]["config"]


@pytest.mark.timeout(900)
def test_what_brings_nothing_changes_nothing(service: Service) -> None:
    with service.client() as client:
        dataset = str(upload(client, mixed_up())["id"])
        plain = head(client, fitted(client, dataset, **FORCED))
        tried = fitted(client, dataset, depth="auto", **FORCED)
        told = deeper(client, tried)
        assert (told["tried"], told["taken"], told["max_seconds"]) == ("partial", False, 600)
        assert told["seconds"] > 0
        assert told["log_loss"]["gain"]["low"] <= 0
        history = said(client, tried)
        assert "Trying deeper (partial)" in history
        assert "The model is the frozen heads alone: tuned, the network was no better" in history
        assert head(client, tried) == plain
        hurried = fitted(client, dataset, depth="auto", max_seconds=1, **FORCED)
        if deeper(client, hurried)["tried"] is None:
            assert "Nothing deeper is tried: partial would take about" in said(client, hurried)
        assert head(client, hurried) == plain
        again = {"model": tried["fine_tuned_model"], "training_file": dataset}
        grown = client.post(JOBS, json=again).raise_for_status().json()
        assert grown["hyperparameters"]["depth"] == "auto"
        client.post(f"{JOBS}/{grown['id']}/cancel").raise_for_status()


def test_of_few_examples_nothing_is_tried(service: Service) -> None:
    with service.client() as client:
        dataset = str(upload(client, zipped(drawn(per_class=6, seed=45)))["id"])
        told = deeper(client, fitted(client, dataset, depth="auto"))
        assert told["tried"] is None
        assert told["why"] == "a class has 6 examples, and 20 of each are needed"


@pytest.mark.timeout(900)
def test_texts_are_timed_by_their_own_length(service: Service) -> None:
    lines = [
        json.dumps({"text": f"{word} of the day {n}", "label": word})
        for word in ("refund", "morning")
        for n in range(PER_CLASS)
    ]
    with service.client() as client:
        sent = {"file": ("lines.jsonl", "\n".join(lines).encode())}
        dataset = str(client.post("/v1/datasets", files=sent, headers=WAIT).json()["id"])
        job = fitted(client, dataset, model="all-MiniLM-L6-v2", depth="auto", max_seconds=2)
        told = deeper(client, job)
        assert told["tried"] in (None, "lora")
        assert (told["tried"] is None) == ("lora would take about" in said(client, job))
