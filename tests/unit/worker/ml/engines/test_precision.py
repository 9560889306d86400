"""Precisions: what is chosen on which machine, that engines keep to it, and that nothing mixes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.core.backbones import EFFICIENTNET, MINILM
from app.core.errors import HeadstartError
from tests.unit.worker.ml.drawn_images import encoded, picture
from worker.ml.engines import embedding_key, load_engine, openvino_graph, precision
from worker.ml.engines.openvino_graph import CpuOptions
from worker.ml.engines.torch_engine import load_torch
from worker.ml.images.views import decode_to

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[5]
UNITS = "bf16" in precision.units("cpu")


@pytest.fixture(scope="module")
def batch() -> NDArray[np.uint8]:
    """Four different pictures, [4, 224, 224, 3]."""
    drawn = [encoded(np.roll(picture(60 + 20 * i, 90), i, axis=2), "PNG") for i in range(4)]
    return np.stack([decode_to(one, "squish", 224) for one in drawn])


@pytest.fixture(scope="module")
def emulated() -> Any:
    """efficientnet_lite0 in bf16 on any CPU: torch rounds what has no units to compute it."""
    return load_torch(EFFICIENTNET, None, "cpu", precision="bf16")


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize(
    ("choice", "units", "taken"),
    [
        ("auto", ("f32", "bf16"), "bf16"),
        ("auto", ("f32",), "f32"),
        ("f32", ("f32", "bf16"), "f32"),
        ("f32", ("f32",), "f32"),
        ("bf16", ("f32", "bf16"), "bf16"),
    ],
)
def test_what_is_taken_where(
    choice: Any, units: tuple[str, ...], taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "units", lambda _device: units)
    assert precision.chosen(choice, "cpu") == taken
    found = precision.precisions(choice, "cpu")
    assert found.default == f"openvino-{taken}"
    assert found.available == tuple(f"openvino-{one}" for one in units)
    assert precision.precisions(choice, "cuda:1").default == f"torch-{taken}-cuda"


def test_bf16_without_units_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "units", lambda _device: ("f32",))
    for load in (
        lambda: precision.precisions("bf16", "cpu"),
        lambda: load_engine("efficientnet_lite0", None, device="cpu", precision="bf16"),
    ):
        with pytest.raises(HeadstartError, match="HEADSTART_PRECISION") as caught:
            load()
        assert caught.value.code == "precision_unavailable"


def test_an_engine_in_another_precision_than_asked_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = openvino_graph._convert(torch.nn.Flatten(), torch.zeros(1, 2, 2), [[-1, 2, 2]])
    monkeypatch.setattr(openvino_graph, "_number_format", lambda _model: "bf16")
    with pytest.raises(HeadstartError) as caught:
        openvino_graph.compiled(graph, CpuOptions(precision="f32"))
    assert caught.value.code == "precision_unavailable"


def test_bf16_moves_an_embedding_a_little(
    image_engine: Any, emulated: Any, batch: NDArray[np.uint8]
) -> None:
    ours, theirs = image_engine.embed(batch), emulated.embed(batch)
    assert emulated.precision == "torch-bf16-cpu"
    assert 0.97 < cosines(ours, theirs).min() < 0.99999
    assert embedding_key(image_engine, "squish") != embedding_key(emulated, "squish")


def test_texts_too(text_engine: Any) -> None:
    theirs: Any = load_torch(MINILM, None, "cpu", precision="bf16")
    said = ["my card has not arrived", "what is the exchange rate"]
    assert 0.97 < cosines(text_engine.embed(said), theirs.embed(said)).min() < 0.9999999


@pytest.mark.skipif(not UNITS, reason="this CPU has no bf16 units: torch's emulation stands in")
def test_the_units_compute_what_the_emulation_does(
    image_engine: Any, emulated: Any, batch: NDArray[np.uint8], engine_cache: Path
) -> None:
    """Compiled graphs are kept by precision: one warm cache serves both in turn."""
    for _ in range(2):
        half: Any = load_engine(
            "efficientnet_lite0", None, device="cpu", cache_dir=engine_cache, precision="bf16"
        )
        full: Any = load_engine(
            "efficientnet_lite0", None, device="cpu", cache_dir=engine_cache, precision="f32"
        )
        assert (half.precision, full.precision) == ("openvino-bf16", "openvino-f32")
        assert np.abs(full.embed(batch) - image_engine.embed(batch)).max() < 1e-3
        assert cosines(half.embed(batch), emulated.embed(batch)).min() > 0.97
        assert cosines(half.embed(batch), full.embed(batch)).min() < 0.99999
    assert embedding_key(half, "squish") != embedding_key(full, "squish")


def test_a_former_key_stays_valid(image_engine: Any) -> None:
    """Of 0.1.0 in f32, as the data folder in tests/fixtures has it."""
    assert embedding_key(image_engine, "squish") == "71c4cce9271d0c3b2a805b26"


def test_auto_is_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "precision.json").read_text())
    monkeypatch.setattr(precision, "units", lambda _device: ("f32", "bf16"))
    assert precision.chosen("auto", "cpu") == result["results"]["rule"]["auto"]
