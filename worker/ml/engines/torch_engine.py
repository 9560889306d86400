"""Torch, on CUDA: bf16, channels_last; the same vectors in the same layout as OpenVINO's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from app.infra import weights
from worker.ml.backbones.encoders import text_network
from worker.ml.backbones.networks import pyramid
from worker.ml.backbones.weights import locate
from worker.ml.engines.base import Engine, Vectors, check_side
from worker.ml.engines.texts import BATCH, Encoder, Tokens, fingerprint


class TorchImages:
    """An image backbone on torch; bf16 where the device is CUDA, fp32 elsewhere."""

    def __init__(self, spec: BackboneSpec, *, weights_dir: Path | None, device: str) -> None:
        network, loaded = pyramid(spec.name, weights_dir)
        self.spec = spec
        self.weights_sha256 = self.fingerprint = loaded.sha256
        self.best_batch = 256 if _is_cuda(device) else 16
        self.precision = _precision(device)
        self._device = torch.device(device)
        network.cast(_dtype(device))
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        self._lock = Lock()

    @torch.inference_mode()
    def embed(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D]."""
        check_side(self.spec, batch.shape)
        pixels = torch.from_numpy(np.ascontiguousarray(batch))
        with self._lock:
            pieces = [self._forward(piece) for piece in torch.split(pixels, self.best_batch)]
            return torch.cat(pieces).cpu().numpy()

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self._network(pixels.to(self._device))
        return vectors


class TorchTexts:
    """A text encoder on torch."""

    best_batch = BATCH

    def __init__(self, spec: BackboneSpec, *, folder: Path, device: str) -> None:
        self.spec = spec
        self.weights_sha256 = weights.sha256(folder)
        self.fingerprint = fingerprint(folder)
        self.precision = _precision(device)
        self.encoder = Encoder(spec, folder)
        self._device = torch.device(device)
        network = text_network(folder, self.encoder.pooling)
        self._network = network.to(self._device, _dtype(device))
        self._lock = Lock()

    def embed(self, batch: Sequence[str]) -> Vectors:
        """Texts → float32 [n, d], each of length one."""
        return self.encoder.embed(batch, width=self.spec.width, forward=self._forward)

    @torch.inference_mode()
    def _forward(self, ids: Tokens, mask: Tokens) -> Vectors:
        inputs = (torch.from_numpy(tokens).to(self._device) for tokens in (ids, mask))
        with self._lock:
            vectors: Vectors = self._network(*inputs).cpu().numpy()
        return vectors


def _is_cuda(device: str) -> bool:
    return device.startswith("cuda")


def _dtype(device: str) -> torch.dtype:
    return torch.bfloat16 if _is_cuda(device) else torch.float32


def _precision(device: str) -> str:
    return f"torch-{'bf16' if _is_cuda(device) else 'f32'}-{device.partition(':')[0]}"


def load_torch(spec: BackboneSpec, weights_dir: Path | None, device: str) -> Engine:
    """Raises backbone_unavailable or weights_invalid."""
    if spec.modality == "text":
        return TorchTexts(spec, folder=locate(spec, weights_dir).path, device=device)
    return TorchImages(spec, weights_dir=weights_dir, device=device)
