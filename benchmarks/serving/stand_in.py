"""The predictor with an engine that computes nothing, at a rate of one's choice.

`STAND_IN_RATE=5000 python -m benchmarks.serving.stand_in`: a forward pass takes the time of so many
images a second, as a GPU would, and no processor's: what is left is the road to it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from worker.ml.engines import openvino_engine
from worker.ml.engines.openvino_engine import OpenVinoImages
from worker.ml.engines.openvino_graph import CpuOptions
from worker.predictor import process

RATE = float(os.environ.get("STAND_IN_RATE", "5000"))
_load_openvino = openvino_engine.load_openvino


class PacedImages(OpenVinoImages):
    """Gives every image one row, times what its first pixel says: one that told no image from any
    other would be refused as half there."""

    def embed(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [n, D], after n / RATE seconds, one batch at a time."""
        with self._lock:
            time.sleep(len(batch) / RATE)
        row = np.linspace(-1, 1, self.spec.width, dtype=np.float32)
        scale = 1 + batch[:, 0, 0, :1].astype(np.float32) / 255
        return np.multiply(scale, row, dtype=np.float32)

    def _request(self, side: int) -> Any:
        """No graph."""


def load(spec: BackboneSpec, weights_dir: Path | None, options: CpuOptions) -> Any:
    """The stand-in of a network of images; a real engine for texts."""
    if spec.modality != "image":
        return _load_openvino(spec, weights_dir, options)
    real = openvino_engine.OpenVinoImages
    openvino_engine.OpenVinoImages = PacedImages  # type: ignore[misc]
    try:
        return _load_openvino(spec, weights_dir, options)
    finally:
        openvino_engine.OpenVinoImages = real  # type: ignore[misc]


if __name__ == "__main__":
    openvino_engine.load_openvino = load
    process.main()
