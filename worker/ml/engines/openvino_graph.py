"""Converted graphs: from the torch network once, afterwards from a file, without torch."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.core.backbones import BackboneSpec
from worker.ml.engines.openvino_runtime import ov

GRAPH_VERSION = "1"
"""Part of a stored graph's name: raise it when a conversion would give another graph."""

Model = Any  # an openvino.Model; the package carries no types


def image_graph(spec: BackboneSpec, weights_dir: Path | None, side: int) -> Model:
    """uint8 [n, side, side, 3] → float32 [n, D], for any n. Raises weights_invalid."""
    import torch

    from worker.ml.backbones.networks import pyramid

    network, _ = pyramid(spec.name, weights_dir)
    example = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    shape = ov.PartialShape([-1, side, side, 3])
    return convert(network, example, [shape])


def convert(network: Any, example: Any, shapes: list[Any]) -> Model:
    """The graph of a torch module; the converter still uses torch.jit, which warns of its age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ov.convert_model(network, example_input=example, input=shapes)


def stored(cache_dir: Path | None, parts: tuple[str, ...], *, make: Callable[[], Model]) -> Model:
    """The graph named by `parts` from `cache_dir`, made (and stored) if it is not there."""
    if cache_dir is None:
        return make()
    name = hashlib.sha256("\0".join((*parts, GRAPH_VERSION, ov.__version__)).encode()).hexdigest()
    path = cache_dir / f"{parts[0]}-{name[:24]}.xml"
    if not path.is_file():
        _store(make(), path)
    return ov.Core().read_model(path)


def _store(model: Model, path: Path) -> None:
    """Atomically: the XML, which is looked for, appears last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        fresh = Path(folder) / path.name
        ov.save_model(model, fresh, compress_to_fp16=False)
        fresh.with_suffix(".bin").replace(path.with_suffix(".bin"))
        fresh.replace(path)
