"""An export: have the tensor process make the bundle, store it beside the model, and say so.

What is made depends on the model alone, so whoever is last to store it stores the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.infra.orm import DatasetVersionRow, ModelRow
from app.infra.precision import fitted_on
from app.infra.repositories import versions, work
from app.infra.repositories.work import LostClaimError
from app.infra.storage import scratch
from worker.formats import models, same_weights
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.embed_missing import items

EXAMPLES = 8
"""Training examples that the bundle is tried on."""


def run(attempt: Attempt) -> None:
    """Make, store, commit. Raises model_corrupt, backbone_unavailable, export_failed."""
    payload = attempt.claim.payload
    model = attempt.read(lambda session: session.get(ModelRow, payload["model"]))
    if model is None:
        raise LostClaimError(attempt.claim.id)
    stored = models.load(attempt.context.storage, model.artifact, model.sha256)
    if stored.card != model.card:  # it goes into the bundle, figures and all
        raise HeadstartError(
            "model_corrupt", f"the stored {models.CARD} is not what was registered"
        )
    fitted = fitted_on(stored.card)
    facts = attempt.engine(model.backbone, fitted=fitted)
    same_weights.check(
        model.backbone,
        trained=same_weights.trained_on(stored.card),
        loaded=facts.weights_sha256,
    )
    same_weights.check_reading(
        model.backbone,
        trained=same_weights.read_as(stored.card),
        loaded=facts.fingerprint,
        former=facts.former,
    )
    storage = attempt.context.storage
    with scratch(attempt.staging) as folder:
        bundle = folder / f"{model.id.rpartition(':')[2]}-{payload['format']}.zip"
        request = {
            "op": "export",
            "backbone": model.backbone,
            "fitted": fitted,
            "format": payload["format"],
            "head": str(storage.fetch(f"{model.artifact}/{models.HEAD}")),
            "config": stored.card["config"],
            "card": stored.card,
            "out": str(bundle),
        }
        attempt.ask(request | _pictures(attempt, model))
        attempt.outbox.put(payload["key"], bundle)
    attempt.commit(lambda session: work.finish(session, attempt.claim))


def _pictures(attempt: Attempt, model: ModelRow) -> dict[str, Any]:
    """What to try the bundle on: training examples, or drawings where the dataset is gone."""
    version, problems = attempt.read(lambda session: _version(session, model))
    if version is None:
        return {"items": None, "examples_of": "drawn pictures (the dataset was deleted)"}
    usable = manifest.usable(attempt.examples(version), problems)
    chosen = _spread([one for one in usable if one.split == "train"])
    if not chosen:
        return {"items": None, "examples_of": "drawn pictures (the dataset has no example)"}
    return {
        "items": items(attempt, model.organisation_id, chosen),
        "examples_of": "of the model's training examples",
    }


def _version(
    session: Session, model: ModelRow
) -> tuple[DatasetVersionRow | None, list[manifest.Problem]]:
    version = session.get(DatasetVersionRow, model.version_id) if model.version_id else None
    return version, versions.problems_of(version) if version is not None else []


def _spread(examples: Sequence[Example]) -> list[Example]:
    """EXAMPLES of them: the first of every class or set of labels, then the second, and so on."""
    seen: dict[tuple[str, ...], int] = {}
    turns = []
    for place, example in enumerate(examples):
        turn = seen[example.names] = seen.get(example.names, 0) + 1
        turns.append((turn, place))
    return [examples[place] for _, place in sorted(turns)[:EXAMPLES]]
