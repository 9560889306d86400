"""What a job that tunes asks first, and how its next try goes on where this one was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.core.modalities import Depth
from app.infra import storage_keys
from app.infra.repositories import work
from worker.formats.channel import Message
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.job_data import JobData
from worker.trainer.journal import Journal
from worker.trainer.tensor_process import EngineFacts


def check(attempt: Attempt, facts: EngineFacts, data: JobData, depth: Depth) -> None:
    """Before anything is embedded for it. Raises cut_unavailable, fit_too_large."""
    rank = data.rows.job.hyperparameters.get("rank")
    attempt.ask(
        {
            "op": "tunable",
            "backbone": facts.backbone,
            "fitted": facts.precision,
            "examples": len(data.examples),
            "longest": max(example.length for example in data.examples),
            "depth": depth,
            "rank": rank if isinstance(rank, int) else None,
        }
    )


def fit(
    attempt: Attempt, depth: Depth, request: dict[str, Any], journal: Journal
) -> dict[str, Any]:
    """The fit, from the newest state that any try has stored; its own come into storage."""
    newest = max(_keys(attempt), default=None)
    kept = None if newest is None else str(attempt.context.storage.fetch(newest))

    def hear(message: Message) -> None:
        if message["type"] == "kept":
            _keep(attempt, Path(message["file"]), message["number"])
            return
        journal.hear(message)
        if message["type"] == "event":
            journal.stage("tuning", done=message["step"], total=message["data"]["steps"])

    seconds = attempt.context.settings.tuning_keep_seconds
    folder = str(Path(request["out"]).parent)
    asked = {"depth": depth, "folder": folder, "kept": kept, "keep_seconds": seconds}
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
    storage.put(key, file)
    file.unlink(missing_ok=True)
    attempt.commit(lambda session: work.forgive(session, claim))
    for old in before:
        if old < key:
            storage.delete(old)


def _keys(attempt: Attempt) -> list[str]:
    claim = attempt.claim
    folder = storage_keys.tunings(claim.organisation_id, str(claim.job_id))
    return list(attempt.context.storage.keys(folder))
