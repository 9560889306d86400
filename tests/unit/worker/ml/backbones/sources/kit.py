"""What a backbone from any source must do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from worker.ml.engines import load_engine
from worker.ml.engines.torch_engine import load_torch


def noise(side: int, count: int = 3) -> NDArray[np.uint8]:
    """Pictures of nothing, uint8 [n, s, s, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def agreeing(name: str, folder: Path) -> BackboneSpec:
    """The spec of a backbone whose blocks are the same in torch and in the CPU's engine."""
    ours: Any = load_engine(name, folder, device="cpu", precision="f32")
    theirs: Any = load_torch(ours.spec, folder, "cpu")
    spec: BackboneSpec = ours.spec
    pixels = noise(spec.input_size)
    a, b = ours.embed(pixels), theirs.embed(pixels)
    assert a.shape == b.shape == (len(pixels), spec.width)
    for block in spec.layout:
        columns = slice(block.start, block.stop)
        assert np.allclose(a[:, columns], b[:, columns], rtol=1e-2, atol=1e-3)
    assert np.abs(ours.embed(pixels[:1]) - a[:1]).max() < 1e-3
    assert ours.fingerprint == theirs.fingerprint
    assert ours.weights_sha256 == theirs.weights_sha256
    return spec
