"""A service with something in it, every page of its console, and how one is looked at."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageEnhance
from playwright.sync_api import Page

from tests.e2e.archives import drawn, of_folder, zipped
from tests.e2e.test_several_labels import archive as marked_pictures
from tests.servers import wait_for

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
    marked = upload(client, marked_pictures(6), "marks.zip", "marks on parts")
    labels = train(client, marked, "efficientnet_lite0", suffix="marks")
    client.patch(f"/v1/datasets/{several}", json={"target": 0.9})
    mended_and_erased(client, two)
    one = first["fine_tuned_model"]
    client.put("/v1/aliases/clothing@production", json={"model": second["fine_tuned_model"]})
    client.put("/v1/aliases/clothing@production", json={"model": one})
    client.put("/v1/aliases/questions@staging", json={"model": talk["fine_tuned_model"]})
    live_in(client, "clothing@production", shared)
    hook = {
        "name": "every 20 labels",
        "dataset": several,
        "alias": "clothing@production",
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "labels", "count": 20}, {"type": "inbound"}],
    }
    assert client.post("/v1/hooks", json=hook).status_code == 201
    bounds = {"stored_bytes": 2_000_000_000, "examples": 50_000, "requests_per_minute": 60_000}
    assert client.patch("/v1/organizations/me", json={"quotas": bounds}).status_code == 200
    return {
        "home": "/",
        "datasets": "/datasets",
        "dataset": f"/datasets/{several}",
        "dataset-text": f"/datasets/{texts}",
        "dataset-two-classes": f"/datasets/{two}",
        "dataset-versions": f"/datasets/{two}?tab=versions",
        "models": "/models",
        "model": f"/models/{one}",
        "model-linear": f"/models/{second['fine_tuned_model']}",
        "model-two-classes": f"/models/{small['fine_tuned_model']}",
        "model-many-classes": f"/models/{talk['fine_tuned_model']}",
        "dataset-several-labels": f"/datasets/{marked}",
        "model-several-labels": f"/models/{labels['fine_tuned_model']}",
        "model-in-use": f"/models/{one}?tab=live",
        "model-use": f"/models/{one}?tab=use",
        "model-card": f"/models/{one}?tab=card",
        "compare": f"/compare?a={one}&b={second['fine_tuned_model']}",
        "try": f"/try/{one}",
        "try-text": f"/try/{talk['fine_tuned_model']}",
        "aliases": "/aliases",
        "alias": "/aliases/clothing@production",
        "hooks": "/hooks",
        "feedback": "/feedback/clothing@production",
        "feedback-random": "/feedback/clothing@production?draw=random",
        "feedback-off": "/feedback/questions@staging",
        "webhooks": "/webhooks",
        "jobs": "/jobs",
        "job": f"/jobs/{first['id']}",
        "job-linear": f"/jobs/{second['id']}",
        "system": "/system",
        "usage": "/usage",
        "keys": "/keys",
        "more": "/more",
    }


def wait_for_ready(client: httpx.Client, dataset: str) -> None:
    """Wait until its latest version is read."""
    url = f"/v1/datasets/{dataset}"
    wait_for(lambda: client.get(url).json()["status"] == "ready", seconds=600)


def mended_and_erased(client: httpx.Client, dataset: str) -> None:
    """Have a second version say that a label was wrong, and erase another example of both."""
    url = f"/v1/datasets/{dataset}"
    usable = client.get(f"{url}/examples", params={"excluded": False, "label": "disc"})
    first, second = usable.json()["data"][:2]
    told = client.patch(f"{url}/examples/{first['id']}", json={"label": "bar"}, headers=WAIT)
    assert told.status_code == 200, told.text
    wait_for_ready(client, dataset)
    erased = client.post(f"{url}/erasures", json={"examples": [second["id"]]})
    assert erased.status_code == 201, erased.text


def live_in(client: httpx.Client, alias: str, shared: Path | None) -> None:
    """Let an alias be asked by one camera, then by a darker one, and some of it be labelled."""
    rule = {"prediction_log": {"reference": 50, "window": 25}}
    assert client.patch(f"/v1/aliases/{alias}", json=rule).status_code == 200
    for at, data in enumerate(_asked(shared)):
        answer = client.post(
            f"/v1/models/{alias}/predictions", files={"files": data if at < 75 else darker(data)}
        )
        assert answer.status_code == 200, answer.text
    wait_for(lambda: len(_windows(client, alias)) == 2, seconds=600)
    assert [one["drifted"] for one in _windows(client, alias)] == [True, False]
    for one in client.get(f"/v1/models/{alias}/audit?n=12").json()["data"]:
        said = {"prediction_id": one["prediction_id"], "correct": True, "audited": True}
        assert client.post(f"/v1/models/{alias}/feedback", json=said).status_code == 201


def _windows(client: httpx.Client, alias: str) -> list[dict[str, Any]]:
    """What of its inputs was compared with the first ones, newest first."""
    return list(client.get(f"/v1/models/{alias}/drift").json()["windows"])


def _asked(shared: Path | None) -> list[bytes]:
    """A hundred pictures in no order, no class more often than another."""
    if shared is None:
        members = [data for _, data in sorted(drawn(per_class=50, seed=77).items())]
    else:
        folders = sorted((shared / "clothing/test").iterdir())
        members = [one.read_bytes() for root in folders for one in sorted(root.iterdir())[:10]]
    random.Random(3).shuffle(members)
    return members


def darker(data: bytes) -> bytes:
    """A picture as a poor camera in the evening takes it."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    small = picture.resize((max(8, picture.width // 4), max(8, picture.height // 4)))
    out = io.BytesIO()
    ImageEnhance.Brightness(small).enhance(0.35).save(out, "jpeg", quality=20)
    return out.getvalue()


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
