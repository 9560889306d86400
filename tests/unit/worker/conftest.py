"""A database and a storage for each test, and a trainer's context on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_kit import Kit, open_kit
from worker.trainer.context import Context, open_context


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = open_kit(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def context(kit: Kit) -> Iterator[Context]:
    made = open_context(kit.settings, child="tests.light_child")
    yield made
    made.close()
