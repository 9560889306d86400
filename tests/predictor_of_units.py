"""The predictor on a CPU with or without bf16 units, whichever this one is.

`TEST_UNITS=f32`: the units are not seen. `TEST_UNITS=bf16`: where there are none, torch's emulation
stands in for what OpenVINO would compute on them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from app.core.backbones import BackboneSpec
from worker.ml.engines import openvino_engine, precision
from worker.ml.engines.openvino_graph import CpuOptions
from worker.ml.engines.torch_engine import load_torch
from worker.predictor import process

REAL = precision.units("cpu")
BOTH = os.environ["TEST_UNITS"] == "bf16"
_load_openvino = openvino_engine.load_openvino


def load(spec: BackboneSpec, weights_dir: Path | None, options: CpuOptions) -> Any:
    if options.precision in REAL:
        return _load_openvino(spec, weights_dir, options)
    return load_torch(spec, weights_dir, "cpu", precision=options.precision)


if __name__ == "__main__":
    precision._has_bf16 = lambda _device: BOTH
    openvino_engine.load_openvino = load
    process.main()
