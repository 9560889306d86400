"""The doorbell never keeps its ringer waiting, whatever becomes of the broker."""

from __future__ import annotations

import time

from app.infra.lanes import Lane
from app.infra.queue import Doorbell, open_celery
from tests.servers import free_port


def seconds(doorbell: Doorbell, rings: int) -> float:
    began = time.monotonic()
    for _ in range(rings):
        doorbell.ring([Lane("embed", gpu=False)])
    return time.monotonic() - began


def test_without_a_broker_a_ring_is_nothing() -> None:
    doorbell = Doorbell("")
    assert seconds(doorbell, 1000) < 0.5
    doorbell.close()


def test_with_a_dead_broker_rings_and_closing_are_quick() -> None:
    doorbell = Doorbell(f"redis://127.0.0.1:{free_port()}/0")
    assert seconds(doorbell, 1000) < 0.5
    began = time.monotonic()
    doorbell.close()
    assert time.monotonic() - began < 6


def test_celery_takes_json_only_and_keeps_no_results() -> None:
    conf = open_celery("redis://127.0.0.1:1/0").conf
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    assert conf.task_ignore_result is True
    assert conf.task_acks_late is False
