"""What a job that tunes asks first, and how its next try goes on where this one was killed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from app.core.modalities import Depth
from app.infra import storage_keys
from app.infra.repositories import work
from worker.formats.channel import Message
from worker.trainer.attempt import Attempt
from worker.trainer.context import MadeWayError
from worker.trainer.inputs.embed_missing import texts
from worker.trainer.inputs.job_data import JobData
from worker.trainer.journal import Journal
from worker.trainer.tensor_process import EngineFacts

SPENT = "fit_seconds"
"""In the payload: what the tries that were passed have taken of what a fit may take."""
_SAMPLE = 32
"""Texts by which a pass is timed, from all over the dataset."""
_TURN_SECONDS = 30.0
"""Trained for so long, and for as long as it took to get there, a try lets others' work pass: each
turn fits the frozen heads anew, which must not be most of what is done.
"""


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

    `budget` are the seconds that it may take, and those that are spent. At an epoch's end it lets
    others' work pass: raises MadeWayError.
    """
    newest = max(_keys(attempt), default=None)
    kept = None if newest is None else str(attempt.context.storage.fetch(newest))
    turn = _TuningTurn(attempt)

    def hear(message: Message) -> None:
        if message["type"] == "kept":
            _keep(attempt, Path(message["file"]), message["number"])
            return
        journal.hear(message)
        if message["type"] == "event":
            journal.stage("tuning", done=message["step"], total=message["data"]["steps"])
            turn.begin()

    asked = {
        "depth": depth,
        "folder": str(Path(request["out"]).parent),
        "kept": kept,
        "keep_seconds": attempt.context.settings.tuning_keep_seconds,
        "budget": budget,
    }
    spent = float(attempt.claim.payload.get(SPENT, 0.0))
    whole = {**request, "tuning": asked}
    result = attempt.fit(whole, hear, spent=spent, gives_way=turn.is_over)
    if "stopped" in result:
        journal.flush()
        raise MadeWayError(**{SPENT: round(spent + turn.seconds, 3)})
    return result


class _TuningTurn:
    """How long a try has trained, and whether others' work is to pass it by now."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._began = time.monotonic()
        self._tuned_since: float | None = None

    @property
    def seconds(self) -> float:
        """Since the fit began."""
        return time.monotonic() - self._began

    def begin(self) -> None:
        """An epoch has ended: there is something to go on from."""
        if self._tuned_since is None:
            self._tuned_since = time.monotonic()

    def is_over(self) -> bool:
        """Whether to stop at the next epoch's end; where the trainer is to, at once."""
        if self._tuned_since is None:
            return False
        least = max(_TURN_SECONDS, self._tuned_since - self._began)
        has_had_it = time.monotonic() - self._tuned_since >= least
        return (has_had_it or self._attempt.context.stop.requested) and self._attempt.is_passed()


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
