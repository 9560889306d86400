"""The doorbell: a Celery message that says only "there may be work".

It carries no state, so a lost, late or doubled one is harmless: workers poll the database anyway.
It is sent from a thread of its own, because with Redis stalled a publish blocks for seconds.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import structlog

from app.infra.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

TASK = "headstart.doorbell"
QUEUE = "headstart"

_MOST_WAITING = 64
_CLOSE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Doorbell:
    """Rings workers after a commit; without a broker it does nothing, they watch the database."""

    def __init__(self, broker_url: str) -> None:
        self._rings: queue.Queue[bool] = queue.Queue(maxsize=_MOST_WAITING)
        self._thread: threading.Thread | None = None
        if broker_url:
            self._celery = open_celery(broker_url)
            self._thread = threading.Thread(target=self._send, name="doorbell", daemon=True)
            self._thread.start()

    def ring(self) -> None:
        """Announce work and return at once; too many unsent rings are as good as enough."""
        if self._thread is None:
            return
        try:
            self._rings.put_nowait(True)
        except queue.Full:
            return

    def close(self) -> None:
        """Send what is waiting, for two seconds at most."""
        if self._thread is None:
            return
        try:
            self._rings.put(False, timeout=_CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(_CLOSE_SECONDS)

    def _send(self) -> None:
        from kombu.exceptions import KombuError, OperationalError

        while self._rings.get():
            try:
                self._celery.send_task(TASK, queue=QUEUE, retry=False, expires=60)
            except (OperationalError, KombuError, OSError) as error:
                log.warning("doorbell not sent", reason=error)


def open_celery(broker_url: str) -> Celery:
    """The Celery application that both sides share: JSON only, acknowledged early, no results."""
    from celery import Celery  # only where there is a broker: it costs memory

    celery = Celery("headstart", broker=broker_url)
    celery.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=QUEUE,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        worker_hijack_root_logger=False,
    )
    return celery


def open_doorbell(settings: Settings) -> Doorbell:
    """The doorbell of the footing that the settings name."""
    return Doorbell(settings.broker_url)
