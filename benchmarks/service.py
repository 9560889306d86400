"""A whole service on the embedded footing, started for one figure and stopped after it."""

from __future__ import annotations

import io
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.cli.embedded import start
from app.cli.supervisor import Supervisor
from app.infra.settings import load_settings


@dataclass
class Service:
    """A running service and a client that holds its first key."""

    supervisor: Supervisor
    client: httpx.Client
    data_dir: Path

    def tenant(self, name: str) -> httpx.Client:
        """A client of another organisation, whose caches are empty."""
        made = self.client.post(
            "/v1/api_keys", json={"name": name, "organization": name, "scopes": ["admin"]}
        )
        made.raise_for_status()
        return _client(self.supervisor.url, made.json()["key"])

    def settle(self) -> None:
        """Wait until no work is left: idle-time views would weigh on whatever is timed next."""
        with closing(sqlite3.connect(self.data_dir / "headstart.db")) as database:
            query = "SELECT count(*) FROM work WHERE state IN ('queued', 'running')"
            while database.execute(query).fetchone()[0]:
                time.sleep(0.1)
        time.sleep(1)

    def memory(self, name: str) -> float:
        """Resident MB of the child `name` and its descendants."""
        child = next(child for child in self.supervisor.children if child.name == name)
        assert child.process is not None
        return _resident_mb(child.process.pid)


@contextmanager
def running() -> Iterator[Service]:
    """A service on a throw-away data folder."""
    with tempfile.TemporaryDirectory(prefix="headstart-bench-") as folder:
        settings = load_settings().model_copy(update={"data_dir": Path(folder)})
        supervisor = start(settings, host="127.0.0.1", port=0)
        try:
            key = (Path(folder) / "api-key").read_text().strip()
            yield Service(supervisor, _client(supervisor.url, key), Path(folder))
        finally:
            supervisor.stop()


def upload(client: httpx.Client, archive: bytes, *, name: str = "bench") -> dict[str, Any]:
    """Upload a zip; the dataset as first answered."""
    made = client.post("/v1/datasets", files={"file": (f"{name}.zip", archive)})
    made.raise_for_status()
    return dict(made.json())


def fine_tune(client: httpx.Client, dataset: str, **fields: Any) -> dict[str, Any]:
    """Create a job and wait for its end."""
    body = {"model": "efficientnet_lite0", "training_file": dataset, **fields}
    made = client.post("/v1/fine_tuning/jobs", json=body, headers={"Prefer": "wait=300"})
    made.raise_for_status()
    job = dict(made.json())
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.01)
        job = client.get(f"/v1/fine_tuning/jobs/{job['id']}").json()
    if job["status"] != "succeeded":
        raise SystemExit(f"the job ended as {job['status']}: {job['error']}")
    return job


def wait_until_ready(client: httpx.Client, dataset: str) -> dict[str, Any]:
    """Wait for the end of `processing`."""
    while True:
        found = client.get(f"/v1/datasets/{dataset}").json()
        if found["status"] != "processing":
            return dict(found)
        time.sleep(0.02)


def class_folders(root: Path, *, per_class: int | None = None) -> list[tuple[str, Path]]:
    """`(label, path)` of the pictures under class folders, at most `per_class` of each."""
    return [
        (folder.name, path)
        for folder in sorted(root.iterdir())
        for path in sorted(folder.iterdir())[:per_class]
    ]


def zipped(pictures: Sequence[tuple[str, Path]]) -> bytes:
    """A zip of class folders, stored: pictures do not compress."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for label, path in pictures:
            archive.write(path, f"{label}/{path.name}")
    return out.getvalue()


def _client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=600)


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [child for one in threads for child in (one / "children").read_text().split()]
    return pages * 4096 / 1e6 + sum(_resident_mb(int(child)) for child in children)
