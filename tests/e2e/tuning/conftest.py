"""On the production footing tunings go the whole way with the full counts alone, but for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.counts import FULL

_ALWAYS = "test_texts_go_the_whole_way[production-lora]"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They are long, and what is other there (Postgres, Celery, a store) has its own tests."""
    skipped = pytest.mark.skip(reason="a tuning on the production footing: `make faults` runs it")
    for item in items:
        here = item.path.parent == Path(__file__).parent
        if here and "production" in item.name and item.name != _ALWAYS and not FULL:
            item.add_marker(skipped)
