"""Before it is ready, a predictor gets the tuned networks ready that answered of late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.infra.settings import Settings
from worker.formats.served import TunedNetwork
from worker.predictor import process
from worker.predictor.process import Predictor

NETWORKS = [TunedNetwork(f"net-{n}", "openvino-f32", "partial") for n in range(9)]


class Ready:
    """In a fleet's place: what was got ready, in order."""

    def __init__(self, *, missing: str = "", stuck: str = "") -> None:
        self.missing, self.stuck = missing, stuck
        self.loaded: list[str] = []
        self.rehearsed: list[tuple[str, str]] = []
        self.ready = False

    async def load(self, name: str, _fitted: str = "") -> str:
        self.loaded.append(name)
        if name == self.missing:
            raise HeadstartError("backbone_unavailable")
        return name

    async def rehearse(self, batcher: str, depth: str) -> None:
        assert not self.ready
        if batcher == self.stuck:
            await asyncio.Event().wait()
        self.rehearsed.append((batcher, depth))


def run(folder: Path, body: Callable[[Predictor], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        await body(Predictor(Settings(data_dir=folder)))

    asyncio.run(go())


def started(folder: Path, fleet: Ready) -> Ready:
    async def body(predictor: Predictor) -> None:
        for network in NETWORKS:
            predictor.notes.note(network, aliased=network is NETWORKS[3])
        predictor.service.fleet = fleet  # type: ignore[assignment]
        await predictor._preload()

    run(folder, body)
    return fleet


def test_aliases_networks_are_got_ready_first_and_not_more_than_a_few(tmp_path: Path) -> None:
    fleet = started(tmp_path, Ready())
    assert fleet.ready
    assert fleet.rehearsed[0] == ("net-3", "partial")
    assert len(fleet.rehearsed) == process._MOST_READY < len(NETWORKS)


def test_what_cannot_be_got_ready_keeps_nothing_from_being_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = started(tmp_path / "one", Ready(missing="net-3"))
    assert fleet.ready
    assert len(fleet.rehearsed) == process._MOST_READY - 1
    monkeypatch.setattr(process, "_READY_SECONDS", 0.01)
    fleet = started(tmp_path / "two", Ready(stuck="net-3"))
    assert fleet.ready
    assert fleet.rehearsed == []


def test_no_more_is_got_ready_than_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.ml.engines.tunable.is_full", lambda: True)
    fleet = started(tmp_path, Ready())
    assert fleet.ready
    assert fleet.rehearsed == []


def test_what_answers_is_noted_once_for_those_that_start_later(tmp_path: Path) -> None:
    async def body(predictor: Predictor) -> None:
        for _ in range(3):
            predictor._note(NETWORKS[0], True)
        predictor._note(NETWORKS[1], False)
        predictor._executor.shutdown()
        assert predictor.notes.recent() == NETWORKS[:2]

    run(tmp_path, body)
