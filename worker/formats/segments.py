"""A segment on disk: `.npy`, fp16 [n, D], written so that a full disk says so."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from app.infra.storage import storage_errors

LARGEST_HALF = 65504.0
_STEP = 1024
"""Rows that are looked at together."""

Rows = NDArray[np.float16]


def halved(vector: NDArray[np.float32]) -> Rows:
    """As fp16; what would overflow becomes the largest number."""
    return np.clip(vector, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)


def save(path: Path, rows: Rows) -> None:
    """Write rows [n, D]. Raises storage_full (`np.save` would hide the system's reason)."""
    rows = np.ascontiguousarray(rows)
    with storage_errors(), path.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(rows))
        file.write(rows.data)


def load(path: Path) -> Rows:
    """The rows, memory-mapped: only those that are read come into memory."""
    rows: Rows = np.load(path, mmap_mode="r")
    return rows


def is_finite(path: Path) -> bool:
    """Whether every number is; a file that stays as it is is read once. Raises FileNotFoundError.

    Releases that did not look for others have written such.
    """
    seen = path.stat()
    return _is_finite(path, seen.st_ino, seen.st_size, seen.st_mtime_ns)


@lru_cache(maxsize=4096)
def _is_finite(path: Path, *_state: int) -> bool:
    rows = load(path)
    return all(bool(np.isfinite(rows[at : at + _STEP]).all()) for at in range(0, len(rows), _STEP))


def has_rows(path: Path, number: int) -> bool:
    """Whether a file of so many rows, at least, can be read. Raises FileNotFoundError."""
    try:
        rows = load(path)
        return rows.ndim == 2 and len(rows) >= number
    except (ValueError, EOFError):
        return False
