"""Which model answers for an alias that is split, and what a shadow says beside it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from pydantic_core import from_json, to_json

from app.core.messages import Input
from app.infra.repositories.targets import ResolvedModel

_ALL = 2.0**64


def chosen(resolved: ResolvedModel, sticky: str, inputs: Sequence[Input]) -> ResolvedModel:
    """The model that answers: the same for the same key, or else for the same content."""
    if not resolved.split:
        return resolved
    at = _place(resolved.alias, sticky, inputs)
    for weight, model in resolved.split:
        if at < weight:
            return model
        at -= weight
    return resolved


def _place(alias: str, sticky: str, inputs: Sequence[Input]) -> float:
    """A number in [0, 1) that the key decides, or the contents."""
    digest = blake2b(digest_size=8, person=b"headstart.split"[:16])
    digest.update(alias.encode() + b"\0")
    if sticky:
        digest.update(b"key\0" + sticky.encode())
    else:
        for one in inputs:
            digest.update(len(one.data).to_bytes(8, "little"))
            digest.update(one.data)
    return int.from_bytes(digest.digest(), "little") / _ALL


def parted(body: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """What the client sees of a joint answer of two, the first; and both labels of each input."""
    seen, unseen = from_json(body)["data"]
    return to_json(seen), _labels(seen, unseen)


def _labels(seen: Any, unseen: Any) -> list[tuple[str, str]]:
    pairs = zip(seen["data"], unseen["data"], strict=True)
    return [
        (str(one["label"]), str(other["label"]))
        for one, other in pairs
        if "label" in one and "label" in other
    ]
