"""From the last piece of feedback to the model that has learned it, over HTTP, on 500 examples.

Feedback on new pictures comes in; the hook counts it, makes a version of it, fits on cached
embeddings, lets the gate compare on a held-out set, and the alias moves.
"""

from __future__ import annotations

import argparse
import base64
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.record import record, shared_data
from benchmarks.service import (
    Service,
    class_folders,
    fine_tune,
    running,
    upload,
    wait_until_ready,
    zipped,
)

EXAMPLES, LABELS, ROUNDS = 500, 20, 5
ALIAS = "digits@production"
Picture = tuple[str, Path]


def main() -> None:
    """Time each round, and write the figure."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    root = shared_data() / "sign_digits"
    train, test = (class_folders(root / split) for split in ("train", "test"))
    known, new, asked = _parts(_mixed(train), _mixed(test))
    with running() as service:
        rounds = _rounds(service, known, new, asked)
    record(
        "feedback_to_live",
        figure="seconds from the answer to the last piece of feedback until the alias means the "
        "model that has learned it, and the seconds of which the run's job and promotion took",
        method=f"{EXAMPLES} pictures of sign_digits, {len(asked)} held out in an evaluation set; "
        f"{ROUNDS} rounds of {LABELS} labelled pictures, a hook on {LABELS} labels without "
        "debounce, margin 0.3; embedded footing, over loopback",
        results={
            "load_average": round(os.getloadavg()[0], 1),
            "seconds": [one["seconds"] for one in rounds],
            "median": round(median(one["seconds"] for one in rounds), 2),
            "rounds": rounds,
        },
    )


def _mixed(pictures: Sequence[Picture]) -> list[Picture]:
    """Each class's first, each class's second …"""
    place: dict[str, int] = {}
    order = []
    for label, path in pictures:
        place[label] = place.get(label, -1) + 1
        order.append((place[label], label, path))
    return [(label, path) for _, label, path in sorted(order)]


def _parts(
    train: Sequence[Picture], test: Sequence[Picture]
) -> tuple[list[Picture], list[Picture], list[Picture]]:
    both, fresh = [*train, *test], LABELS * (ROUNDS + 1)
    known, new = both[:EXAMPLES], both[EXAMPLES : EXAMPLES + fresh]
    return known, new, both[EXAMPLES + fresh :][:400]


def _rounds(
    service: Service, known: list[Picture], new: list[Picture], asked: list[Picture]
) -> list[dict[str, Any]]:
    client = service.client
    dataset = upload(client, zipped(known))["id"]
    held_out = upload(client, zipped(asked), name="held out")["id"]
    for one in (dataset, held_out):
        wait_until_ready(client, one)
    first = fine_tune(client, dataset)["fine_tuned_model"]
    client.put(f"/v1/aliases/{ALIAS}", json={"model": first}).raise_for_status()
    hook = _hook(client, dataset, held_out)
    service.settle()
    told = []
    for number in range(ROUNDS + 1):  # the first warms what is read once
        batch = new[number * LABELS : (number + 1) * LABELS]
        told.append(_round(client, hook, batch, number + 1))
        service.settle()
    return told[1:]


def _hook(client: httpx.Client, dataset: str, held_out: str) -> str:
    body = {
        "name": "feedback",
        "dataset": dataset,
        "alias": ALIAS,
        "job": {"model": "efficientnet_lite0"},
        "gate": {"evaluation_set": held_out, "margin": 0.3, "alpha": 0.2},
        "triggers": [{"type": "labels", "count": LABELS}],
        "debounce_seconds": 0,
    }
    made = client.post("/v1/hooks", json=body)
    made.raise_for_status()
    return str(made.json()["id"])


def _round(
    client: httpx.Client, hook: str, batch: Sequence[Picture], number: int
) -> dict[str, Any]:
    before = client.get(f"/v1/aliases/{ALIAS}").json()["model"]
    for label, path in batch:
        image = base64.b64encode(path.read_bytes()).decode()
        body = {"input": {"image": image}, "label": label}
        client.post(f"/v1/models/{ALIAS}/feedback", json=body).raise_for_status()
    began = time.monotonic()
    while True:
        runs = client.get(f"/v1/hooks/{hook}/runs").json()["data"]
        ended = [one for one in runs if one["joined"] is None and one["finished_at"]]
        if len(ended) >= number:
            break
        time.sleep(0.02)
    seconds = time.monotonic() - began
    run = ended[0]
    now = client.get(f"/v1/aliases/{ALIAS}").json()["model"]
    if now == before:
        raise SystemExit(f"nothing was promoted: {run['reason']}")
    job = client.get(f"/v1/fine_tuning/jobs/{run['job']}").json()
    return {
        "seconds": round(seconds, 2),
        "job": job["finished_at"] - job["created_at"],
        "reason": run["reason"],
    }


if __name__ == "__main__":
    main()
