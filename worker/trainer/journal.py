"""What a running job has to tell: events, checkpoints and progress, written in small batches."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy.orm import Session

from app.infra.repositories import jobs
from app.infra.repositories.jobs import Event, Level, NewCheckpoint
from worker.formats.channel import Message
from worker.trainer.attempt import Attempt

_FLUSH_SECONDS = 0.25


class Journal:
    """Collects for a quarter of a second at a time; a warm job ends before its first batch."""

    def __init__(self, attempt: Attempt, progress: dict[str, Any]) -> None:
        assert attempt.claim.job_id is not None
        self._attempt = attempt
        self._job_id = attempt.claim.job_id
        self._events: list[Event] = []
        self._checkpoints: list[NewCheckpoint] = []
        self._flushed = time.monotonic()
        self.progress = progress
        self.steps = 0

    def say(self, message: str, level: Level = "info") -> None:
        """Add a line to the history."""
        self._events.append(Event(message=message, level=level))

    def stage(self, name: str, *, done: int = 0, total: int = 0) -> None:
        """Note what the job is doing and how far it is."""
        self.progress = {**self.progress, "stage": name, "done": done, "total": total}
        self.flush_if_due()

    def hear(self, message: Message) -> None:
        """An event of the tensor process: the metrics after one step, or a line for the history."""
        if message["type"] == "event":
            self.checkpoint(message["step"], message["data"])
        elif message["type"] == "say":
            self.say(message["message"], message["level"])
            self.flush()
        self.flush_if_due()

    def checkpoint(self, step: int, metrics: dict[str, Any]) -> None:
        """The metrics after `step`, as an event and as a checkpoint."""
        self.steps += 1
        said = ", ".join(f"{name}={value:.4g}" for name, value in metrics.items())
        data = {"step": step, **metrics}
        self._events.append(Event(message=f"Step {step}: {said}", data=data))
        self._checkpoints.append(NewCheckpoint(step_number=step, metrics=data))

    def flush_if_due(self) -> None:
        """Write what was collected, if it is time."""
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was collected, under the fence. Raises LostClaimError."""
        self._attempt.commit(self.write)
        self._flushed = time.monotonic()
        self._events, self._checkpoints = [], []

    def write(self, session: Session) -> None:
        """Write what was collected within the caller's transaction, which may run again."""
        job = jobs.lock_job(session, self._job_id)
        job.progress = self.progress
        jobs.add_events(session, self._job_id, self._events)
        jobs.add_checkpoints(session, self._job_id, self._checkpoints)
