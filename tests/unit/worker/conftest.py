"""A database and a storage for each test, and a trainer's world on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_kit import Kit, open_kit
from worker.world import World, open_world


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = open_kit(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def world(kit: Kit) -> Iterator[World]:
    made = open_world(kit.settings, child="tests.light_child")
    yield made
    made.close()
