"""One forward pass, as fast as this machine can: the engines behind one small interface."""

from __future__ import annotations

from pathlib import Path

from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.precision import Choice
from worker.ml.backbones.sources import described, supplied
from worker.ml.engines import alive
from worker.ml.engines.base import Engine, ImageEngine, TextEngine, embedding_key
from worker.ml.engines.precision import chosen

__all__ = ["Engine", "ImageEngine", "TextEngine", "embedding_key", "load_engine"]


def load_engine(
    name: str,
    weights_dir: Path | None,
    *,
    device: str | None = None,
    cache_dir: Path | None = None,
    threads: int | None = None,
    precision: Choice = "auto",
) -> Engine:
    """The engine of a backbone: OpenVINO on `cpu`, torch on `cuda` (the default if there is one).

    Of graph files those of ONNX are onnxruntime's on `cuda`, unless their side file leaves them on
    the CPU; all others are OpenVINO's everywhere.

    `cache_dir` keeps what was converted and compiled, so that the next start takes a fraction of
    a second; `threads` bounds the CPU engine (all cores by default). Raises unknown_backbone,
    backbone_unavailable, weights_invalid or precision_unavailable; weights that no network can be
    made of are kept in mind there, too, for who lists backbones.
    """
    try:
        engine = _loaded(
            name,
            weights_dir,
            device=device,
            cache_dir=cache_dir,
            threads=threads,
            precision=precision,
        )
        alive.check(engine)
    except HeadstartError as error:
        if error.code == "weights_invalid" and cache_dir is not None:
            weights.refuse(name, weights_dir, cache_dir, error.message)
        raise
    if cache_dir is not None:
        weights.accept(name, weights_dir, cache_dir)
    return engine


def _loaded(
    name: str,
    weights_dir: Path | None,
    *,
    device: str | None,
    cache_dir: Path | None,
    threads: int | None,
    precision: Choice,
) -> Engine:
    spec = described(name, weights_dir, cache_dir)
    device = device or default_device()
    if spec.source == "graph" and device != "cpu":
        found = supplied(name, weights_dir)
        if found.path.suffix == ".onnx" and found.side.device != "cpu":
            from worker.ml.engines.onnx_engine import load_onnx

            return load_onnx(spec, weights_dir)
        device, precision = "cpu", "auto"  # the other device's units are not this one's
    computed_in = chosen(precision, device)
    if device == "cpu":
        from worker.ml.engines.openvino_engine import load_openvino
        from worker.ml.engines.openvino_graph import CpuOptions

        options = CpuOptions(precision=computed_in, cache_dir=cache_dir, threads=threads)
        return load_openvino(spec, weights_dir, options)
    from worker.ml.engines.torch_engine import load_torch

    return load_torch(spec, weights_dir, device, precision=computed_in)


def default_device() -> str:
    """`cuda` where a usable one is, else `cpu`; torch is imported only if a driver is there."""
    if not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg")):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
