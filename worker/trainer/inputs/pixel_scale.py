"""What is black and white in a version's deep pictures: looked up, or looked for once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.core import manifest
from app.core.manifest import Example, Problem
from app.core.modalities import MODALITIES
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.embed_missing import items
from worker.trainer.tensor_process import EngineFacts


def pixel_scale(
    attempt: Attempt, version: DatasetVersionRow, facts: EngineFacts
) -> Mapping[str, float] | None:
    """The version's scale; before its first picture is embedded, all of them are looked at.

    A version that became ready before there were scales has none, and goes on without.
    """
    undecided = version.pixel_scale is None and version.status == "processing"
    if not undecided or not MODALITIES[facts.modality].deep:
        return version.pixel_scale
    examples = manifest.usable(attempt.examples(version), versions.problems_of(version))
    looked = attempt.ask(
        {
            "op": "inspect",
            "backbone": facts.backbone,
            "items": items(attempt, version.organisation_id, examples),
            "taught": [example.split == "train" for example in examples],
        }
    )
    return attempt.commit(lambda session: _settle(session, version.id, looked, examples))


def _settle(
    session: Session, version_id: str, looked: Mapping[str, Any], examples: Sequence[Example]
) -> Mapping[str, float] | None:
    """Keep what was seen, unless another chunk's worker was first: one version has one scale."""
    version = versions.lock_version(session, version_id)
    if version.pixel_scale is None:
        version.pixel_scale = looked["pixel_scale"] or {}
        versions.add_problems(version, [_blank(examples[place]) for place in looked["blank"]])
    return version.pixel_scale


def _blank(example: Example) -> Problem:
    return Problem(
        code="image_blank",
        message=f"{example.path} is of one colour: there is nothing in it to learn from",
        path=example.path,
        example_id=example.id,
    )
