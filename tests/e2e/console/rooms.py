"""A service with something in it, every page of its console, and how one is looked at."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page

from tests.e2e.archives import drawn, of_folder, zipped

WAIT = {"Prefer": "wait=100"}
LOOKS: Mapping[str, tuple[tuple[int, int], str]] = {
    "desktop-light": ((1440, 900), "light"),
    "desktop-dark": ((1440, 900), "dark"),
    "tablet-light": ((900, 1100), "light"),
    "phone-light": ((390, 844), "light"),
    "phone-dark": ((390, 844), "dark"),
}
SERIOUS = frozenset({"serious", "critical"})


def upload(client: httpx.Client, data: bytes, filename: str, name: str) -> str:
    """The id of a dataset that is ready."""
    answer = client.post(
        "/v1/datasets", files={"file": (filename, data)}, data={"name": name}, headers=WAIT
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def train(client: httpx.Client, dataset: str, backbone: str, **fields: Any) -> dict[str, Any]:
    """A job that has ended well."""
    body = {"model": backbone, "training_file": dataset, "seed": 1, **fields}
    answer = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT)
    assert answer.json()["status"] == "succeeded", answer.text
    return dict(answer.json())


def many_intents(root: Path | None, *, per_class: int = 8) -> bytes:
    """A table of banking questions of 77 intents, or without that data of 40 made-up ones."""
    rows: list[dict[str, str]] = []
    if root is not None and root.is_dir():
        for split in ("train", "test"):
            seen: dict[str, int] = {}
            for line in (root / f"{split}.jsonl").read_text("utf-8").splitlines():
                row = json.loads(line)
                seen[row["label"]] = seen.get(row["label"], 0) + 1
                if seen[row["label"]] <= per_class:
                    rows.append({"text": row["text"], "label": row["label"], "split": split})
    else:
        rows = [
            {"text": f"question {n} about topic {c}", "label": f"topic_{c}", "split": "train"}
            for c in range(40)
            for n in range(per_class)
        ]
    out = io.StringIO()
    writer = csv.DictWriter(out, ["text", "label", "split"])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def furnish(client: httpx.Client, shared: Path | None) -> dict[str, str]:
    """Datasets of pictures (many classes, two classes) and texts, models, aliases; their pages."""
    clothing = shared / "clothing/train" if shared else None
    pictures = of_folder(clothing, per_class=20) if clothing else zipped(drawn(per_class=20))
    several = upload(client, pictures, "clothing.zip", "clothing")
    broken = drawn(per_class=12, seed=5)
    broken["disc/cut.png"] = broken["disc/0.png"][:-40]
    two = upload(
        client, zipped(broken), "shapes.zip", "shapes, camera B, after the lens was changed"
    )
    intents = shared / "banking77" if shared else None
    texts = upload(client, many_intents(intents), "questions.csv", "banking questions")
    first = train(client, several, "efficientnet_lite0", suffix="clothing")
    linear = {"type": "linear", "linear": {"hyperparameters": {"epochs": 12}}}
    second = train(client, several, "efficientnet_lite0", suffix="clothing", method=linear)
    small = train(client, two, "efficientnet_lite0", suffix="shapes")
    talk = train(client, texts, "all-MiniLM-L6-v2", suffix="questions")
    client.patch(f"/v1/datasets/{several}", json={"target": 0.9})
    one = first["fine_tuned_model"]
    client.put("/v1/aliases/clothing@production", json={"model": second["fine_tuned_model"]})
    client.put("/v1/aliases/clothing@production", json={"model": one})
    hook = {
        "name": "every 20 labels",
        "dataset": several,
        "alias": "clothing@production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "labels", "count": 20}, {"type": "inbound"}],
    }
    assert client.post("/v1/hooks", json=hook).status_code == 201
    return {
        "home": "/",
        "datasets": "/datasets",
        "dataset": f"/datasets/{several}",
        "dataset-text": f"/datasets/{texts}",
        "dataset-two-classes": f"/datasets/{two}",
        "models": "/models",
        "model": f"/models/{one}",
        "model-linear": f"/models/{second['fine_tuned_model']}",
        "model-two-classes": f"/models/{small['fine_tuned_model']}",
        "model-many-classes": f"/models/{talk['fine_tuned_model']}",
        "model-use": f"/models/{one}?tab=use",
        "model-card": f"/models/{one}?tab=card",
        "compare": f"/compare?a={one}&b={second['fine_tuned_model']}",
        "try": f"/try/{one}",
        "try-text": f"/try/{talk['fine_tuned_model']}",
        "aliases": "/aliases",
        "alias": "/aliases/clothing@production",
        "hooks": "/hooks",
        "webhooks": "/webhooks",
        "jobs": "/jobs",
        "job": f"/jobs/{first['id']}",
        "job-linear": f"/jobs/{second['id']}",
        "system": "/system",
        "keys": "/keys",
        "more": "/more",
    }


def settle(page: Page) -> None:
    """Wait until nothing is loading any more that could be seen without scrolling."""
    page.wait_for_timeout(300)
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.wait_for_function(
        """() => [...document.querySelectorAll('.pic:not(.none)')].every((one) =>
          one.querySelector('img') || !one.offsetParent ||
          one.getBoundingClientRect().top > innerHeight)"""
    )
    page.wait_for_timeout(400)


def audit(page: Page, axe: str) -> list[str]:
    """What axe-core finds that is serious."""
    page.evaluate(axe)
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary'][:160]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"][:3]
    ]
