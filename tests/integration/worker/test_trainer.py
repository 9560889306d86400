"""The trainer's loop on both databases, around the light tensor process."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core import hyperparameters
from app.core.ids import new_id
from app.core.modalities import IDLE
from app.infra.database import now
from app.infra.orm import (
    CheckpointRow,
    EmbeddingRow,
    EventRow,
    JobRow,
    ModelRow,
    OrganisationRow,
    SegmentRow,
    WorkRow,
)
from app.infra.repositories import jobs, versions, work
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, Labelled, add_dataset, add_job, organisation
from worker.formats import models


def members(per_class: int, classes: int = 2, prefix: bytes = b"") -> list[Labelled]:
    return [
        (f"c{c}/{i}.png", f"c{c}", prefix + f"{c} {i}".encode())
        for c in range(classes)
        for i in range(per_class)
    ]


def events(kit: Kit, job_id: str) -> list[str]:
    statement = select(EventRow.message).where(EventRow.job_id == job_id).order_by(EventRow.id)
    return kit.read(lambda session: list(session.scalars(statement)))


def test_an_upload_becomes_a_model(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(5))
        job = kit.wait_job(add_job(kit, version))
    assert kit.version(version.id).status == "ready"
    assert job.status == "succeeded"
    assert job.progress is not None
    assert job.progress["embedding"] == {"new": 10, "cached": 0}
    assert job.started_at is not None
    assert job.finished_at is not None
    model = kit.read(lambda session: session.get_one(ModelRow, job.model_id))
    stored = models.load(kit.storage, model.artifact, model.sha256)
    assert stored.card["labels"] == ["c0", "c1"]
    assert stored.card == model.card
    assert events(kit, job.id)[-1] == "Job succeeded"


def test_a_fit_that_takes_too_long_ends_and_the_next_one_runs(kit: Kit) -> None:
    hurried = replace(kit, settings=kit.settings.model_copy(update={"fit_seconds": 0.5}))
    with training(hurried):
        version = add_dataset(kit, members(5))
        long = kit.wait_job(add_job(kit, version, hyperparameters={"seconds": 60}))
        assert long.status == "failed"
        assert long.error is not None
        assert long.error["code"] == "fit_too_long"
        assert "HEADSTART_FIT_SECONDS" in long.error["message"]
        assert kit.wait_job(add_job(kit, version)).status == "succeeded"


def test_a_second_job_makes_no_backbone_pass(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(5))
        kit.wait_job(add_job(kit, version))
        job = kit.wait_job(add_job(kit, version))
    bigger = add_job(kit, add_dataset(kit, members(6)))
    with training(kit):
        grown = kit.wait_job(bigger)
    assert job.progress is not None
    assert job.progress["embedding"]["new"] == 0
    assert grown.progress is not None
    assert grown.progress["embedding"]["new"] == 2


def test_further_views_come_in_idle_time_and_are_used(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(5))
        kit.wait_version(version.id)
        idle = select(func.count()).where(WorkRow.priority > 0, WorkRow.state == "done")
        kit.wait(lambda: kit.read(lambda session: session.scalar(idle)) == len(IDLE["image"]))
        job = kit.wait_job(add_job(kit, version))
        forced = kit.wait_job(add_job(kit, version, hyperparameters={"views": ["squish"]}))
    assert job.progress is not None
    assert job.progress["views"] == ["squish", *IDLE["image"]]
    assert forced.progress is not None
    assert forced.progress["views"] == ["squish"]


def test_bad_examples_become_excluded_problems(kit: Kit) -> None:
    spoilt = [*members(3), ("c0/x.png", "c0", b"bad"), ("c1/y.png", "c1", b"bad")]
    with training(kit):
        version = kit.wait_version(add_dataset(kit, spoilt).id)
    assert version.status == "ready"
    assert version.classes == [{"label": "c0", "count": 3}, {"label": "c1", "count": 3}]
    found = versions.problems_of(version)
    assert [(p.code, p.path, p.excluded) for p in found] == [
        ("image_invalid", "c0/x.png", True),
        ("image_invalid", "c1/y.png", True),
    ]


@pytest.mark.parametrize(
    ("contents", "code"),
    [
        ([("a/1", "a", b"bad 1"), ("b/1", "b", b"bad 2")], "empty_dataset"),
        ([("a/1", "a", b"fine"), ("b/1", "b", b"bad")], "insufficient_classes"),
    ],
)
def test_a_dataset_that_is_left_with_too_little_fails_with_its_jobs(
    kit: Kit, contents: list[Labelled], code: str
) -> None:
    version = add_dataset(kit, contents)
    waiting = add_job(kit, version)
    with training(kit):
        failed = kit.wait_version(version.id)
        job = kit.wait_job(waiting)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == code
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "dataset_failed"


def test_many_chunks_decide_a_version_once(kit: Kit) -> None:
    fine = kit.settings.model_copy(update={"embed_chunk": 3})
    small = Kit(fine, kit.engine, kit.sessions, kit.storage)
    with training(small), training(small), training(small):
        version = add_dataset(small, [*members(20), ("c0/x", "c0", b"bad")])
        job = small.wait_job(add_job(small, version))
    ready = kit.version(version.id)
    assert ready.status == "ready"
    assert ready.num_examples == 40
    assert len(ready.problems) == 1
    assert job.status == "succeeded"
    assert kit.read(lambda s: s.scalar(select(func.count()).select_from(EmbeddingRow))) >= 40


def test_texts_that_are_cut_are_counted_once_a_version(kit: Kit) -> None:
    lengths = [50, 150, 250, 250, 50, 50, 250, 50]
    texts: list[Labelled] = [
        (f"t:{at}", f"c{at % 2}", f"{at} ".encode() + b"x" * length)
        for at, length in enumerate(lengths)
    ]
    backbone = "all-MiniLM-L6-v2"
    fine = kit.settings.model_copy(update={"embed_chunk": 3})
    small = Kit(fine, kit.engine, kit.sessions, kit.storage)
    for _ in range(2):  # at the second time all of it is cached
        with training(small):
            version = add_dataset(small, texts, modality="text", backbone=backbone)
            small.wait_version(version.id)
        found = versions.problems_of(kit.version(version.id))
        assert [(one.code, one.excluded) for one in found] == [("truncated", False)]
        assert found[0].message.startswith("3 text(s) are longer than the 200 pieces")
    rows = kit.read(lambda session: set(session.scalars(select(EmbeddingRow.sha256))))
    assert len(rows) == len(texts)


def test_texts_that_no_piece_is_known_of_are_counted_once_a_version(kit: Kit) -> None:
    texts: list[Labelled] = [
        (f"t:{at}", f"c{at % 2}", f"ካርዴ ተሰርቋል አዲስ እፈልጋለሁ {chr(0x1200 + at)}".encode())
        for at in range(8)
    ]
    fine = kit.settings.model_copy(update={"embed_chunk": 3})
    small = Kit(fine, kit.engine, kit.sessions, kit.storage)
    for _ in range(2):  # at the second time all of it is cached
        with training(small):
            version = add_dataset(small, texts, modality="text", backbone="all-MiniLM-L6-v2")
            small.wait_version(version.id)
        found = versions.problems_of(kit.version(version.id))
        told = [one for one in found if one.code == "text_unread"]
        assert [one.message.partition(" ")[0] for one in told] == ["8"]


def test_domain_errors_fail_at_once_and_keep_the_history(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(3))
        job = kit.wait_job(add_job(kit, version, hyperparameters={"diverge": True}))
    assert job.status == "failed"
    assert job.error is not None
    assert (job.error["code"], job.error["param"]) == ("diverged", "learning_rate")
    assert events(kit, job.id).count("Job started") == 1


def test_unexpected_errors_have_a_budget_of_three(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(3))
        job = kit.wait_job(add_job(kit, version, hyperparameters={"bug": True}))
    assert job.error is not None
    assert job.error["code"] == "training_failed"
    assert "unexpected error, 3 times in a row" in job.error["message"]
    assert events(kit, job.id).count("Job started") == 3


def test_a_missing_backbone_fails_the_dataset_that_needs_it(kit: Kit) -> None:
    with training(kit):
        version = kit.wait_version(add_dataset(kit, members(3), backbone="missing").id)
    assert version.error is not None
    assert version.error["code"] == "backbone_unavailable"


def test_a_job_on_another_backbone_has_its_own_embeddings(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(3))
        kit.wait_version(version.id)
        job = kit.wait_job(add_job(kit, version, backbone="resnet18"))
    assert job.status == "succeeded"
    assert job.progress is not None
    assert job.progress["embedding"]["new"] == 6


def test_epochs_become_events_and_checkpoints(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(3))
        wish = {"steps": 4, "seconds": 0.8}
        job = kit.wait_job(add_job(kit, version, hyperparameters=wish))
    found = kit.read(
        lambda session: list(
            session.scalars(
                select(CheckpointRow)
                .where(CheckpointRow.job_id == job.id)
                .order_by(CheckpointRow.step_number)
            )
        )
    )
    assert [checkpoint.step_number for checkpoint in found] == [1, 2, 3, 4]
    assert found[1].metrics == {"step": 2, "train_loss": 0.5}
    assert sum("train_loss" in message for message in events(kit, job.id)) == 4


def test_splits_are_kept_apart(kit: Kit) -> None:
    held_out = {"c0/4.png": "val", "c1/4.png": "val", "c0/3.png": "test"}
    with training(kit):
        version = add_dataset(
            kit,
            members(5),
            change=lambda e: e.model_copy(update={"split": held_out.get(e.path, "train")}),
        )
        job = kit.wait_job(add_job(kit, version))
    model = kit.read(lambda session: session.get_one(ModelRow, job.model_id))
    assert model.card["dataset"]["train"] == 7
    assert model.card["dataset"]["validation"] == 2


def test_a_set_validated_against_itself_says_so_and_is_judged_by_folds(kit: Kit) -> None:
    with training(kit):
        train = add_dataset(kit, members(3))
        job = kit.wait_job(add_job(kit, train, validation=train))
    assert job.status == "succeeded"
    model = kit.read(lambda session: session.get_one(ModelRow, job.model_id))
    assert model.card["dataset"]["validation"] == 0
    warned = select(EventRow.message).where(EventRow.job_id == job.id, EventRow.level == "warn")
    said = kit.read(lambda session: list(session.scalars(warned)))
    assert [message.split(" ")[0] for message in said] == ["6", "no"]


def test_the_hyperparameters_of_a_job_can_be_sent_back(kit: Kit) -> None:
    asked = hyperparameters.validate("ridge", {"views": ["squish"]})
    with training(kit):
        version = add_dataset(kit, members(3))
        job = kit.wait_job(add_job(kit, version, method="ridge", hyperparameters=asked))
    model = kit.read(lambda session: session.get_one(ModelRow, job.model_id))
    assert "statistics" in model.card["hyperparameters"]
    assert job.resolved == hyperparameters.validate("ridge", job.resolved)


def test_a_validation_file_is_embedded_and_waited_for(kit: Kit) -> None:
    with training(kit):
        train = add_dataset(kit, members(3))
        other = add_dataset(kit, [*members(2, prefix=b"v"), ("z/1", "z", b"unknown class")])
        job = kit.wait_job(add_job(kit, train, validation=other))
    assert job.status == "succeeded"
    model = kit.read(lambda session: session.get_one(ModelRow, job.model_id))
    assert model.card["dataset"]["validation"] == 4
    assert any("without a training example" in message for message in events(kit, job.id))


def test_lost_segments_are_made_again(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(3))
        kit.wait_job(add_job(kit, version))
        for key in list(kit.storage.keys("embeddings")):
            kit.storage.delete(key)
        job = kit.wait_job(add_job(kit, version))
    assert job.status == "succeeded"
    assert job.progress is not None
    assert job.progress["embedding"]["new"] == 6


def test_two_organisations_share_no_embedding(kit: Kit) -> None:
    with training(kit):
        kit.wait_job(add_job(kit, add_dataset(kit, members(3), org="acme")))
        job = kit.wait_job(add_job(kit, add_dataset(kit, members(3), org="rival")))
    assert job.progress is not None
    assert job.progress["embedding"]["new"] == 6
    held = select(SegmentRow.organisation_id).distinct()
    assert set(kit.read(lambda s: list(s.scalars(held)))) == {"acme", "rival"}


def test_the_same_seed_gives_the_same_head(kit: Kit) -> None:
    with training(kit):
        version = add_dataset(kit, members(3))
        wish = {"views": ["squish"]}
        ids = [add_job(kit, version, hyperparameters=wish, seed=7) for _ in range(2)]
        found = [kit.wait_job(job_id) for job_id in ids]
    heads = {kit.read(lambda s, j=job: s.get_one(ModelRow, j.model_id)).sha256 for job in found}
    assert len(heads) == 1


def test_the_parent_never_imports_torch() -> None:
    script = "import sys, worker.trainer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_deleted_dataset_ends_its_work_quietly(kit: Kit) -> None:
    with training(kit) as context:
        version = add_dataset(kit, members(200, prefix=b"slow"))
        kit.wait(lambda: context.child.pid)
        time.sleep(0.5)
        kit.commit(lambda s: s.delete(versions.lock_version(s, version.id)))
        other = add_dataset(kit, members(2))
        assert kit.wait_version(other.id).status == "ready"


def test_tenants_take_turns(kit: Kit) -> None:
    for org in ("a", "b"):
        organisation(kit, org)
    with training(kit):
        versions_of = {org: add_dataset(kit, members(2), org=org) for org in ("a", "b")}
        for version in versions_of.values():
            kit.wait_version(version.id)
    many = [add_job(kit, versions_of["a"]) for _ in range(6)]
    one = add_job(kit, versions_of["b"])
    with training(kit):
        for job_id in (*many, one):
            kit.wait_job(job_id)
    started = {job_id: kit.job(job_id).started_at or 0 for job_id in (*many, one)}
    assert sorted(started, key=lambda job_id: started[job_id]).index(one) <= 1
    assert kit.read(lambda s: s.scalar(select(func.count()).select_from(OrganisationRow))) >= 2


def test_a_job_that_missed_its_version_is_moved_on_by_the_claim(kit: Kit) -> None:
    """Postgres without a row lock in the app could leave a job behind in validating_files."""
    with training(kit):
        version = add_dataset(kit, members(2))
        kit.wait_version(version.id)
        job_id = insert_left_behind(kit, version.id)
        assert kit.wait_job(job_id).status == "succeeded"


def insert_left_behind(kit: Kit, version_id: str) -> str:
    version = kit.version(version_id)

    def insert(session: Session) -> str:
        job = JobRow(
            id=new_id("ftjob-"), organisation_id=version.organisation_id,
            status="validating_files", backbone=version.backbone,
            dataset_id=version.dataset_id, version_id=version.id, method="auto",
            hyperparameters={}, seed=0, created_at=now(session),
        )  # fmt: skip
        session.add(job)
        session.flush()
        work.add(session, "fine_tune", organisation_id="acme", payload={}, job_id=job.id)
        jobs.add_event(session, job.id, "Job created")
        return job.id

    return kit.commit(insert)


def test_idle_work_makes_way_and_keeps_what_it_has_done(kit: Kit) -> None:
    def idle(session: Session) -> WorkRow | None:
        statement = select(WorkRow).where(WorkRow.priority > 0, WorkRow.state == "running")
        return session.scalars(statement).first()

    slow = [(f"c{i % 2}/{i}", f"c{i % 2}", f"slow {i}".encode()) for i in range(600)]
    with training(kit):
        version = add_dataset(kit, slow)
        kit.wait_version(version.id)
        interrupted = kit.wait(lambda: kit.read(idle))
        time.sleep(0.3)
        job = kit.wait_job(add_job(kit, version))
        later = kit.read(lambda session: session.get_one(WorkRow, interrupted.id))
        assert (job.started_at or 1e12) < (later.finished_at or 1e12 - 1)
        assert later.payload["start"] > interrupted.payload["start"] or later.state == "done"
        assert (later.errors, later.crashes, later.losses) == (0, 0, 0)
