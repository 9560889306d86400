"""Engines make way by what the process has in memory, and never those that are asked for."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from worker.tensors import kept_engines
from worker.tensors.kept_engines import BYTES, KeptEngines

pytestmark = pytest.mark.slow

NAMES = ("old", "middle", "new")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> KeptEngines:
    """With three that are loaded."""
    monkeypatch.setattr(kept_engines, "load_engine", lambda name, *_, **__: object.__new__(Named))
    monkeypatch.setattr("worker.tensors.warmup.steps", lambda _engine: [])
    made = KeptEngines()
    for name in NAMES:
        made.get((name, "f32"), None, None)
    return made


class Named:
    """In an engine's place."""


def names(kept: KeptEngines) -> list[str]:
    return [name for name, _ in kept._engines]


def own(monkeypatch: pytest.MonkeyPatch, nbytes: Any) -> None:
    monkeypatch.setattr("worker.ml.memory.own", nbytes)


def test_the_least_recently_used_go_until_there_is_room(
    kept: KeptEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(monkeypatch, lambda: len(kept._engines) * BYTES // 2)
    kept.get(("old", "f32"), None, None)
    kept.make_room({"another"})
    assert names(kept) == ["new", "old"]


def test_what_is_asked_for_stays_however_little_room_there_is(
    kept: KeptEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(monkeypatch, lambda: 10 * BYTES)
    kept.make_room({"old", "new"})
    assert names(kept) == ["old", "new"]


def test_all_stay_where_there_is_room_or_the_system_does_not_say(
    kept: KeptEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for nbytes in (BYTES, 0):
        own(monkeypatch, lambda said=nbytes: said)
        kept.make_room({"another"})
        assert names(kept) == list(NAMES)


def test_what_has_gone_is_not_got_ready_and_not_held_by_that(
    kept: KeptEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    for name in NAMES:
        kept._warming.append(((name, "f32"), partial(told.append, name)))
    own(monkeypatch, lambda: 10 * BYTES)
    kept.make_room({"middle"})
    for _ in NAMES:
        kept.rest()
    assert told == ["middle"]
