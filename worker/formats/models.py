"""The artifact of a model: `head.safetensors` and a readable `model.json`, checked on each load.

The registered sha256 is the head's; the head's own metadata holds that of the card's `config`, so
that a card with other labels is noticed too.

They lie under `models/<organisation>/<model>/<fence>/`, so that a worker that lost its claim can
only write where nobody looks. The caller registers the model after both are durable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from app.core import held_out
from app.core.calibration import head_files
from app.core.errors import HeadstartError
from app.infra import storage_keys
from app.infra.storage import Storage, sha256_of, storage_errors

HEAD, CARD = storage_keys.HEAD, storage_keys.CARD
ANSWERS = held_out.FILE
FORMAT = 1

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What the database keeps of a stored model; `sha256` and `size` (bytes) are of the head."""

    prefix: str
    sha256: str
    size: int
    card: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A loaded model: its card, and its tensors as they were written."""

    card: Mapping[str, Any]
    tensors: Tensors


def write(storage: Storage, folder: Path, prefix: str, card: Mapping[str, Any]) -> Artifact:
    """Move `folder/head.safetensors`, its card and its held-out answers into storage, durably.

    Raises weights_invalid for a head that could not be loaded again, and storage_full.
    """
    head, path = folder / HEAD, folder / CARD
    tensors = _parsed(head.read_bytes(), "weights_invalid")
    full = {"format": FORMAT, **card}
    if (answers := folder / ANSWERS).exists():
        full["held_out"] = {"file": ANSWERS, "sha256": sha256_of(answers)}
    hashed = {head_files.CONFIG_SHA256: head_files.config_sha256(full)}
    data = save_tensors(dict(tensors), metadata=hashed)
    sha256 = hashlib.sha256(data).hexdigest()
    full["head"] = _described(tensors, sha256=sha256, size=len(data))
    with storage_errors():
        head.write_bytes(data)
        path.write_text(json.dumps(full, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    storage.put(f"{prefix}/{HEAD}", head)
    storage.put(f"{prefix}/{CARD}", path)
    if "held_out" in full:
        storage.put(f"{prefix}/{ANSWERS}", answers)
    return Artifact(prefix=prefix, sha256=sha256, size=len(data), card=full)


def gone(storage: Storage, prefixes: Iterable[str]) -> set[str]:
    """Those of the models' folders that storage has no head in. Raises storage_unavailable."""
    return {prefix for prefix in prefixes if not _is_there(storage, prefix)}


def _is_there(storage: Storage, prefix: str) -> bool:
    try:
        storage.fetch(f"{prefix}/{HEAD}")
    except FileNotFoundError:
        return False
    return True


def load(storage: Storage, prefix: str, sha256: str) -> StoredModel:
    """The model at `prefix`, if it is what was registered. Raises model_corrupt."""
    try:
        data = storage.fetch(f"{prefix}/{HEAD}").read_bytes()
        card = json.loads(storage.fetch(f"{prefix}/{CARD}").read_bytes())
    except FileNotFoundError as error:
        raise _corrupt("a file is missing") from error
    except ValueError as error:
        raise _corrupt(f"{CARD} is not JSON") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _corrupt(f"{HEAD} is not what was stored")
    tensors = _parsed(data, "model_corrupt")
    if not isinstance(card, dict) or card.get("head") != _described(
        tensors, sha256=sha256, size=len(data)
    ):
        raise _corrupt(f"{CARD} does not describe {HEAD}")
    told = head_files.metadata(data).get(head_files.CONFIG_SHA256)
    if told not in (None, head_files.config_sha256(card)):
        raise _corrupt(f"{CARD} is not what was stored")
    return StoredModel(card=card, tensors=tensors)


def _parsed(data: bytes, code: str) -> Tensors:
    """The tensors of a safetensors file; refuses bad headers, no tensors, numbers not finite."""
    try:
        tensors: Tensors = load_tensors(data)
    except (SafetensorError, KeyError, ValueError, OverflowError) as error:
        raise HeadstartError(code, f"{HEAD} cannot be read: {error}") from error
    if not tensors:
        raise HeadstartError(code, f"{HEAD} holds no tensors")
    for name, value in tensors.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise HeadstartError(code, f"{HEAD} holds numbers that are not finite, in {name}")
    return tensors


def _described(tensors: Tensors, *, sha256: str, size: int) -> dict[str, Any]:
    return {
        "file": HEAD,
        "sha256": sha256,
        "bytes": size,
        "tensors": {
            name: {"shape": list(value.shape), "dtype": str(value.dtype)}
            for name, value in sorted(tensors.items())
        },
    }


def _corrupt(why: str) -> HeadstartError:
    return HeadstartError("model_corrupt", f"the stored model is damaged: {why}", retry_after=60)
