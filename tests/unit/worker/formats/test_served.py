"""Predictors tell those that start later which tuned networks answer, aliases' first."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from app.infra import storage_keys
from app.infra.storage.local import LocalStorage
from worker.formats.served import KEPT_DAYS, ServedNotes, TunedNetwork

PARTIAL = TunedNetwork("efficientnet_lite0", "openvino-f32", "partial")
FULL = TunedNetwork("mobilenet_v2", "openvino-bf16", "full")
LORA = TunedNetwork("all-MiniLM-L6-v2", "", "lora")
FIRST = date(2026, 3, 1)


def notes(folder: Path, day: date = FIRST) -> ServedNotes:
    """Of a process that has just begun."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return ServedNotes(LocalStorage(folder / "storage"), scratch, today=lambda: day)


def test_aliases_come_first_and_of_these_the_last_to_have_answered(tmp_path: Path) -> None:
    notes(tmp_path).note(PARTIAL, aliased=True)
    later = notes(tmp_path, FIRST + timedelta(days=1))
    later.note(LORA, aliased=False)
    later.note(FULL, aliased=True)
    later.note(FULL, aliased=False)
    assert notes(tmp_path).recent() == [FULL, PARTIAL, LORA]
    assert not list((tmp_path / "scratch").iterdir())


def test_a_network_is_noted_once_a_day(tmp_path: Path) -> None:
    day = [FIRST]
    kept = ServedNotes(LocalStorage(tmp_path), tmp_path, today=lambda: day[0])
    assert not kept.is_noted(PARTIAL, aliased=True)
    kept.remember(PARTIAL, aliased=True)
    assert kept.is_noted(PARTIAL, aliased=True)
    assert not kept.is_noted(PARTIAL, aliased=False)
    assert not kept.is_noted(FULL, aliased=True)
    day[0] += timedelta(days=1)
    assert not kept.is_noted(PARTIAL, aliased=True)


def test_what_has_not_answered_for_two_weeks_is_forgotten(tmp_path: Path) -> None:
    notes(tmp_path).note(PARTIAL, aliased=True)
    notes(tmp_path, FIRST + timedelta(days=KEPT_DAYS)).forget_old()
    assert notes(tmp_path).recent() == [PARTIAL]
    last = notes(tmp_path, FIRST + timedelta(days=KEPT_DAYS + 1))
    last.note(FULL, aliased=False)
    last.forget_old()
    assert last.recent() == [FULL]


def test_a_key_that_says_no_network_is_passed_over_and_goes(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    for name in ("odd", "alias/-/sideways/net", "alias"):
        (tmp_path / "odd").write_bytes(b"")
        storage.put(f"{storage_keys.served_on(FIRST)}/{name}", tmp_path / "odd")
        assert notes(tmp_path).recent() == []
        notes(tmp_path).forget_old()
        assert list(storage.keys(storage_keys.SERVED)) == []
