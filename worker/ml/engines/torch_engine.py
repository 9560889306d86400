"""Torch, on CUDA: bf16 weights, channels_last; the same vectors in the same layout."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from worker.ml.backbones.networks import pyramid
from worker.ml.engines.base import Engine, Vectors


class TorchImages:
    """An image backbone on torch; bf16 where the device is CUDA, fp32 elsewhere."""

    def __init__(self, spec: BackboneSpec, *, weights_dir: Path | None, device: str) -> None:
        network, weights = pyramid(spec.name, weights_dir)
        cuda = device.startswith("cuda")
        self.spec = spec
        self.weights_sha256 = weights.sha256
        self.best_batch = 256 if cuda else 16
        self.precision = f"torch-{'bf16' if cuda else 'f32'}-{device.partition(':')[0]}"
        self._device = torch.device(device)
        dtype = torch.bfloat16 if cuda else torch.float32
        self._network = network.to(self._device, dtype).to(memory_format=torch.channels_last)
        self._lock = Lock()

    @torch.inference_mode()
    def embed(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D]."""
        if self.spec.fixed_size and batch.shape[1] != self.spec.input_size:
            raise HeadstartError(
                "invalid_value", f"{self.spec.name} reads only {self.spec.input_size} pixels."
            )
        pixels = torch.from_numpy(np.ascontiguousarray(batch))
        pieces = torch.split(pixels, self.best_batch)
        with self._lock:
            return torch.cat([self._forward(piece) for piece in pieces]).cpu().numpy()

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self._network(pixels.to(self._device, non_blocking=True))
        return vectors


def load_torch(spec: BackboneSpec, weights_dir: Path | None, device: str) -> Engine:
    """Raises backbone_unavailable or weights_invalid."""
    return TorchImages(spec, weights_dir=weights_dir, device=device)
