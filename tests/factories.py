"""Rows as the service itself makes them, for tests of what reads and changes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy.orm import Session

from app.accounts.service import create_key
from app.core.manifest import Modality, Problem
from app.infra import storage_keys
from app.infra.database import Sessions, now, open_engine, transaction
from app.infra.migrate import migrate
from app.infra.orm import DatasetVersionRow, JobRow, ModelRow, OrganisationRow
from app.infra.repositories import datasets, jobs, versions, work
from app.infra.repositories.jobs import Event, NewCheckpoint
from app.infra.repositories.work import Claim
from app.infra.storage import Storage

BACKBONE = {"image": "efficientnet_lite0", "text": "all-MiniLM-L6-v2"}


@cache
def _schema() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "schema.db")
        engine = open_engine(f"sqlite:///{path}")
        migrate(engine)
        engine.dispose()
        return path.read_bytes()


def migrated(folder: Path) -> Path:
    """A SQLite database with the newest schema and no rows, by migrations that ran once."""
    path = folder / "headstart.db"
    with path.open("xb") as file:
        file.write(_schema())
    return path


def make_key(
    sessions: Sessions, organisation_id: str = "default", scopes: Sequence[str] = ("admin",)
) -> str:
    """A new key of an organisation."""
    with transaction(sessions) as session:
        _, key = create_key(session, organisation_id=organisation_id, name="test", scopes=scopes)
    return key


def make_dataset(
    session: Session,
    *,
    organisation_id: str = "default",
    modality: Modality = "image",
    status: str = "ready",
    examples: int = 10,
    problems: Sequence[Problem] = (),
) -> DatasetVersionRow:
    """A dataset and its first version, whose embed work is done unless it is still processing."""
    if session.get(OrganisationRow, organisation_id) is None:
        session.add(OrganisationRow(id=organisation_id, created_at=now(session)))
        session.flush()
    dataset = datasets.create(
        session,
        organisation_id=organisation_id,
        name="cells",
        filename="cells.zip",
        modality=modality,
        size=1000,
        upload_sha256="0" * 64,
    )
    new = datasets.NewVersion(
        manifest_sha256="1" * 64,
        packs=["2" * 64],
        backbone=BACKBONE[modality],
        entries=examples,
        num_examples=examples,
        classes=[{"label": "a", "count": examples // 2}, {"label": "b", "count": examples // 2}],
        problems=problems,
    )
    version = datasets.add_version(session, dataset, new, chunk=2000)
    if status != "processing":
        settle(session, version, status)
    return version


def settle(session: Session, version: DatasetVersionRow, status: str = "ready") -> None:
    """End a version's processing the way its last chunk does."""
    version = versions.lock_version(session, version.id)
    work.withdraw(session, version_id=version.id, state="done")
    version.status = status
    version.error = {"code": "empty_dataset", "message": "nothing"} if status == "failed" else None
    versions.settle_jobs(session, version.id)


def claim_job(session: Session) -> Claim | None:
    """Claim the next job and start it, as a trainer does."""
    claim = work.claim(session, worker="test", kinds=["fine_tune"], lease_seconds=60)
    if claim is not None:
        assert claim.job_id is not None
        jobs.advance_job(session, jobs.lock_job(session, claim.job_id), "running")
    return claim


def note(session: Session, job_id: str, *steps: int) -> None:
    """Metrics after these steps, as events and checkpoints."""
    jobs.lock_job(session, job_id)
    said = [Event(message=f"Step {step}", data={"step": step, "loss": 1 / step}) for step in steps]
    jobs.add_events(session, job_id, said)
    jobs.add_checkpoints(
        session, job_id, [NewCheckpoint(step_number=step, metrics={"step": step}) for step in steps]
    )


def finish_job(session: Session, claim: Claim, storage: Storage, folder: Path) -> str:
    """Register a model for a claimed job and let it succeed, under the fence; the model's id."""
    work.finish(session, claim)
    assert claim.job_id is not None
    job = jobs.lock_job(session, claim.job_id)
    model = add_model(session, job, storage, folder, fence=claim.fence)
    jobs.advance_job(session, job, "succeeded")
    return model.id


def add_model(
    session: Session, job: JobRow, storage: Storage, folder: Path, *, fence: int = 1
) -> ModelRow:
    """A model of this job; its head is some bytes that nobody loads."""
    name = job.id.removeprefix("ftjob-")
    head = f"head of {name}".encode()
    card: dict[str, Any] = {"labels": ["a", "b"], "views": ["squish"]}
    prefix = storage_keys.artifact(organisation_id=job.organisation_id, name=name, fence=fence)
    for file, data in (("head.safetensors", head), ("model.json", json.dumps(card).encode())):
        part = folder / f"{name}-{file}"
        part.write_bytes(data)
        storage.put(f"{prefix}/{file}", part)
    job.model_id = ":".join(("ft", job.backbone, job.organisation_id, job.suffix or "", name))
    job.resolved = {"views": ["squish"]}
    job.progress = {
        "stage": "fitting",
        "done": 10,
        "total": 10,
        "views": ["squish"],
        "embedding": {"new": 0, "cached": 10},
    }
    model = ModelRow(
        id=job.model_id,
        organisation_id=job.organisation_id,
        job_id=job.id,
        backbone=job.backbone,
        modality="image",
        method=job.method,
        version_id=job.version_id,
        artifact=prefix,
        sha256=hashlib.sha256(head).hexdigest(),
        bytes=len(head),
        card=card,
        evaluation={
            "how": {"method": "k-fold", "folds": 5},
            "estimable": True,
            "accuracy": {"value": 0.9, "low": 0.7, "high": 1.0},
        },
        created_at=now(session),
    )
    session.add(model)
    session.flush()
    return model
