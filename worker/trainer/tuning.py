"""What a job that tunes asks first, and how its next try goes on where this one was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.core.modalities import Depth
from app.infra import storage_keys
from app.infra.repositories import work
from worker.formats.channel import Message
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.embed_missing import texts
from worker.trainer.inputs.job_data import JobData
from worker.trainer.journal import Journal
from worker.trainer.tensor_process import EngineFacts

_SAMPLE = 32
"""Texts by which a pass is timed, from all over the dataset."""


def check(attempt: Attempt, facts: EngineFacts, data: JobData, depth: Depth) -> None:
    """Before anything is embedded for it. Raises cut_unavailable, fit_too_large."""
    attempt.ask({"op": "tunable", **_asked(facts, data, depth)})


def seconds(attempt: Attempt, facts: EngineFacts, data: JobData, depth: Depth) -> float:
    """About how long its trainings take, measured on a batch. Raises as `check`."""
    sample = data.train[:: max(1, len(data.train) // _SAMPLE)]
    told = {
        **_asked(facts, data, depth),
        "op": "tuning_seconds",
        "texts": texts(attempt, data.modality, sample),
    }
    return float(attempt.ask(told)["seconds"])


def _asked(facts: EngineFacts, data: JobData, depth: Depth) -> dict[str, Any]:
    rank = data.rows.job.hyperparameters.get("rank")
    return {
        "backbone": facts.backbone,
        "fitted": facts.precision,
        "examples": len(data.examples),
        "longest": max(example.length for example in data.examples),
        "depth": depth,
        "rank": rank if isinstance(rank, int) else None,
    }


def has_begun(attempt: Attempt) -> bool:
    """Whether a former try has kept a state."""
    return bool(_keys(attempt))


def fit(
    attempt: Attempt,
    depth: Depth,
    request: dict[str, Any],
    journal: Journal,
    *,
    budget: dict[str, float] | None = None,
) -> dict[str, Any]:
    """The fit, from the newest state that any try has stored; its own come into storage.

    `budget` are the seconds that it may take, and those that are spent.
    """
    newest = max(_keys(attempt), default=None)
    kept = None if newest is None else str(attempt.context.storage.fetch(newest))

    def hear(message: Message) -> None:
        if message["type"] == "kept":
            _keep(attempt, Path(message["file"]), message["number"])
            return
        journal.hear(message)
        if message["type"] == "event":
            journal.stage("tuning", done=message["step"], total=message["data"]["steps"])

    asked = {
        "depth": depth,
        "folder": str(Path(request["out"]).parent),
        "kept": kept,
        "keep_seconds": attempt.context.settings.tuning_keep_seconds,
        "budget": budget,
    }
    return attempt.fit({**request, "tuning": asked}, hear)


def forget(attempt: Attempt) -> None:
    """Of a job that has succeeded nothing is needed; of others the sweeper finds it."""
    for key in _keys(attempt):
        attempt.context.storage.delete(key)


def _keep(attempt: Attempt, file: Path, number: int) -> None:
    """Store a state, then drop those before it; what the work has cost so far is forgiven."""
    claim, storage = attempt.claim, attempt.context.storage
    before = _keys(attempt)
    key = storage_keys.tuning(
        claim.organisation_id, str(claim.job_id), fence=claim.fence, number=number
    )
    attempt.outbox.put(key, file)
    file.unlink(missing_ok=True)
    attempt.commit(lambda session: work.forgive(session, claim))
    for old in before:
        if old < key:
            storage.delete(old)


def _keys(attempt: Attempt) -> list[str]:
    claim = attempt.claim
    folder = storage_keys.tunings(claim.organisation_id, str(claim.job_id))
    return list(attempt.context.storage.keys(folder))
