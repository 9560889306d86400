"""OpenVINO on a CPU: normalisation, network and pooling in one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from app.core.manifest import Modality
from app.infra import weights
from app.infra.found_backbones import GGUF_SUFFIX
from worker.ml.backbones import sources, text_files
from worker.ml.engines import company
from worker.ml.engines import openvino_graph as graphs
from worker.ml.engines.base import CUT_VERSION, Engine, Vectors, check_mapped_side, check_side
from worker.ml.engines.openvino_graph import CpuOptions
from worker.ml.engines.precision import engine_name
from worker.ml.engines.texts import BATCH, Encoder, Tokens

_CUT = 0
"""Where the request of the cut network lies among those by side."""
_CUT_BATCH = 4
"""Pictures in its passes: a request keeps what its largest pass took, of which the engine's own has
as much as it needs, and more together are hardly quicker.
"""


class OpenVinoImages:
    """An image backbone on OpenVINO; a side other than the network's is compiled on first use."""

    best_batch = 16

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        weights_dir: Path | None,
        weights_sha256: str,
        options: CpuOptions,
    ) -> None:
        self.spec = spec
        self.weights_sha256 = weights_sha256
        self.fingerprint = sources.fingerprint(spec, weights_dir)
        self.former = sources.former(spec, weights_dir)
        self.precision = engine_name(options.precision, "cpu")
        self._weights_dir = weights_dir
        self._options = options
        self._requests: dict[int, Any] = {}
        self._lock, self._cutting = Lock(), Lock()
        self._request(spec.input_size)

    def embed(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D]."""
        check_side(self.spec, batch.shape)
        if not len(batch):
            return np.empty((0, self.spec.width), np.float32)
        with self._lock:
            request = self._request(batch.shape[1])
            return self._passed(request, batch, together=self.best_batch)

    def embed_with_map(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D + width]. Raises cut_unavailable."""
        check_mapped_side(self.spec, batch.shape)
        with self._cutting:  # seconds, which no other pass waits for
            if _CUT not in self._requests:
                self._requests[_CUT] = self._cut().create_infer_request()
        with self._lock:
            return self._passed(self._requests[_CUT], batch, together=_CUT_BATCH)

    def _passed(self, request: Any, batch: NDArray[np.uint8], *, together: int) -> Vectors:
        """What the request gives, a piece at a time; it keeps nothing that is given."""
        rows: list[Vectors] = []
        for start in range(0, len(batch), together):
            piece = np.ascontiguousarray(batch[start : start + together])
            rows.append(request.infer([piece], share_inputs=True)[0].copy())
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def _request(self, side: int) -> Any:
        if side not in self._requests:
            self._requests[side] = self._compiled(side).create_infer_request()
        return self._requests[side]

    def _cut(self) -> Any:
        spec = self.spec
        graph = graphs.stored(
            self._options.cache_dir,
            (spec.name, self.fingerprint, repr(spec.layout), "cut", CUT_VERSION),
            make=lambda: graphs.cut_graph(spec, self._weights_dir),
        )
        return graphs.compiled(graph, self._options)

    def _compiled(self, side: int) -> Any:
        spec = self.spec
        parts = (spec.name, self.fingerprint, repr(spec.layout), str(side))
        graph = graphs.stored(
            self._options.cache_dir,
            parts,
            make=lambda: graphs.image_graph(spec, self._weights_dir, side),
        )
        return graphs.compiled(graph, self._options)


class OpenVinoTexts:
    """A text encoder on OpenVINO, for any number and length of texts."""

    best_batch = BATCH

    def __init__(self, spec: BackboneSpec, *, path: Path, options: CpuOptions) -> None:
        self.spec = spec
        self.weights_sha256 = weights.sha256(path)
        self.fingerprint = text_files.fingerprint(spec, path)
        self.former = text_files.former(spec, path)
        self.encoder = Encoder(spec, path)
        graph = graphs.stored(
            options.cache_dir,
            (spec.name, self.fingerprint, self.encoder.pooling, f"held {company.VERSION}"),
            make=lambda: graphs.text_graph(path, self.encoder, layer=spec.layer),
            halved=path.suffix == GGUF_SUFFIX,
        )
        self._request = graphs.compiled(graph, options).create_infer_request()
        self._lock = Lock()
        self.precision = engine_name(options.precision, "cpu")

    def embed(self, batch: Sequence[str]) -> Vectors:
        """Texts → float32 [n, d], each of length one."""
        return self.encoder.embed(batch, width=self.spec.width, forward=self._forward)

    def _forward(self, ids: Tokens, mask: Tokens) -> Vectors:
        with self._lock:
            result: Vectors = self._request.infer([ids, mask], share_inputs=True)[0].copy()
        return result


def load_openvino(spec: BackboneSpec, weights_dir: Path | None, options: CpuOptions) -> Engine:
    """Raises backbone_unavailable, weights_invalid or precision_unavailable."""
    source = weights.require(spec, weights_dir)
    made: dict[Modality, Callable[[], Engine]] = {
        "text": lambda: OpenVinoTexts(spec, path=source.path, options=options),
        "image": lambda: OpenVinoImages(
            spec,
            weights_dir=weights_dir,
            weights_sha256=weights.sha256(source.path),
            options=options,
        ),
    }
    return made[spec.modality]()
