"""What is collected, what is spared, and when."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.core.exports import KEEP_SECONDS, key_of
from app.infra import storage_keys
from app.infra.database import now
from app.infra.orm import ModelRow, WorkRow
from app.infra.repositories import exports, holds
from app.infra.repositories.openai import files, uploads
from tests.worker_kit import Kit, add_dataset, add_job
from worker.trainer.idle.sweeper import Sweeper
from worker.trainer.registration import name_of

HOUR = 3600.0


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sweeper(kit: Kit, clock: Clock) -> Sweeper:
    return Sweeper(kit.sessions, kit.storage, clock=clock)


def put(kit: Kit, key: str) -> str:
    file = kit.settings.data_dir / "file"
    file.write_bytes(b"x")
    kit.storage.put(key, file)
    return key


def artifact(kit: Kit, job_id: str, fence: int) -> str:
    prefix = storage_keys.artifact(organisation_id="acme", name=name_of(job_id), fence=fence)
    put(kit, f"{prefix}/head.safetensors")
    return prefix


def kept(kit: Kit) -> set[str]:
    return set(kit.storage.keys("models")) | set(kit.storage.keys("packs"))


def running(kit: Kit, job_id: str, fence: int) -> None:
    row = update(WorkRow).where(WorkRow.job_id == job_id)
    kit.commit(lambda session: session.execute(row.values(state="running", fence=fence)))


def test_an_attempt_that_runs_keeps_its_artifact(kit: Kit, sweeper: Sweeper) -> None:
    job_id = add_job(kit, add_dataset(kit, [("a", "a", b"1"), ("b", "b", b"2")]))
    running(kit, job_id, fence=3)
    stale, current = artifact(kit, job_id, 2), artifact(kit, job_id, 3)
    sweeper.sweep()
    assert f"{current}/head.safetensors" in kept(kit)
    assert f"{stale}/head.safetensors" not in kept(kit)


def test_a_registered_model_keeps_only_its_own_artifact(kit: Kit, sweeper: Sweeper) -> None:
    version = add_dataset(kit, [("a", "a", b"1"), ("b", "b", b"2")])
    job_id = add_job(kit, version)
    stale, current = artifact(kit, job_id, 1), artifact(kit, job_id, 2)
    model = ModelRow(
        id="ft:x:acme::1", organisation_id="acme", job_id=job_id, backbone="x",
        modality="image", method="auto", version_id=version.id, artifact=current,
        sha256="0", bytes=1, card={}, evaluation={}, created_at=0.0,
    )  # fmt: skip
    kit.commit(lambda session: session.add(model))
    sweeper.sweep()
    assert f"{current}/head.safetensors" in kept(kit)
    assert f"{stale}/head.safetensors" not in kept(kit)


def test_an_export_is_kept_for_a_day_while_its_row_is_there(kit: Kit, sweeper: Sweeper) -> None:
    version = add_dataset(kit, [("a", "a", b"1"), ("b", "b", b"2")])
    current = artifact(kit, "ftjob-1", 1)
    model = ModelRow(
        id="ft:x:acme::1", organisation_id="acme", backbone="x", modality="image", method="auto",
        version_id=version.id, artifact=current, sha256="0", bytes=1, card={}, evaluation={},
        created_at=0.0,
    )  # fmt: skip
    kit.commit(lambda session: session.add(model))

    def ask(stale: float | None) -> WorkRow:
        return kit.commit(
            lambda session: exports.ask(
                session, session.get_one(ModelRow, model.id), "onnx", stale=stale
            )
        )

    def ended(seconds_ago: float) -> None:
        def end(session: Session) -> None:
            row = session.get_one(WorkRow, ask_id)
            row.state, row.finished_at = "done", now(session) - seconds_ago

        kit.commit(end)

    ask_id = ask(None).id
    made = put(kit, key_of(current, "onnx"))
    nobodys = put(kit, key_of(current, "torch"))
    sweeper.sweep()
    assert made in kept(kit)
    assert nobodys not in kept(kit)
    ended(seconds_ago=KEEP_SECONDS - 60)
    sweeper.sweep()
    assert made in kept(kit)
    ended(seconds_ago=KEEP_SECONDS + 60)
    sweeper.sweep()
    assert made not in kept(kit)
    assert f"{current}/head.safetensors" in kept(kit)


def test_an_upload_under_way_is_spared_for_an_hour(
    kit: Kit, sweeper: Sweeper, clock: Clock
) -> None:
    version = add_dataset(kit, [("a", "a", b"1"), ("b", "b", b"2")])
    used = f"packs/acme/{version.packs[0]}"
    orphan = put(kit, "packs/acme/" + "f" * 64)
    sweeper.sweep()
    clock.seconds += HOUR - 1
    sweeper.sweep()
    assert orphan in kept(kit)
    clock.seconds += 2
    assert sweeper.sweep() == 1
    assert kept(kit) == {used}


def test_a_suspect_that_finds_its_row_is_cleared(kit: Kit, sweeper: Sweeper, clock: Clock) -> None:
    members = [("a", "a", b"1"), ("b", "b", b"2")]
    early = put(kit, "packs/acme/" + "e" * 64)
    sweeper.sweep()
    version = add_dataset(kit, members)
    row = kit.version(version.id)
    row.packs = [*row.packs, "e" * 64]
    kit.commit(lambda session: session.merge(row))
    clock.seconds += 2 * HOUR
    sweeper.sweep()
    assert early in kept(kit)


def test_a_file_and_a_part_stay_while_they_are_held_or_named(
    kit: Kit, sweeper: Sweeper, clock: Clock
) -> None:
    add_dataset(kit, [("a", "a", b"a"), ("b", "b", b"b")])
    held, named, orphan = (put(kit, storage_keys.file("acme", one)) for one in "abc")
    part, lost = (put(kit, storage_keys.part("acme", "upload_1", one)) for one in "ab")

    def name(session: Session) -> None:
        holds.take(session, [held])
        new = files.NewFile(
            id="file-1", purpose="batch", filename="x", bytes=1, sha256="0", key=named
        )
        files.create(session, new, organisation_id="acme")
        planned = uploads.PlannedUpload(filename="x", bytes=1, purpose="batch", form={})
        row = uploads.create(session, planned, organisation_id="acme")
        piece = uploads.NewPart(id="part_1", bytes=1, sha256="0", key=part)
        uploads.add_part(session, row, piece, room=1)

    kit.commit(name)
    sweeper.sweep()
    clock.seconds += HOUR
    sweeper.sweep()
    left = {*kit.storage.keys("files"), *kit.storage.keys("parts")}
    assert left == {held, named, part}
    assert {orphan, lost}.isdisjoint(left)
