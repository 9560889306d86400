"""What travels to a bare GPU machine is found by importing, not listed by hand."""

from __future__ import annotations

import pytest

from benchmarks.gpu import needs

pytestmark = pytest.mark.slow


def test_the_service_starts_without_what_is_left_and_knows_what_has_to_travel() -> None:
    named = [one.partition("==")[0] for one in needs.travelling()]
    assert {"fastapi", "sqlalchemy", "uvicorn", "mako", "pydantic", "pydantic-core"} <= set(named)
    assert not {"torch", "numpy", "transformers", "openvino", "headstart"} & set(named)
    assert len(named) == len(set(named))


def test_nothing_is_missing_where_the_service_is_installed() -> None:
    assert needs.missing() is None
