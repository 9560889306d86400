"""Torch, on CUDA: channels_last; the same vectors in the same layout as OpenVINO's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from app.core.manifest import Modality
from app.infra import weights
from app.infra.precision import Precision
from worker.ml.backbones import sources, text_files
from worker.ml.backbones.cuts import CutNetwork, cut_network
from worker.ml.backbones.sources import image_network
from worker.ml.engines import company
from worker.ml.engines.base import Engine, Vectors, check_mapped_side, check_side
from worker.ml.engines.precision import torch_name
from worker.ml.engines.texts import BATCH, Encoder, Tokens

_DTYPES: Mapping[Precision, torch.dtype] = {"f32": torch.float32, "bf16": torch.bfloat16}


class TorchImages:
    """An image backbone on torch; on a CPU it emulates bf16, slowly: for tests and figures."""

    def __init__(
        self, spec: BackboneSpec, *, weights_dir: Path | None, device: str, precision: Precision
    ) -> None:
        self.spec, network = image_network(spec.name, weights_dir)
        self.weights_sha256 = sources.supplied(spec.name, weights_dir).sha256
        self.fingerprint = sources.fingerprint(self.spec, weights_dir)
        self.former = sources.former(self.spec, weights_dir)
        self.best_batch = 256 if _is_cuda(device) else 16
        self.precision = torch_name(precision, device)
        self._device = torch.device(device)
        network.cast(_DTYPES[precision])
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        self._cut: CutNetwork | None = None
        self._lock = Lock()

    @torch.inference_mode()
    def embed(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D]."""
        check_side(self.spec, batch.shape)
        pixels = torch.from_numpy(np.ascontiguousarray(batch))
        with self._lock:
            pieces = [self._forward(piece) for piece in torch.split(pixels, self.best_batch)]
            return torch.cat(pieces).cpu().numpy()

    @torch.inference_mode()
    def embed_with_map(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D + width]. Raises cut_unavailable."""
        check_mapped_side(self.spec, batch.shape)
        pixels = torch.from_numpy(np.ascontiguousarray(batch))
        with self._lock:
            if self._cut is None:
                self._cut = cut_network(self.spec, self._network)
            cut = self._cut
            pieces = [cut(piece.to(self._device)) for piece in torch.split(pixels, self.best_batch)]
            return torch.cat(pieces).cpu().numpy()

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self._network(pixels.to(self._device))
        return vectors


class TorchTexts:
    """A text encoder on torch."""

    best_batch = BATCH

    def __init__(
        self, spec: BackboneSpec, *, path: Path, device: str, precision: Precision
    ) -> None:
        self.spec = spec
        self.weights_sha256 = weights.sha256(path)
        self.fingerprint = text_files.fingerprint(spec, path)
        self.former = text_files.former(spec, path)
        self.precision = torch_name(precision, device)
        self.encoder = Encoder(spec, path)
        self._device = torch.device(device)
        network, _ = company.network_alone(path, self.encoder, layer=spec.layer)
        network.cast(_DTYPES[precision])
        self._network = network.to(self._device)
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


def load_torch(
    spec: BackboneSpec, weights_dir: Path | None, device: str, *, precision: Precision = "f32"
) -> Engine:
    """Raises backbone_unavailable or weights_invalid."""
    if precision == "f32":
        torch.backends.cudnn.allow_tf32 = False  # or f32 would be of 10-bit mantissas on CUDA
    path = weights.require(spec, weights_dir).path
    made: dict[Modality, Callable[[], Engine]] = {
        "text": lambda: TorchTexts(spec, path=path, device=device, precision=precision),
        "image": lambda: TorchImages(
            spec, weights_dir=weights_dir, device=device, precision=precision
        ),
    }
    return made[spec.modality]()
