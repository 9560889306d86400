"""The real Celery worker around the light tensor process, with a short visibility timeout."""

from __future__ import annotations

from worker.trainer.celery_app import app, trainer

__all__ = ["app"]

trainer.child = "tests.light_child"
app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 5,
}
