"""The doorbell: a Celery message that says only "there may be work".

It carries no state, so a lost, late or doubled one is harmless: workers poll the database anyway.
It is sent from a thread of its own, because with Redis stalled a publish blocks for seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog

from app.infra.lanes import QUEUE, WORK_KINDS, Lane
from app.infra.settings import Settings

if TYPE_CHECKING:
    from celery import Celery
    from kombu.messaging import Producer

TASK = "headstart.doorbell"

_MOST_UNHEARD = 100
"""Rings of one lane that may wait in Redis: where nobody takes a lane, they would only pile up."""
_CLOSE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Doorbell:
    """Rings workers after a commit; without a broker it does nothing, they watch the database."""

    def __init__(self, broker_url: str) -> None:
        self._unsent: dict[str, None] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        if broker_url:
            self._celery = open_celery(broker_url)
            self._thread = threading.Thread(target=self._send, name="doorbell", daemon=True)
            self._thread.start()

    def ring(self, lanes: Iterable[Lane]) -> None:
        """Announce work in these lanes and return at once; a ring that is still unsent is enough.

        Work that is none of the trainers' has no doorbell.
        """
        names = {lane.queue: None for lane in lanes if lane.kind in WORK_KINDS}
        if self._thread is None or not names:
            return
        with self._changed:
            self._unsent |= names
            self._changed.notify()

    def close(self) -> None:
        """Send what is waiting, for two seconds at most."""
        if self._thread is None:
            return
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSE_SECONDS)

    def _send(self) -> None:
        from kombu.exceptions import KombuError, OperationalError

        while names := self._next():
            try:
                with self._celery.producer_or_acquire() as producer:
                    for name in names:
                        self._ring(producer, name)
            except (OperationalError, KombuError, OSError) as error:
                log.warning("doorbell not sent", reason=error)

    def _next(self) -> tuple[str, ...]:
        """What is to be rung now; waits for it. Nothing more once this is closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._unsent or self._closing)
            names = tuple(self._unsent)
            self._unsent.clear()
        return names

    def _ring(self, producer: Producer, name: str) -> None:
        if _unheard(producer, name) < _MOST_UNHEARD:
            self._celery.send_task(TASK, queue=name, retry=False, expires=60, producer=producer)


def _unheard(producer: Producer, name: str) -> int:
    """How many rings of a lane lie in the broker. Raises OperationalError."""
    from kombu.exceptions import ChannelError, OperationalError

    try:
        return int(producer.channel.queue_declare(name, passive=True).message_count)
    except ChannelError:  # kombu's word for an empty list
        return 0
    except producer.connection.connection_errors as error:
        raise OperationalError(str(error)) from error


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
