"""The rules read the tree and run none of it: they are not traced while coverage is measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from coverage import Coverage


@pytest.fixture(scope="module", autouse=True)
def untraced() -> Iterator[None]:
    """Whoever measures coverage pauses: under a tracer, walking trees is slow for nothing."""
    measuring = Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    yield
    measuring.start()
