"""Converted graphs: from the torch network once, afterwards from a file, without torch."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.infra.precision import Precision
from worker.ml.backbones.sources import graph_files, image_network, supplied
from worker.ml.checksums import checksum
from worker.ml.engines import company
from worker.ml.engines.texts import Encoder
from worker.ml.openvino_runtime import ov

GRAPH_VERSION = "2"
"""Part of a stored graph's name: raise it when a conversion would give another graph, or none."""

_NOT_CONVERTED = "does what cannot be converted for OpenVINO, which runs it here"
_log = logging.getLogger(__name__)
Model = Any  # an openvino.Model; the package carries no types


@dataclass(frozen=True, kw_only=True)
class CpuOptions:
    """How a graph is compiled; `cache_dir` keeps what was, `threads` are all cores by default."""

    precision: Precision
    cache_dir: Path | None = None
    threads: int | None = None


def image_graph(spec: BackboneSpec, weights_dir: Path | None, side: int) -> Model:
    """uint8 [n, side, side, 3] → float32 [n, D], for any n. Raises weights_invalid."""
    found = supplied(spec.name, weights_dir)
    if spec.source == "graph":
        return graph_files.graph(spec, found.path, found.side)
    import torch

    _, network = image_network(spec.name, weights_dir)
    example = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    with company.told_as(found.path, _NOT_CONVERTED):
        return _convert(network, example, [ov.PartialShape([-1, side, side, 3])])


def cut_graph(spec: BackboneSpec, weights_dir: Path | None) -> Model:
    """uint8 [n, s, s, 3] → float32 [n, D + width]: the vector, then what is at the cut.

    Raises cut_unavailable.
    """
    import torch

    from worker.ml.backbones import cuts

    if spec.source == "graph":
        raise cuts.no_cut(spec.name, "it is a graph file, which OpenVINO alone runs")
    side = spec.input_size
    _, network = image_network(spec.name, weights_dir)
    example = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    cut = cuts.cut_network(spec, network)
    return _convert(cut, example, [ov.PartialShape([-1, side, side, 3])])


def text_graph(path: Path, encoder: Encoder, *, layer: int | None = None) -> Model:
    """int64 ids and mask [n, t] → float32 [n, d], for any n and t.

    It is held against the network at several lengths, alone and filled up. Raises weights_invalid.
    """
    import torch

    network, own = company.network_alone(path, encoder, layer=layer)
    ids = torch.ones((2, 8), dtype=torch.long)
    with company.told_as(path, _NOT_CONVERTED):
        graph = _convert(network, (ids, ids.clone()), [ov.PartialShape([-1, -1])] * 2)
        request = compiled(graph, CpuOptions(precision="f32")).create_infer_request()
        company.check_graph(path, encoder, own, lambda *given: request.infer(given)[0].copy())
    return graph


def _convert(network: Any, example: Any, shapes: Sequence[Any]) -> Model:
    """The converter still uses torch.jit, which warns of its age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ov.convert_model(network, example_input=example, input=list(shapes))


def stored(
    cache_dir: Path | None,
    parts: tuple[str, ...],
    *,
    make: Callable[[], Model],
    halved: bool = False,
) -> Model:
    """The graph named by `parts` from `cache_dir`, made (and stored) if it is not there.

    `halved` keeps its numbers in fp16: for those that were of fewer bits.
    """
    if cache_dir is None:
        return make()
    name = hashlib.sha256("\0".join((*parts, GRAPH_VERSION, ov.__version__)).encode()).hexdigest()
    path = cache_dir / f"{parts[0]}-{name[:24]}.xml"
    return _read(path) or _made(make(), path, halved=halved)


def _read(path: Path) -> Model | None:
    """None where there is no such graph, or a damaged one, which may well be readable."""
    if not path.is_file():
        return None
    try:
        if _checksum(path) != _sums(path).read_text():
            raise RuntimeError("it is not what was stored")
        return ov.Core().read_model(path)
    except (OSError, ValueError, RuntimeError) as error:
        _log.warning("the stored graph %s is made anew: %s", path.name, error)
        return None


def _made(model: Model, path: Path, *, halved: bool) -> Model:
    """As stored, where it can be: a full disk costs the next start some seconds, nothing else."""
    try:
        _store(model, path, halved=halved)
    except (OSError, RuntimeError) as error:
        _log.warning("the graph %s cannot be stored: %s", path.name, error)
        return model
    return ov.Core().read_model(path)


def _store(model: Model, path: Path, *, halved: bool) -> None:
    """Atomically: the XML, which is looked for, appears last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        fresh = Path(folder) / path.name
        ov.save_model(model, fresh, compress_to_fp16=halved)
        _sums(fresh).write_text(_checksum(fresh))
        for one in (fresh.with_suffix(".bin"), _sums(fresh)):
            one.replace(path.with_name(one.name))
        fresh.replace(path)


def _sums(path: Path) -> Path:
    return path.with_suffix(".crc32")


def _checksum(path: Path) -> str:
    """Of a graph's two files."""
    return checksum(path, path.with_suffix(".bin"))


def compiled(graph: Model, options: CpuOptions) -> Any:
    """One stream over all cores, in the precision asked for. Raises precision_unavailable.

    Threads are not pinned: trainer and predictor share the cores, and a pinned thread waits for
    its own while another is free. OpenVINO's own cache does not tell precisions apart.
    """
    asked: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    asked["INFERENCE_PRECISION_HINT"] = options.precision
    if options.cache_dir is not None:
        asked["CACHE_DIR"] = str(options.cache_dir / "compiled" / options.precision)
    if options.threads is not None:
        asked["INFERENCE_NUM_THREADS"] = options.threads
    model = ov.Core().compile_model(graph, "CPU", asked)
    if (taken := _number_format(model)) != options.precision:
        told = f"OpenVINO computes in {taken} here, not in {options.precision}"
        raise HeadstartError("precision_unavailable", told)
    return model


def _number_format(model: Any) -> str:
    """What a compiled graph computes in, as OpenVINO says: `f32` or `bf16`."""
    return str(model.get_property("INFERENCE_PRECISION_HINT").get_type_name())
