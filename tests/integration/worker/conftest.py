"""A kit on either database, and trainers in this process around either tensor process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import postgres_database, postgres_url
from tests.worker_kit import Kit, open_kit
from worker.trainer.context import Context, open_context
from worker.trainer.loop import Trainer

LIGHT = "tests.light_child"
REAL = "worker.tensors"
OpenKit = Callable[..., Kit]


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted backbones, shared by every test of the session: making them takes seconds."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def sqlite_kit(tmp_path: Path, engines: Path) -> Iterator[Kit]:
    """SQLite."""
    (tmp_path / "engines").symlink_to(engines)
    kit = open_kit(tmp_path)
    yield kit
    kit.engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a Postgres server."""
    with postgres_url() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """SQLite or Postgres, for the light tensor process; short leases and polls."""
    brisk: dict[str, Any] = {"lease_seconds": 2.0, "heartbeat_seconds": 0.5, "poll_seconds": 0.3}
    if request.param == "sqlite":
        made = open_kit(tmp_path, **brisk)
        yield made
        made.engine.dispose()
        return
    with postgres_database(request.getfixturevalue("postgres")) as url:
        made = open_kit(tmp_path, database_url=url, **brisk)
        yield made
        made.engine.dispose()


@contextmanager
def training(kit: Kit, child: str = LIGHT) -> Iterator[Context]:
    """A trainer in a thread of this process."""
    context = open_context(kit.settings, child=child)
    thread = threading.Thread(target=Trainer(context).run)
    thread.start()
    try:
        yield context
    finally:
        context.stop.request()
        context.bell.ring()
        thread.join(60)
        assert not thread.is_alive()
