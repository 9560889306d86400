"""Fixtures that every suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.promises"]

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
"""No property depends on how busy the machine is."""

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
"""As in a job's process, and read when torch is loaded: where several test processes share few
cores, threads that spin while they wait make small products many times slower."""

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_make_parametrize_id(config: pytest.Config, val: object) -> str | None:
    """Bytes are named by their kind: a gzip header holds the time, and every process must agree."""
    return "bytes" if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real development data; without it the test is skipped, and says so."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not found: {folder} (tests on it are skipped)")
    return folder


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of real pretrained weights; without it the test is skipped, and says so."""
    folder = SHARED / "weights"
    if not folder.is_dir():
        pytest.skip(f"weights not found: {folder} (tests on them are skipped)")
    return folder
