"""Which texts are in a script that their backbone has no pieces for, and the problem of them."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.manifest import Example, Problem
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.embed_missing import items
from worker.trainer.tensor_process import EngineFacts

CODE = "text_unread"
LOOKED_AT = 100
"""Texts that tell whether all are looked at: where one in ten is unread, or more."""


def unread(attempt: Attempt, facts: EngineFacts, examples: Sequence[Example]) -> list[Example]:
    """Those of which the backbone knows hardly a piece, embedded before or not."""
    if not facts.reads or not examples:  # a network of pictures reads no pieces
        return []
    some = _asked(attempt, facts, examples[:LOOKED_AT])
    if 10 * len(some) < len(examples[:LOOKED_AT]):
        return []
    return some + _asked(attempt, facts, examples[LOOKED_AT:])


def _asked(attempt: Attempt, facts: EngineFacts, examples: Sequence[Example]) -> list[Example]:
    if not examples:
        return []
    listed = items(attempt, attempt.claim.organisation_id, examples)
    asked = {"op": "unread", "backbone": facts.backbone, "fitted": facts.precision, "items": listed}
    return [examples[index] for index in attempt.ask(asked)["unread"]]


def tell(version: DatasetVersionRow, facts: EngineFacts, examples: Sequence[Example]) -> None:
    """Count further `examples` in the one such problem of a locked version."""
    known = versions.problems_of(version)
    before = next((problem for problem in known if problem.code == CODE), None)
    count = len(examples) + (_count(before) if before is not None else 0)
    told = Problem(
        code=CODE,
        message=f"{count:,} text(s) are written in what {facts.backbone} has no pieces for, and "
        "are read all alike by it: n-grams of their letters alone tell them apart; a backbone of "
        "their language is likely to be better",
        path=before.path if before is not None else examples[0].path,
    )
    rest = [problem for problem in known if problem is not before]
    version.problems = [problem.model_dump() for problem in (*rest, told)]


def _count(problem: Problem) -> int:
    """How many texts the problem counts: its message begins with it."""
    return int(problem.message.partition(" ")[0].replace(",", ""))
