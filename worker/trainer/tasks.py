"""Celery's tasks: the doorbell, which only wakes the loop that asks the database."""

from __future__ import annotations

from app.infra.queue import TASK
from worker.trainer.celery_app import app, trainer


@app.task(name=TASK)  # type: ignore[untyped-decorator]
def doorbell() -> None:
    """There may be work."""
    trainer.ring()
