"""OpenVINO on a CPU: normalisation, network and pooling in one graph, uint8 pixels in."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core import backbones
from app.core.backbones import BackboneSpec, Source
from app.core.errors import HeadstartError
from worker.ml.engines.base import Engine, Vectors
from worker.ml.engines.openvino_graph import image_graph, stored
from worker.ml.engines.openvino_runtime import ov

BATCH = 16


class OpenVinoImages:
    """An image backbone on OpenVINO; a side other than the network's is compiled on first use."""

    best_batch = BATCH

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        weights_dir: Path | None,
        weights_sha256: str,
        cache_dir: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self.spec = spec
        self.weights_sha256 = weights_sha256
        self._weights_dir = weights_dir
        self._cache_dir = cache_dir
        self._threads = threads
        self._requests: dict[int, Any] = {}
        self._lock = Lock()
        self.precision = f"openvino-{_number_format(self._request(spec.input_size))}"

    def embed(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D]."""
        vectors = np.empty((len(batch), self.spec.width), np.float32)
        with self._lock:
            request = self._request(batch.shape[1])
            for start in range(0, len(batch), self.best_batch):
                piece = slice(start, start + self.best_batch)
                result = request.infer([np.ascontiguousarray(batch[piece])], share_inputs=True)
                vectors[piece] = result[0]
        return vectors

    def _request(self, side: int) -> Any:
        if side not in self._requests:
            self._requests[side] = self._compile(side).create_infer_request()
        return self._requests[side]

    def _compile(self, side: int) -> Any:
        spec = self.spec
        if spec.fixed_size and side != spec.input_size:
            raise HeadstartError(
                "invalid_value", f"{spec.name} reads only {spec.input_size} pixels, not {side}."
            )
        parts = (spec.name, self.weights_sha256, repr(spec.layout), str(side))
        graph = stored(
            self._cache_dir, parts, make=lambda: image_graph(spec, self._weights_dir, side)
        )
        return compile_graph(graph, self._cache_dir, self._threads)


def compile_graph(graph: Any, cache_dir: Path | None, threads: int | None) -> Any:
    """For one stream over all cores; OpenVINO picks bf16 where the CPU computes in it."""
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if cache_dir is not None:
        options["CACHE_DIR"] = str(cache_dir / "compiled")
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    return ov.Core().compile_model(graph, "CPU", options)


def _number_format(request: Any) -> str:
    compiled = request.get_compiled_model()
    return str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())


def load_openvino(
    spec: BackboneSpec, weights_dir: Path | None, cache_dir: Path | None, threads: int | None
) -> Engine:
    """Raises backbone_unavailable or weights_invalid."""
    source = backbones.find(spec.name, weights_dir) or _downloaded(spec, weights_dir)
    return OpenVinoImages(
        spec,
        weights_dir=weights_dir,
        weights_sha256=backbones.sha256(source.path),
        cache_dir=cache_dir,
        threads=threads,
    )


def _downloaded(spec: BackboneSpec, weights_dir: Path | None) -> Source:
    from worker.ml.backbones.weights import locate

    return locate(spec, weights_dir)
