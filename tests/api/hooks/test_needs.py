"""What a hook needs is not deleted under it, and a hook that can promote nothing says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from app.core.manifest import Example
from app.http.dependencies import Services
from app.infra.database import transaction
from app.infra.orm import DatasetRow, DatasetVersionRow
from app.uploads import blobs
from tests.api.hooks.conftest import Make, until
from tests.api.models.test_models import new_model
from tests.api.service import Service
from tests.api.uploading import code, finish, made
from tests.archives import folders, zipped

pytestmark = pytest.mark.slow

Told = dict[str, Any]


def ready(service: Service, client: httpx.Client, counts: dict[str, int] | None = None) -> str:
    """A dataset with files, which is ready."""
    name = str(made(client, zipped(folders(counts or {"a": 3, "b": 3})))["id"])
    finish(service, name)
    return name


def notes(client: httpx.Client, hook: Told) -> str:
    return " | ".join(client.get(f"/v1/hooks/{hook['id']}").json()["notes"])


@pytest.mark.parametrize("field", ["dataset", "evaluation_set", "validation_file"])
def test_what_an_enabled_hook_names_is_in_use(
    service: Service, client: httpx.Client, hook: Make, field: str
) -> None:
    mine = ready(service, client)
    body: Told = {
        "dataset": {"dataset": mine},
        "evaluation_set": {"gate": {"evaluation_set": mine}},
        "validation_file": {"job": {"model": "efficientnet_lite0", "validation_file": mine}},
    }[field]
    named = hook(**body)
    refused = client.delete(f"/v1/datasets/{mine}")
    assert code(refused) == (409, "in_use")
    assert f"{named['id']} (nightly)" in refused.json()["detail"]
    client.patch(f"/v1/hooks/{named['id']}", json={"enabled": False}).raise_for_status()
    client.delete(f"/v1/datasets/{mine}").raise_for_status()
    assert "was deleted: name another and enable the hook" in notes(client, named)
    renamed = client.patch(f"/v1/hooks/{named['id']}", json={"name": "never"})
    assert renamed.status_code == 200
    again = client.patch(f"/v1/hooks/{named['id']}", json={"enabled": True})
    assert code(again) == (404, "not_found")


def test_another_organisation_s_hook_holds_nothing(
    service: Service, client: httpx.Client, other_client: httpx.Client, hook: Make
) -> None:
    mine = ready(service, client)
    hook(dataset=mine)
    assert code(other_client.delete(f"/v1/datasets/{mine}")) == (404, "not_found")


def test_a_hook_whose_dataset_is_gone_fails_once_and_ends_trying(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    """As of a release that let datasets go under their hooks."""
    mine = hook(debounce_seconds=0)
    with transaction(service.services.sessions) as session:
        session.execute(delete(DatasetRow).where(DatasetRow.id == mine["dataset"]))
    path = f"/v1/hooks/{mine['id']}"
    run = client.post(f"{path}/trigger").json()
    ended = until(
        lambda: (
            (found := client.get(f"{path}/runs/{run['id']}").json())["status"] == "failed" and found
        )
    )
    assert "was deleted: the hook is disabled" in ended["reason"]
    told = client.get(path).json()
    assert told["enabled"] is False
    assert mine["dataset"] in told["notes"][0]
    client.patch(path, json={"dataset": ready(service, client), "enabled": True}).raise_for_status()
    assert client.get(path).json()["enabled"] is True


def test_a_hook_says_what_of_it_decides_nothing(
    service: Service, client: httpx.Client, hook: Make
) -> None:
    few = ready(service, client)
    whole = ready(service, client, {"a": 200, "b": 200})
    compared = hook(dataset=few, gate={"evaluation_set": few})
    assert "every comparison would leak" in notes(client, compared)
    small = hook(dataset=whole, gate={"evaluation_set": few})
    assert "6 examples decide" in notes(client, small)
    assert "fewer than 173" in notes(client, small)
    assert notes(client, hook(dataset=few, gate={"evaluation_set": whole})) == ""
    floor = hook(dataset=few, gate={"evaluation_set": whole, "floors": {"c": 0.5}})
    assert "no example is of 'c', which has a floor" in notes(client, floor)
    drifting = hook(
        dataset=few, gate={"evaluation_set": whole}, triggers=[{"type": "drift"}], alias="x@y"
    )
    assert "the drift trigger never fires: x@y keeps no prediction log" in notes(client, drifting)


def test_a_hook_for_an_alias_of_another_kind_is_refused(
    service: Service, client: httpx.Client, hook: Make, tmp_path: Path
) -> None:
    model = new_model(service, tmp_path)
    client.put("/v1/aliases/cells@production", json={"model": model}).raise_for_status()
    lines = [f'{{"text": "t{n}", "labels": ["{"xy"[n % 2]}"]}}' for n in range(8)]
    lines += ['{"text": "a", "labels": ["x", "y"]}', '{"text": "b", "labels": []}']
    several = "\n".join(lines).encode()
    texts = str(made(client, several, filename="set.jsonl")["id"])
    finish(service, texts)
    new = {"name": "n", "dataset": texts, "triggers": [{"type": "inbound"}]}
    refused = client.post("/v1/hooks", json=new | {"alias": "cells@production"})
    assert code(refused) == (422, "modality_mismatch")
    free = hook(dataset=texts, alias="texts@production", job={})
    single = ready(service, client)
    judged = client.patch(f"/v1/hooks/{free['id']}", json={"gate": {"evaluation_set": single}})
    assert code(judged) == (422, "modality_mismatch")


def test_a_hook_s_job_needs_no_model_and_gates_say_where_they_belong(
    service: Service, client: httpx.Client
) -> None:
    new = {
        "name": "n",
        "dataset": ready(service, client),
        "alias": "n@production",
        "triggers": [{"type": "inbound"}],
    }
    assert client.post("/v1/hooks", json=new).json()["job"] == {}
    by_name = client.post("/v1/hooks", json=new | {"job": {"method": "logistic"}})
    assert by_name.json()["job"] == {"method": {"type": "logistic"}}
    for path, body in (
        ("/v1/hooks", new | {"margin": 0.1}),
        ("/v1/aliases/n@production/promotions", {"candidate": "ft:x", "margin": 0.1}),
    ):
        refused = client.post(path, json=body)
        assert code(refused) == (422, "invalid_request")
        assert '`margin` belongs into the gate: {"gate": {"margin"' in refused.json()["detail"]


def test_nobody_who_writes_waits_for_notes(
    service: Service, client: httpx.Client, hook: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, read = ready(service, client), blobs.load_manifest
    looked: list[str] = []

    def watched(services: Services, version: DatasetVersionRow) -> list[Example]:
        other = sqlite3.connect(service.settings.data_dir / "headstart.db", timeout=1)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        looked.append(version.dataset_id)
        return read(services, version)

    monkeypatch.setattr(blobs, "load_manifest", watched)
    assert "nothing is held out" in hook(dataset=mine)["notes"][0]
    other = ready(service, client, {"a": 4, "b": 4})
    made_of = hook(dataset=mine)["id"]
    changed = client.patch(f"/v1/hooks/{made_of}", json={"dataset": other})
    assert "nothing is held out" in changed.raise_for_status().json()["notes"][0]
    assert looked == [mine, other]
