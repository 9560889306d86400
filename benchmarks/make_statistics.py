"""A backbone's generic statistics: python -m benchmarks.make_statistics BACKBONE [WEIGHTS_DIR]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

import numpy as np
import torch

from benchmarks.generic_pictures import pictures
from benchmarks.generic_texts import by_language
from worker.ml.engines import ImageEngine, TextEngine, load_engine
from worker.ml.features import whitening
from worker.ml.images.views import render

COUNT = 1200
SEED = 0


def make(backbone: str, weights_dir: Path | None) -> Path:
    """Embed, estimate, and write the file; raises `backbone_unavailable`."""
    engine = load_engine(backbone, weights_dir, precision="f32")
    if engine.spec.modality == "text":
        tensors = _of_texts(cast("TextEngine", engine))
    else:
        tensors = _of_pictures(cast("ImageEngine", engine))
    return whitening.write(tensors, backbone=backbone, weights_sha256=engine.weights_sha256)


def _of_pictures(engine: ImageEngine) -> dict[str, torch.Tensor]:
    size = engine.spec.input_size
    squish = [render(np.asarray(p), ["squish"], size)[0] for p in pictures(COUNT, SEED)]
    rows = torch.from_numpy(engine.embed(np.stack(squish)))
    return whitening.estimate(rows, engine.spec.layout)


def _of_texts(engine: TextEngine) -> dict[str, torch.Tensor]:
    """Every language counts alike, however many sentences it has."""
    means = [engine.embed(texts).mean(0) for texts in by_language().values()]
    return whitening.centred(torch.from_numpy(np.stack(means)), engine.spec.layout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbone")
    parser.add_argument("weights_dir", nargs="?", type=Path)
    options = parser.parse_args()
    sys.stdout.write(f"{make(options.backbone, options.weights_dir)}\n")
