"""Real engines, loaded once a session; what they convert is kept between sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.ml.engines import Engine, load_engine
from worker.ml.engines.torch_engine import load_torch


@pytest.fixture(scope="session")
def engine_cache(pytestconfig: pytest.Config) -> Path:
    """A folder for converted graphs that outlives the session."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("engines")


@pytest.fixture(scope="session")
def image_engine(engine_cache: Path) -> Engine:
    """efficientnet_lite0 on OpenVINO, in f32 whatever this CPU has units for."""
    return load_engine(
        "efficientnet_lite0", None, device="cpu", cache_dir=engine_cache, precision="f32"
    )


@pytest.fixture(scope="session")
def text_engine(engine_cache: Path) -> Engine:
    """all-MiniLM-L6-v2 on OpenVINO, in f32."""
    return load_engine(
        "all-MiniLM-L6-v2", None, device="cpu", cache_dir=engine_cache, precision="f32"
    )


@pytest.fixture(scope="session")
def torch_engine(image_engine: Engine) -> Engine:
    """efficientnet_lite0 on torch, in f32."""
    return load_torch(image_engine.spec, None, "cpu")
