"""Embed what the cache lacks: one request to the tensor process, one segment in storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.core.modalities import MODALITIES, is_pixels
from app.infra import storage_keys
from app.infra.storage import scratch
from worker.formats.channel import Message
from worker.trainer.attempt import Attempt
from worker.trainer.embedding_cache import Scope, Segment
from worker.trainer.tensor_process import EngineFacts

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What became of some examples; `segment` is stored but not yet indexed.

    `done` counts the contents passed through the backbone or faulty; `left` are those that were
    not reached because the work had to make way.
    """

    segment: Segment | None = None
    faults: Mapping[str, HeadstartError] = field(default_factory=dict)
    """Of the contents (sha256) that cannot be decoded."""
    done: int = 0
    left: frozenset[str] = frozenset()


def scope_of(facts: EngineFacts, view: str, organisation_id: str) -> Scope:
    """The cache of one view. Raises invalid_hyperparameter where the backbone has no such view."""
    if view not in facts.keys:
        raise HeadstartError(
            "invalid_hyperparameter",
            f"{facts.backbone} has no view {view!r}",
            param="method.hyperparameters.views",
        )
    return Scope(organisation_id=organisation_id, key=facts.key(view), window=facts.window)


def missing(attempt: Attempt, scope: Scope, examples: Sequence[Example]) -> list[Example]:
    """One example of each content that the cache lacks, in order."""
    unique = {scope.row_of(example): example for example in reversed(examples)}
    known = attempt.context.cache.find(scope, unique)
    order = dict.fromkeys(map(scope.row_of, examples))
    return [unique[row] for row in order if row not in known]


def embed(
    attempt: Attempt,
    facts: EngineFacts,
    *,
    view: str,
    scope: Scope,
    examples: Sequence[Example],
    progress: Progress | None = None,
) -> Embedded:
    """Pass examples of distinct contents through the backbone and store the rows.

    Raises backbone_unavailable, weights_invalid, storage_full and what ends an attempt.
    """
    if not examples:
        return Embedded()

    def on_message(message: Message) -> None:
        if progress is not None and message["type"] == "progress":
            progress(message["done"])

    with scratch(attempt.staging) as folder:
        file = folder / "segment.npy"
        result = attempt.embed(
            {
                "op": "embed",
                "backbone": facts.backbone,
                "fitted": facts.precision,
                "view": view,
                "pixel_scale": facts.pixel_scale,
                "items": items(attempt, scope.organisation_id, examples),
                "out": str(file),
            },
            on_message,
        )
        good = [scope.row_of(examples[index]) for index in result["rows"]]
        segment = _put(attempt, scope, file, good) if good else None
    return Embedded(
        segment=segment,
        faults={
            examples[fault["index"]].sha256: HeadstartError(fault["code"], fault["message"])
            for fault in result["faults"]
        },
        done=result["done"],
        left=frozenset(example.sha256 for example in examples[result["done"] :]),
    )


def _put(attempt: Attempt, scope: Scope, file: Path, good: Sequence[str]) -> Segment:
    return attempt.context.cache.put(scope, file, good, storage=attempt.outbox)


def items(
    attempt: Attempt, organisation_id: str, examples: Sequence[Example]
) -> dict[str, list[str] | list[int]]:
    """Where the examples' bytes lie: local pack files, and pack number, offset, length and hash of
    each.
    """
    packs = sorted({example.pack for example in examples})
    number = {pack: index for index, pack in enumerate(packs)}
    fetch = attempt.context.storage.fetch
    return {
        "packs": [str(fetch(storage_keys.pack(organisation_id, pack))) for pack in packs],
        "pack": [number[example.pack] for example in examples],
        "offset": [example.offset for example in examples],
        "length": [example.length for example in examples],
        "sha256": [example.sha256 for example in examples],
    }


def texts(
    attempt: Attempt, modality: str, examples: Sequence[Example]
) -> dict[str, list[str] | list[int]] | None:
    """Where texts lie that a head reads beside their embeddings; None for images."""
    if not MODALITIES[modality].read_by_heads:
        return None
    return items(attempt, attempt.claim.organisation_id, examples)


def pixels(
    attempt: Attempt, views: Sequence[str], examples: Sequence[Example]
) -> dict[str, Any] | None:
    """Where pictures lie whose pixels a network of its own reads, which no cache keeps; None where
    none of the views is of pixels.
    """
    read = [view for view in views if is_pixels(view)]
    if not read:
        return None
    return {"views": read, "items": items(attempt, attempt.claim.organisation_id, examples)}
