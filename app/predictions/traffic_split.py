"""Which model answers for an alias that is split, and what a shadow says beside it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from pydantic_core import from_json, to_json

from app.core.messages import Input
from app.infra.repositories.retraining.agreement import Differences
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


def parted(body: bytes) -> tuple[bytes, list[Differences]]:
    """What the client sees of a joint answer of two, the first; and of each input that both have
    answered where they differ.
    """
    seen, unseen = from_json(body)["data"]
    pairs = zip(seen["data"], unseen["data"], strict=True)
    both = [(one, other) for one, other in pairs if "label" in one and "label" in other]
    return to_json(seen), [_differences(one, other) for one, other in both]


def _differences(one: dict[str, Any], other: dict[str, Any]) -> Differences:
    """Their labels, where these differ, none of one that is unknown; of several labels each that
    only one of them answers."""
    if "labels" not in one and "labels" not in other:
        pair = _label(one), _label(other)
        return () if pair[0] == pair[1] else (pair,)
    own, others = _labels(one), _labels(other)
    only_own = [(label, None) for label in sorted(own - others)]
    return (*only_own, *((None, label) for label in sorted(others - own)))


def _label(answer: dict[str, Any]) -> str | None:
    return None if answer.get("unknown") else str(answer["label"])


def _labels(answer: dict[str, Any]) -> set[str]:
    return {str(label) for label in answer.get("labels", [answer["label"]])}
