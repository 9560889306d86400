"""The Celery worker around the trainer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.infra.settings import Settings
from tests.servers import redis_server
from tests.workers import LIGHT_CELERY, ROOT, environment

pytestmark = pytest.mark.servers


def test_a_worker_whose_trainer_cannot_start_ends(tmp_path: Path) -> None:
    with redis_server() as url:
        settings = Settings(
            data_dir=tmp_path, broker_url=url, database_url="postgresql+nonsense://x"
        )
        ended = subprocess.run(
            [sys.executable, *LIGHT_CELERY],
            env=environment(settings),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert "the trainer cannot start" in ended.stdout + ended.stderr
