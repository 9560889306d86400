"""Kits for the fault tests: short leases, or the promised ones where time itself is promised.

What a test notes with `record_property` are its figures; they are printed by promise, and kept in
benchmarks/results/faults.json where the counts are the full ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.s3 import s3_server
from tests.servers import postgres_database, postgres_url
from tests.worker_kit import Kit, open_kit

BRISK: dict[str, Any] = {"lease_seconds": 2.0, "heartbeat_seconds": 0.5, "poll_seconds": 1.0}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a Postgres server."""
    with postgres_url() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """Short leases, on SQLite and on Postgres."""
    if request.param == "sqlite":
        made = open_kit(tmp_path, **BRISK)
        yield made
        made.engine.dispose()
        return
    with postgres_database(request.getfixturevalue("postgres")) as url:
        made = open_kit(tmp_path, database_url=url, **BRISK)
        yield made
        made.engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def footing(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kit]:
    """SQLite on a local folder, and Postgres on an S3-compatible store."""
    with ExitStack() as opened:
        settings: dict[str, Any] = dict(BRISK)
        if request.param == "postgres":
            for name, value in {
                "ACCESS_KEY_ID": "t",
                "SECRET_ACCESS_KEY": "t",
                "REGION": "x",
            }.items():
                monkeypatch.setenv(f"AWS_{name}", value)
            endpoint = opened.enter_context(s3_server("bucket"))
            url = opened.enter_context(postgres_database(request.getfixturevalue("postgres")))
            settings |= {
                "database_url": url,
                "storage_url": "s3://bucket",
                "storage_endpoint": endpoint,
            }
        made = open_kit(tmp_path, **settings)
        opened.callback(made.engine.dispose)
        yield made


@pytest.fixture
def postgres_kit(postgres: str, tmp_path: Path) -> Iterator[Kit]:
    """Short leases, on Postgres."""
    with postgres_database(postgres) as url:
        made = open_kit(tmp_path, database_url=url, **BRISK)
        yield made
        made.engine.dispose()


@pytest.fixture
def promised_kit(tmp_path: Path) -> Iterator[Kit]:
    """SQLite with the settings that the promises are made for."""
    made = open_kit(tmp_path)
    yield made
    made.engine.dispose()
