"""In production: `celery -A worker.trainer.celery_app worker --pool=threads -c 1`.

Celery brings doorbells, routing and monitoring; the trainer's loop runs beside its pool in a thread
of its own, so that a long job keeps no doorbell waiting and a deaf consumer costs one poll's time.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import structlog
from celery.signals import setup_logging, worker_init, worker_shutdown, worker_shutting_down
from kombu import Exchange, Queue

from app.infra.lanes import QUEUE
from app.infra.queue import open_celery
from app.infra.settings import settings_or_exit
from app.infra.telemetry import tracing
from app.infra.telemetry.logs import configure_logs
from worker.trainer.context import Context, open_context
from worker.trainer.loop import Trainer

settings = settings_or_exit()
if not settings.broker_url:
    raise SystemExit("headstart: the Celery worker needs HEADSTART_BROKER_URL")

app = open_celery(settings.broker_url)
app.conf.update(
    include=["worker.trainer.tasks"],
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_redirect_stdouts=False,
    task_queues=[
        Queue(name, Exchange(name), routing_key=name)
        for name in (QUEUE, *(lane.queue for lane in settings.lanes.taken()))
    ],
)

log = structlog.get_logger(__name__)


class TrainerThread:
    """The trainer's loop; when it ends without being asked to, the process ends too."""

    def __init__(self, child: str = "worker.tensors") -> None:
        self.child = child
        self.context: Context | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the context and start the loop."""
        configure_logs(settings.log_level)
        tracing.collect(settings.otlp_endpoint, "trainer")
        self.context = open_context(settings, child=self.child)
        self._thread = threading.Thread(target=self._run, args=(self.context,), name="trainer")
        self._thread.start()

    def _run(self, context: Context) -> None:
        loop = Trainer(context)
        try:
            loop.run()
        finally:
            if not context.stop.requested:
                if not loop.idled:
                    log.error("the trainer's loop has ended by itself")
                _end_process()

    def ring(self) -> None:
        """Wake the loop up."""
        if self.context is not None:
            self.context.bell.ring()

    def stop(self) -> None:
        """Take no new work."""
        if self.context is not None:
            self.context.stop.request()
            self.context.bell.ring()

    def join(self) -> None:
        """Wait until the current work is done, or has been given back."""
        if self._thread is not None:
            self._thread.join()


def _end_process() -> None:
    """Have Celery shut down, so that whoever watches the process starts another."""
    os.kill(os.getpid(), signal.SIGTERM)


trainer = TrainerThread()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log(**_: Any) -> None:
    """As every process of ours, instead of as Celery would."""
    configure_logs(settings.log_level)


@worker_init.connect  # type: ignore[untyped-decorator]
def _start(**_: Any) -> None:
    """Before the consumer: while there is no broker, the loop polls."""
    try:
        trainer.start()
    except Exception:  # Celery would log whatever it is, and live on without us
        log.exception("the trainer cannot start")
        _end_process()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(**_: Any) -> None:
    trainer.stop()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _end(**_: Any) -> None:
    trainer.stop()
    trainer.join()
