"""The chores of a trainer that has nothing to do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.infra.database import now, reading, transaction
from app.infra.orm import IdempotencyRow, OrganisationRow, WorkRow
from app.infra.repositories import work
from app.infra.settings import Settings
from app.infra.storage import OLD_SECONDS
from worker.trainer.context import Context
from worker.trainer.idle import chores
from worker.trainer.idle.chores import Chores

pytestmark = pytest.mark.slow


def left(settings: Settings, name: str, *, age: float) -> Path:
    folder = settings.data_dir / name
    folder.mkdir(parents=True)
    (folder / "part").write_bytes(b"half")
    for path in (folder / "part", folder):
        os.utime(path, (time.time() - age,) * 2)
    return folder


def test_what_killed_trainers_left_is_swept_at_the_first_quiet_moment(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chores, "_QUIET_SECONDS", 0.0)
    old = [
        left(context.settings, f"{folder}/.scratch-old", age=OLD_SECONDS + 60)
        for folder in ("staging", "storage-cache")
    ]
    live = left(context.settings, "staging/.scratch-live", age=OLD_SECONDS - 60)
    cached = left(context.settings, "storage-cache/packs", age=OLD_SECONDS + 60)
    keeper = Chores(context)
    assert not keeper.turn()
    assert not any(path.exists() for path in old)
    assert live.is_dir()
    assert cached.is_dir()
    again = left(context.settings, "staging/.scratch-old", age=OLD_SECONDS + 60)
    keeper.turn()
    assert again.is_dir()


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("busy", "seconds"), [(False, 30.0), (True, 600.0)])
def test_a_trainer_that_is_always_busy_sweeps_all_the_same(
    context: Context, busy: bool, seconds: float
) -> None:
    clock = Clock()
    keeper = Chores(context, clock=clock)
    file = context.settings.data_dir / "orphan"
    file.write_bytes(b"x")
    context.storage.put("models/acme/gone/1/head.safetensors", file)
    turns = 0
    while [*context.storage.keys("models")]:
        clock.seconds += 10.0
        keeper.turn(busy=busy)
        turns += 1
        assert clock.seconds < 3 * 3600
    assert clock.seconds >= 3600
    before = clock.seconds
    clock.seconds = before + seconds - 1
    assert not keeper.turn(busy=busy)


def test_rows_whose_time_is_over_are_pruned_and_others_stay(context: Context) -> None:
    def rows(session: Session) -> None:
        session.add(OrganisationRow(id="acme", created_at=0.0))
        session.flush()
        at = now(session)
        for name, finished in (("old", 1.0), ("new", at), ("open", None)):
            row = work.add(session, "embed", organisation_id="acme", payload={})
            row.id, row.finished_at = name, finished
            row.state = "queued" if finished is None else "done"
        for name, made in (("old", 1.0), ("new", at)):
            session.add(
                IdempotencyRow(
                    organisation_id="acme", key=name, request_sha256="0" * 64, created_at=made
                )
            )

    with transaction(context.sessions) as session:
        rows(session)
    clock = Clock()
    keeper = Chores(context, clock=clock)
    while clock.seconds < 2 * 3600:
        clock.seconds += 60
        keeper.turn()
    with reading(context.sessions) as session:
        assert sorted(session.scalars(select(WorkRow.id))) == ["new", "open"]
        assert list(session.scalars(select(IdempotencyRow.key))) == ["new"]


def test_a_chore_that_cannot_be_done_keeps_no_other_from_it(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> int:
        raise ValueError("mmap length is greater than file size")

    monkeypatch.setattr(chores, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(chores, "_SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(chores.erasure, "finish", damaged)
    monkeypatch.setattr(Chores, "_tidy", damaged)
    monkeypatch.setattr(type(context.cache), "compact", damaged)
    file = context.settings.data_dir / "orphan"
    file.write_bytes(b"x")
    context.storage.put("models/acme/gone/1/head.safetensors", file)
    keeper = Chores(context)
    for _ in range(2):
        keeper.turn()
    assert not [*context.storage.keys("models")]
