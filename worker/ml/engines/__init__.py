"""One forward pass, as fast as this machine can: the engines behind one small interface."""

from __future__ import annotations

from pathlib import Path

from app.infra import weights
from worker.ml.engines.base import Engine, ImageEngine, TextEngine, embedding_key

__all__ = ["Engine", "ImageEngine", "TextEngine", "embedding_key", "load_engine"]


def load_engine(
    name: str,
    weights_dir: Path | None,
    *,
    device: str | None = None,
    cache_dir: Path | None = None,
    threads: int | None = None,
) -> Engine:
    """The engine of a backbone: OpenVINO on `cpu`, torch on `cuda` (the default if there is one).

    `cache_dir` keeps what was converted and compiled, so that the next start takes a fraction of
    a second; `threads` bounds the CPU engine (all cores by default). Raises unknown_backbone,
    backbone_unavailable or weights_invalid.
    """
    spec = weights.get(name, weights_dir)
    chosen = device or default_device()
    if chosen == "cpu":
        from worker.ml.engines.openvino_engine import load_openvino

        return load_openvino(spec, weights_dir, cache_dir, threads)
    from worker.ml.engines.torch_engine import load_torch

    return load_torch(spec, weights_dir, chosen)


def default_device() -> str:
    """`cuda` where a usable one is, else `cpu`; torch is imported only if a driver is there."""
    if not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg")):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
