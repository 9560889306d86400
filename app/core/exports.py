"""Exports: whole networks as zip bundles, made on request and kept for a day, as a cache is.

An export is named by what goes into it, so everybody who asks for the same one waits for the same
work and finds the same file.
"""

from __future__ import annotations

import hashlib

from app.core.hyperparameters import METHODS
from app.core.modalities import MODALITIES

FORMATS = ("onnx", "openvino", "torch")
VERSION = 3
"""Part of every export's name: raise it when the same model would give another bundle."""

KEEP_SECONDS = 86_400.0
"""After so long a finished export may be swept away; who asks again has it made again."""


def unsupported(export_format: str, *, modality: str, method: str) -> str | None:
    """Why a model has no such export; None if it can be made."""
    if MODALITIES[modality].bundled is not None:
        return MODALITIES[modality].bundled
    spec = METHODS.get(method)
    if spec is not None and export_format in spec.not_exported:
        others = " or ".join(f"`{one}`" for one in FORMATS if one not in spec.not_exported)
        return f"{export_format} cannot follow a {method} head; take {others}"
    return None


def work_id(artifact: str, export_format: str) -> str:
    """The id of the one piece of work that exports the model stored at `artifact`."""
    return f"export_{_digest(artifact, export_format)[:32]}"


def key_of(artifact: str, export_format: str) -> str:
    """Where the bundle lies: beside the model's folder, as it belongs to no try at the model."""
    name = f"{export_format}-{_digest(artifact, export_format)[:16]}.zip"
    return f"{folder_of(artifact)}/{name}"


def folder_of(artifact: str) -> str:
    """The folder of a model's exports."""
    return f"{artifact.rpartition('/')[0]}/exports"


def filename(model_id: str, export_format: str) -> str:
    """What the caller's copy is called."""
    return f"{model_id.rpartition(':')[2]}-{export_format}.zip"


def _digest(artifact: str, export_format: str) -> str:
    return hashlib.sha256(f"{artifact}\0{export_format}\0{VERSION}".encode()).hexdigest()
