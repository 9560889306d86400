"""A stored head's safetensors file as the app may touch it: its metadata, and whole rows of it.

It computes nothing with tensors: a row is dropped as the bytes that it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

CONFIG_SHA256 = "config_sha256"
"""In the head's metadata; heads from before it was written there have none."""
_ALIGNMENT = 8
_METADATA = "__metadata__"


def config_sha256(card: Mapping[str, Any]) -> str:
    """SHA-256 of what a card says that answers are computed from, as it is read back from JSON."""
    told = json.loads(json.dumps(card.get("config")))
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def metadata(data: bytes) -> Mapping[str, str]:
    """What a safetensors file that could be read says beside its tensors."""
    told: Mapping[str, str] = _header(data)[0].get(_METADATA) or {}
    return told


def with_metadata(data: bytes, told: Mapping[str, str]) -> bytes:
    """The same tensors with this metadata; tensors' places are relative to the header's end."""
    header, end = _header(data)
    return _file({**header, _METADATA: dict(told)}, data[end:])


def without_rows(data: bytes, names: Collection[str], places: Collection[int]) -> bytes:
    """The same file without some rows of the named tensors, of which all have as many."""
    header, end = _header(data)
    gone, parts, at = frozenset(places), list[bytes](), 0
    told = {name: one for name, one in header.items() if name != _METADATA}
    for name, one in sorted(told.items(), key=lambda item: int(item[1]["data_offsets"][0])):
        start, stop = one["data_offsets"]
        part = data[end + start : end + stop]
        if name in names:
            one["shape"][0], part = _left(part, int(one["shape"][0]), gone)
        one["data_offsets"] = [at, at + len(part)]
        parts.append(part)
        at += len(part)
    return _file(header, b"".join(parts))


def shapes(data: bytes) -> dict[str, list[int]]:
    """The shape of each tensor."""
    header, _ = _header(data)
    return {name: list(one["shape"]) for name, one in header.items() if name != _METADATA}


def _left(part: bytes, count: int, gone: frozenset[int]) -> tuple[int, bytes]:
    """How many of `count` rows stay, and their bytes."""
    width = len(part) // count if count else 0
    kept = [row for row in range(count) if row not in gone]
    return len(kept), b"".join(part[row * width : (row + 1) * width] for row in kept)


def _file(header: Mapping[str, Any], tensors: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    padded = text + b" " * (-len(text) % _ALIGNMENT)
    return len(padded).to_bytes(8, "little") + padded + tensors


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where it ends."""
    end = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:end])
    return header, end
