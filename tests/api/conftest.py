"""A running app for each test, and callers of two organisations."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.factories import make_key, migrated

if TYPE_CHECKING:
    from tests.api.predictions.conftest import Serving


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows."""
    return migrated(tmp_path_factory.mktemp("database"))


@pytest.fixture
def service(empty_database: Path, tmp_path: Path) -> Iterator[Service]:
    """The app on a data folder of its own."""
    shutil.copy(empty_database, tmp_path / "headstart.db")
    with serve(Settings(data_dir=tmp_path)) as running:
        yield running


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The one real predictor of all rooms' tests: it and its first model take long to make."""
    from tests.api.predictions.conftest import started  # which loads torch

    with started(tmp_path_factory.mktemp("predictor")) as found:
        yield found


@pytest.fixture
def supply(service: Service, tmp_path: Path) -> Callable[[str], None]:
    """Put weights of a backbone, which nobody reads here, into the weights folder."""
    folder = tmp_path / "weights"
    folder.mkdir()
    object.__setattr__(service.settings, "weights_dir", folder)
    return lambda name: (folder / f"{name}.pth").write_bytes(b"weights") and None


@pytest.fixture
def key(service: Service) -> str:
    """A key with every scope but `operator`."""
    return make_key(service.services.sessions)


@pytest.fixture
def other_key(service: Service) -> str:
    """The same of another organisation."""
    return make_key(service.services.sessions, "other")


@pytest.fixture
def client(service: Service, key: str) -> Iterator[httpx.Client]:
    """A caller."""
    with service.client(key) as found:
        yield found


@pytest.fixture
def other_client(service: Service, other_key: str) -> Iterator[httpx.Client]:
    """A caller of another organisation."""
    with service.client(other_key) as found:
        yield found
