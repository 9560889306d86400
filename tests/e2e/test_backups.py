"""A backup of a running service, of either footing, restored into an empty place answers alike."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.embedded import start
from app.infra.settings import Settings
from tests.e2e.archives import drawn, zipped
from tests.e2e.conftest import Service
from tests.e2e.patience import PatientClient
from tests.e2e.test_upload_to_prediction import fine_tune, upload
from tests.servers import postgres_server
from tests.workers import environment


def headstart(settings: Settings, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *command],
        env=environment(settings), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def asked(client: httpx.Client, model: str, pictures: dict[str, bytes]) -> list[Any]:
    files = [("files", (name, data)) for name, data in pictures.items()]
    answer = client.post(f"/v1/models/{model}/predictions", files=files)
    assert answer.status_code == 200, answer.text
    return [(one["label"], round(one["probability"], 4)) for one in answer.json()["data"]]


@pytest.mark.parametrize("shelf", ["backup", "backup.tar"])
def test_what_is_restored_predicts_as_what_was_backed_up(
    service: Service, tmp_path: Path, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = drawn(per_class=3, seed=9)
    with ExitStack() as opened:
        client = opened.enter_context(service.client())
        dataset = upload(client, zipped(drawn(per_class=6)))["id"]
        job = fine_tune(client, dataset)
        model = job["fine_tuned_model"]
        before = asked(client, model, pictures)
        settings = Settings(data_dir=service.data_dir, database_url=service.database_url)
        made = headstart(settings, "backup", str(tmp_path / shelf))
        assert made.returncode == 0, made.stderr
        assert headstart(settings, "backup", str(tmp_path / shelf)).returncode == 1
        assert "in_use" in headstart(settings, "restore", str(tmp_path / shelf)).stderr
        empty = Settings(data_dir=tmp_path / "elsewhere")
        if service.database_url:
            url = opened.enter_context(postgres_server())
            monkeypatch.setenv("HEADSTART_DATABASE_URL", url)  # what `up` starts reads it there
            empty = empty.model_copy(update={"database_url": url})
        restored = headstart(empty, "restore", str(tmp_path / shelf))
        assert restored.returncode == 0, restored.stderr
        supervisor = start(empty, host="127.0.0.1", port=0)
        try:
            headers = {"Authorization": f"Bearer {service.key}"}
            with PatientClient(base_url=supervisor.url, headers=headers) as copy:
                assert asked(copy, model, pictures) == before
                assert copy.get(f"/v1/fine_tuning/jobs/{job['id']}").json() == job
                assert fine_tune(copy, dataset)["status"] == "succeeded"
        finally:
            supervisor.stop()
