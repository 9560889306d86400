"""A stored head's safetensors file as the app may touch it: its metadata, never its tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CONFIG_SHA256 = "config_sha256"
"""In the head's metadata; heads from before it was written there have none."""
_ALIGNMENT = 8


def config_sha256(card: Mapping[str, Any]) -> str:
    """SHA-256 of what a card says that answers are computed from, as it is read back from JSON."""
    told = json.loads(json.dumps(card.get("config")))
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def metadata(data: bytes) -> Mapping[str, str]:
    """What a safetensors file that could be read says beside its tensors."""
    told: Mapping[str, str] = _header(data)[0].get("__metadata__") or {}
    return told


def with_metadata(data: bytes, told: Mapping[str, str]) -> bytes:
    """The same tensors with this metadata; tensors' places are relative to the header's end."""
    header, end = _header(data)
    text = json.dumps({**header, "__metadata__": dict(told)}, separators=(",", ":")).encode()
    padded = text + b" " * (-len(text) % _ALIGNMENT)
    return len(padded).to_bytes(8, "little") + padded + data[end:]


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where it ends."""
    end = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:end])
    return header, end
