"""An app whose webhooks may reach loopback, and a dataset to hook onto."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.infra.database import transaction
from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.factories import make_dataset
from tests.servers import PATIENCE, pauses


@pytest.fixture
def service(empty_database: Path, tmp_path: Path) -> Iterator[Service]:
    shutil.copy(empty_database, tmp_path / "headstart.db")
    with serve(Settings(data_dir=tmp_path, webhook_networks="127.0.0.0/8")) as running:
        yield running


@pytest.fixture
def dataset(service: Service, key: str) -> str:
    """A dataset that is ready; no file of it is there."""
    with transaction(service.services.sessions) as session:
        return make_dataset(session).dataset_id


Make = Callable[..., dict[str, Any]]


@pytest.fixture
def hook(client: httpx.Client, dataset: str) -> Make:
    """Make a hook over HTTP."""

    def make(**body: Any) -> dict[str, Any]:
        new = {
            "name": "nightly",
            "dataset": dataset,
            "alias": "cells@production",
            "job": {"model": "efficientnet_lite0"},
            "triggers": [{"type": "inbound"}],
            "debounce_seconds": 0.2,
        }
        made = client.post("/v1/hooks", json=new | body)
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    return make


def until(done: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `done` answers once that is something true."""
    deadline, between = time.monotonic() + PATIENCE * seconds, pauses()
    while not (found := done()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(next(between))
    return found
