"""ONNX graphs on a GPU, by onnxruntime: the tap that OpenVINO's front end finds, as an output.

Other graph files have no runtime for CUDA: they stay on the CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from worker.ml import memory
from worker.ml.backbones import sources
from worker.ml.backbones.cuts import no_cut
from worker.ml.backbones.sources import graph_files
from worker.ml.backbones.sources.graph_files import BYTE, TappedGraph
from worker.ml.engines.base import Vectors, check_side

_log = logging.getLogger(__name__)
_NUMBERS: Mapping[str, Any] = {"i8": np.int8, "f16": np.float16, "f32": np.float32}
ON_GPU, ON_CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxImages:
    """A backbone in an ONNX file, in float32 on `provider`. Raises weights_invalid."""

    best_batch = 64

    def __init__(self, spec: BackboneSpec, *, weights_dir: Path | None, provider: str) -> None:
        found = sources.supplied(spec.name, weights_dir)
        self.spec = spec
        self.weights_sha256 = found.sha256
        self.fingerprint = sources.fingerprint(spec, weights_dir)
        self.former = sources.former(spec, weights_dir)
        self.precision = f"onnxruntime-f32-{'cuda' if provider == ON_GPU else 'cpu'}"
        self._tap = graph_files.tapped(spec.name, found.path, found.side)
        self._session = _session(spec, _graph(found, self._tap), provider)
        self._lock = Lock()
        self.embed(np.zeros((2, spec.input_size, spec.input_size, 3), np.uint8))

    def embed(self, batch: NDArray[np.uint8]) -> Vectors:
        """uint8 [n, s, s, 3] → float32 [n, D]."""
        check_side(self.spec, batch.shape)
        pieces = range(0, len(batch), self.best_batch)
        with self._lock:
            rows = [self._passed(batch[at : at + self.best_batch]) for at in pieces]
        return np.concatenate([np.empty((0, self.spec.width), np.float32), *rows])

    def embed_with_map(self, batch: NDArray[np.uint8]) -> Vectors:  # noqa: ARG002
        """Raises cut_unavailable: a graph has no gradients."""
        raise no_cut(self.spec.name, "it is a graph file, which is not trained here")

    def _passed(self, pixels: NDArray[np.uint8]) -> Vectors:
        given = {self._tap.reads: self._normalised(pixels)}
        try:
            (rows,) = self._session.run(None, given)
        except Exception as error:  # the runtime has no narrower one
            raise _not_run(self.spec, error) from error
        flat: Vectors = np.asarray(rows, np.float32).reshape(-1, self.spec.width)
        if len(flat) != len(pixels):
            told = f"{self.spec.name} reads one picture at a time"
            raise HeadstartError("weights_invalid", told)
        return flat

    def _normalised(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """As the graph reads them: bytes as they are, or floats by mean and deviation."""
        x: NDArray[Any] = pixels
        if self._tap.number != BYTE:
            mean, scale = graph_files.shift(self.spec, self._tap.number)
            floats = (pixels - np.array(mean, np.float32)) / np.array(scale, np.float32)
            x = floats.astype(_NUMBERS[self._tap.number])
        return np.ascontiguousarray(x if self._tap.colours_last else x.transpose(0, 3, 1, 2))


def load_onnx(spec: BackboneSpec, weights_dir: Path | None) -> OnnxImages:
    """On a GPU. Raises weights_invalid, and backbone_unavailable where onnxruntime has none."""
    if ON_GPU not in _providers():
        told = (
            f"{spec.name} on a GPU needs onnxruntime's build for CUDA: pip uninstall onnxruntime, "
            'pip install onnxruntime-gpu; or leave it on the CPU by {"device": "cpu"} in '
            f"{spec.name}.json"
        )
        raise HeadstartError("backbone_unavailable", told, param="model")
    return OnnxImages(spec, weights_dir=weights_dir, provider=ON_GPU)


def _providers() -> Sequence[str]:
    """What an installed onnxruntime can run on; nothing where there is none."""
    try:
        import onnxruntime  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return ()
    able: list[str] = onnxruntime.get_available_providers()
    return able


def _graph(found: sources.Supplied, tap: TappedGraph) -> bytes:
    """The file whose only answer is the tap, for any number of pictures. Raises weights_invalid
    where the tap has no name in it.
    """
    import onnx

    try:
        model = onnx.load(str(found.path))
        names = sorted(tap.names & {name for node in model.graph.node for name in node.output})
        if not names:
            raise _nameless(found.spec)
        del model.graph.output[:], model.graph.value_info[:]  # those of a fixed number
        model.graph.output.append(onnx.ValueInfoProto(name=names[0]))
        reads = next(one for one in model.graph.input if one.name == tap.reads)
        reads.type.tensor_type.shape.dim[0].dim_param = "pictures"
        packed: bytes = model.SerializeToString()
    except HeadstartError:
        raise
    except Exception as error:  # of a stranger's file the library raises what it likes
        _log.warning("%s cannot be read: %s", found.spec.name, error)
        why = f"{found.spec.name}: {found.path.name} is damaged, or has more than onnx reads"
        raise HeadstartError("weights_invalid", f"{why}: export it again") from error
    return packed


def _nameless(spec: BackboneSpec) -> HeadstartError:
    told = f'its embedding has no name: name the "tap" in {spec.name}.json'
    return HeadstartError("weights_invalid", f"{spec.name}: {told}")


def _not_run(spec: BackboneSpec, error: Exception) -> HeadstartError:
    """With what to do; the runtime's own words are for whoever reads the log."""
    _log.warning("%s in onnxruntime: %s", spec.name, error)
    why = f"{spec.name}: onnxruntime cannot run this graph, or the memory of the GPU is too small"
    more = f'export it again, or leave it on the CPU by {{"device": "cpu"}} in {spec.name}.json'
    return HeadstartError("weights_invalid", f"{why}: {more}")


def onnxruntime_session(graph: bytes, provider: str, told: dict[str, Any]) -> Any:
    """As its own library makes one."""
    import onnxruntime

    return onnxruntime.InferenceSession(graph, providers=[(provider, told)])


def _session(spec: BackboneSpec, graph: bytes, provider: str) -> Any:
    """Within this process's share of the GPU, and in float32 as it is written: not in TF32."""
    told: dict[str, Any] = {}
    if provider == ON_GPU:
        room = memory.available_on_gpu(memory.TRAINER_SHARE)
        told = {
            "gpu_mem_limit": str(room),
            "arena_extend_strategy": "kSameAsRequested",
            "use_tf32": "0",
        }
    try:
        session = onnxruntime_session(graph, provider, told)
    except Exception as error:  # the runtime has no narrower one
        raise _not_run(spec, error) from error
    if session.get_providers()[0] != provider:  # it takes the CPU where a library is missing
        told_of = f"{spec.name}: onnxruntime cannot use CUDA here, although it was built for it"
        raise HeadstartError("backbone_unavailable", told_of, param="model")
    return session
