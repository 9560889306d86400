"""The whole service on both footings, with a dataset, a model and a second tenant on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.archives import folders
from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service, service
from tests.e2e.test_upload_to_prediction import fine_tune, upload
from tests.hostile.damaged import ACCEPTED, BROKEN

__all__ = ["service"]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A service that is about to be asked bad things; `client` has every scope, `operator` too."""

    service: Service
    client: httpx.Client
    dataset: dict[str, Any]
    model: str
    other: str
    """A second model, which is to be damaged."""
    job: str
    poor: httpx.Client
    """A tenant who may ask once a minute and hold next to nothing."""

    def resident(self) -> int:
        """Bytes of memory of the app's process."""
        told = f"HEADSTART_DATA_DIR={self.service.data_dir}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                if b"app.cli.serve" not in command and b"app.main:app" not in command:
                    continue
                if told in (folder / "environ").read_bytes():
                    pages = int((folder / "statm").read_text().split()[1])
                    return pages * os.sysconf("SC_PAGE_SIZE")
            except OSError:
                continue
        raise AssertionError("the app's process is not to be found")


@pytest.fixture(scope="session")
def scene(service: Service) -> Iterator[Scene]:
    with service.client() as client:
        pictures = drawn(per_class=6) | ACCEPTED | BROKEN
        dataset = upload(client, zipped(pictures))
        job = fine_tune(client, dataset["id"])
        second = fine_tune(client, dataset["id"], seed=2)
        client.put(
            "/v1/aliases/default", json={"model": job["fine_tuned_model"]}
        ).raise_for_status()
        with service.client(_poor(client)) as poor:
            yield Scene(
                service=service,
                client=client,
                dataset=dataset,
                model=job["fine_tuned_model"],
                other=second["fine_tuned_model"],
                job=job["id"],
                poor=poor,
            )


def _poor(client: httpx.Client) -> str:
    """The key of a new tenant with next to no bounds."""
    new = {"name": "poor", "scopes": ["admin"], "organization": "poor"}
    key = client.post("/v1/api_keys", json=new).json()["key"]
    bounds = {"stored_bytes": 1000, "requests_per_minute": 1}
    answer = client.patch("/v1/organizations/poor", json={"quotas": bounds})
    answer.raise_for_status()
    return str(key)


def few() -> bytes:
    """A small upload of nobody's interest."""
    return zipped(folders({"a": 2, "b": 2}))
