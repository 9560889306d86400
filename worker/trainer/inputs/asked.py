"""What a stored model says of examples, from cached embeddings; those that the cache lacks are
embedded first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.core.modalities import is_pixels
from app.core.promotion.pairs import Verdicted
from app.infra.orm import ModelRow
from app.infra.precision import fitted_on
from app.infra.repositories import versions
from app.infra.storage import scratch
from worker.formats import models, same_weights
from worker.trainer.attempt import Attempt
from worker.trainer.context import MadeWayError
from worker.trainer.embedding_cache import Segment
from worker.trainer.inputs.embed_missing import embed, missing, pixels, scope_of, texts
from worker.trainer.inputs.features import Features, gather
from worker.trainer.tensor_process import EngineFacts

_TRIES = 3


def answers(attempt: Attempt, model: ModelRow, examples: Sequence[Example]) -> dict[str, Verdicted]:
    """By example id, what the model says; what cannot be decoded is left out.

    Raises model_corrupt, backbone_unavailable, VersionGoneError.
    """
    stored = models.load(attempt.context.storage, model.artifact, model.sha256)
    config = stored.card["config"]
    facts = attempt.engine(model.backbone, fitted=fitted_on(stored.card))
    facts = facts.reading(config.get("pixel_scale"))
    trained = same_weights.trained_on(stored.card)
    same_weights.check(facts.backbone, trained=trained, loaded=facts.weights_sha256)
    read_as = same_weights.read_as(stored.card)
    same_weights.check_reading(
        facts.backbone, trained=read_as, loaded=facts.fingerprint, former=facts.former
    )
    cached = [view for view in config["prediction_views"] if not is_pixels(view)]
    features, kept = rows_of(attempt, facts, cached, examples)
    unique = list({example.sha256: example for example in kept}.values())
    if not unique:
        return {}
    said = _ask(attempt, facts, model, config=config, features=features, examples=unique)
    lines = {example.sha256: line for example, line in zip(unique, said, strict=True)}
    return {one.id: _verdicted(lines[one.sha256], one) for one in kept}


def rows_of(
    attempt: Attempt, facts: EngineFacts, views: Sequence[str], examples: Sequence[Example]
) -> tuple[dict[str, Features], list[Example]]:
    """Every one of the views of the examples, and those that could be embedded."""
    kept = list(examples)
    for _ in range(_TRIES):
        for view in views:
            bad = _embed(attempt, facts, view, kept)
            kept = [example for example in kept if example.sha256 not in bad]
        found = {view: gather(attempt, facts, view, kept) for view in views}
        whole = {view: features for view, features in found.items() if features is not None}
        if len(whole) == len(found):
            return whole, kept
    raise HeadstartError("storage_unavailable", "embeddings vanish as fast as they are made")


def _embed(
    attempt: Attempt, facts: EngineFacts, view: str, examples: Sequence[Example]
) -> set[str]:
    """Embed what the cache lacks of a view; the contents that cannot be decoded."""
    bad = [_embed_part(attempt, part, view, examples) for part in facts.parts]
    return set().union(*bad)


def _embed_part(
    attempt: Attempt, facts: EngineFacts, view: str, examples: Sequence[Example]
) -> set[str]:
    scope = scope_of(facts, view, attempt.claim.organisation_id)
    todo, bad = missing(attempt, scope, examples), set()
    size = attempt.context.settings.embed_chunk
    for start in range(0, len(todo), size):
        made = embed(attempt, facts, view=view, scope=scope, examples=todo[start : start + size])
        if made.segment is not None:
            _index(attempt, made.segment)
        if made.left:
            raise MadeWayError
        bad |= set(made.faults)
    return bad


def _index(attempt: Attempt, segment: Segment) -> None:
    """Nothing refuses to delete what a promotion reads: what is deleted is not remembered again."""

    def step(session: Session) -> None:
        versions.hold(session, attempt.versions_read)
        attempt.context.cache.index(session, segment)

    attempt.commit(step)


def _ask(
    attempt: Attempt,
    facts: EngineFacts,
    model: ModelRow,
    *,
    config: dict[str, Any],
    features: dict[str, Features],
    examples: Sequence[Example],
) -> list[dict[str, Any]]:
    with scratch(attempt.staging) as folder:
        file = folder / "answers.jsonl"
        request = {
            "op": "predict",
            "backbone": facts.backbone,
            "fitted": facts.precision,
            "head": str(attempt.context.storage.fetch(f"{model.artifact}/{models.HEAD}")),
            "config": config,
            "views": {view: one.rows(examples) for view, one in features.items()},
            "texts": texts(attempt, model.modality, examples),
            "pixels": pixels(attempt, config["prediction_views"], examples),
            "top_k": None,
            "unknown": None,
            "out": str(file),
        }
        for fault in attempt.ask(request).get("faults", ()):
            raise HeadstartError(fault["code"], fault["message"])
        return [from_json(line) for line in file.read_bytes().splitlines()]


def _verdicted(said: dict[str, Any], example: Example) -> Verdicted:
    """The answer, with what it gave the true label; of several, with what it gave each."""
    listed = said.get("predictions") or [said]
    given = {one["label"]: float(one["probability"]) for one in listed}
    if "labels" in said:
        return Verdicted(frozenset(said["labels"]), 0.0, given)
    return Verdicted(said["label"], given.get(example.label, 0.0))
