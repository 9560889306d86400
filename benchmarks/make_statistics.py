"""A backbone's generic statistics: python -m benchmarks.make_statistics BACKBONE [WEIGHTS_DIR]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

import numpy as np
import torch

from benchmarks.generic_pictures import pictures
from worker.ml.engines import ImageEngine, load_engine
from worker.ml.features import whitening
from worker.ml.images.views import render

COUNT = 1200
SEED = 0


def make(backbone: str, weights_dir: Path | None) -> Path:
    """Embed the pictures, estimate, and write the file; raises `backbone_unavailable`."""
    engine = cast(ImageEngine, load_engine(backbone, weights_dir))
    size = engine.spec.input_size
    squish = [render(np.asarray(p), ["squish"], size)[0] for p in pictures(COUNT, SEED)]
    rows = torch.from_numpy(engine.embed(np.stack(squish)))
    tensors = whitening.estimate(rows, engine.spec.layout)
    return whitening.write(tensors, backbone=backbone, weights_sha256=engine.weights_sha256)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbone")
    parser.add_argument("weights_dir", nargs="?", type=Path)
    options = parser.parse_args()
    sys.stdout.write(f"{make(options.backbone, options.weights_dir)}\n")
