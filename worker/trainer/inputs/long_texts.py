"""Which texts go on behind what their backbone reads of them, and the one problem that says so."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.manifest import Example, Problem
from app.infra.orm import DatasetVersionRow
from app.infra.repositories import versions
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.embed_missing import items
from worker.trainer.tensor_process import EngineFacts


def cut(attempt: Attempt, facts: EngineFacts, examples: Sequence[Example]) -> list[Example]:
    """Those of which the end does not count, embedded before or not."""
    long = [example for example in examples if 0 < facts.reads < example.length]
    if not long:
        return []
    listed = items(attempt, attempt.claim.organisation_id, long)
    told = attempt.ask(
        {
            "op": "truncated",
            "backbone": facts.backbone,
            "fitted": facts.precision,
            "items": listed,
        }
    )
    return [long[index] for index in told["truncated"]]


def tell(version: DatasetVersionRow, facts: EngineFacts, examples: Sequence[Example]) -> None:
    """Count further `examples` in the one such problem of a locked version."""
    known = versions.problems_of(version)
    before = next((problem for problem in known if problem.code == "truncated"), None)
    count = len(examples) + (_count(before) if before is not None else 0)
    told = Problem(
        code="truncated",
        message=f"{count:,} text(s) are longer than the {facts.reads:,} pieces of each that "
        f"{facts.backbone} reads: what comes after them does not count",
        path=before.path if before is not None else examples[0].path,
    )
    rest = [problem for problem in known if problem is not before]
    version.problems = [problem.model_dump() for problem in (*rest, told)]


def _count(problem: Problem) -> int:
    """How many texts the problem counts: its message begins with it."""
    return int(problem.message.partition(" ")[0].replace(",", ""))
