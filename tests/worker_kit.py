"""A service without its HTTP side: a database, a storage, datasets and jobs, and real trainers."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import DATABASE_AWAY, HeadstartError
from app.core.ids import new_id
from app.core.manifest import Example
from app.core.modalities import PRIMARY
from app.infra.database import Sessions, make_sessions, now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import DatasetRow, DatasetVersionRow, JobRow, OrganisationRow
from app.infra.repositories import jobs, work
from app.infra.settings import Settings
from app.infra.storage import Storage, open_storage, scratch, staging
from tests.factories import migrated
from tests.servers import PATIENCE, pauses

T = TypeVar("T")
Labelled = tuple[str, str, bytes]
"""Path, label, bytes."""


@dataclass(frozen=True)
class Kit:
    """What the app would have: settings, database, storage."""

    settings: Settings
    engine: Engine
    sessions: Sessions
    storage: Storage

    def commit(self, step: Callable[[Session], T]) -> T:
        with transaction(self.sessions) as session:
            return step(session)

    def read(self, step: Callable[[Session], T]) -> T:
        with reading(self.sessions) as session:
            return step(session)

    def job(self, job_id: str) -> JobRow:
        return self.read(lambda session: session.get_one(JobRow, job_id))

    def version(self, version_id: str) -> DatasetVersionRow:
        return self.read(lambda session: session.get_one(DatasetVersionRow, version_id))

    def wait(self, done: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Poll until `done` answers something true; a database that does not answer counts as no:
        on a busy machine a connection takes longer than it is given.
        """
        deadline, between = time.monotonic() + PATIENCE * seconds, pauses()
        while True:
            try:
                if found := done():
                    return found
            except HeadstartError as error:
                if error.code not in DATABASE_AWAY:
                    raise
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(next(between))

    def wait_job(self, job_id: str, seconds: float = 60.0) -> JobRow:
        """The job once it has ended."""
        ended = ("succeeded", "failed", "cancelled")
        self.wait(lambda: self.job(job_id).status in ended, seconds)
        return self.job(job_id)

    def wait_version(self, version_id: str, seconds: float = 60.0) -> DatasetVersionRow:
        """The version once it is ready or failed."""
        self.wait(lambda: self.version(version_id).status != "processing", seconds)
        return self.version(version_id)


def open_kit(folder: Path, **settings: Any) -> Kit:
    """A migrated database and an empty storage, SQLite under `folder` unless told otherwise."""
    made = Settings(data_dir=folder, **settings)
    made.data_dir.mkdir(parents=True, exist_ok=True)
    is_migrated = not made.database_url and not (folder / "headstart.db").exists()
    if is_migrated:
        migrated(folder)
    engine = open_engine(made.database)
    if not is_migrated:
        migrate(engine)
    return Kit(made, engine, make_sessions(engine), open_storage(made))


def organisation(kit: Kit, name: str = "acme") -> str:
    """An organisation's id, made if need be."""

    def make(session: Session) -> None:
        if session.get(OrganisationRow, name) is None:
            session.add(OrganisationRow(id=name, created_at=now(session)))

    kit.commit(make)
    return name


def picture(seed: int, kind: int, size: int = 64) -> bytes:
    """A PNG that a backbone tells from other kinds: noise on a colour and stripes of its own."""
    random = np.random.default_rng(seed)
    hue = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40)][kind % 4])
    pixels = random.integers(0, 60, (size, size, 3)) + hue - 30
    pixels[:: 4 + 4 * kind] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(per_class: int, classes: int = 2, seed: int = 0) -> list[Labelled]:
    """`per_class` pictures of each of `classes` kinds."""
    return [
        (f"c{kind}/{i}.png", f"c{kind}", picture(seed + 1000 * kind + i, kind))
        for kind in range(classes)
        for i in range(per_class)
    ]


def add_dataset(
    kit: Kit,
    members: Iterable[Labelled],
    *,
    org: str = "acme",
    backbone: str = "efficientnet_lite0",
    modality: str = "image",
    change: Callable[[Example], Example] = lambda example: example,
) -> DatasetVersionRow:
    """What an upload leaves behind: pack, manifest, rows, and chunks of `embed` work."""
    organisation(kit, org)
    examples, pack = packed(members)
    examples = [change(example) for example in examples]
    data = manifest.dump(examples)
    digest = hashlib.sha256(data).hexdigest()
    put(kit, f"packs/{org}/{hashlib.sha256(pack).hexdigest()}", pack)
    put(kit, f"manifests/{org}/{digest}.jsonl", data)

    def insert(session: Session) -> DatasetVersionRow:
        at = now(session)
        dataset = DatasetRow(
            id=new_id("ds_"), organisation_id=org, name="test", filename="test.zip",
            modality=modality, bytes=len(pack), upload_sha256="0" * 64, latest_version=1,
            created_at=at,
        )  # fmt: skip
        session.add(dataset)
        session.flush()
        version = DatasetVersionRow(
            id=new_id("dsv_"), organisation_id=org, dataset_id=dataset.id, number=1,
            manifest_sha256=digest, packs=sorted({e.pack for e in examples}), backbone=backbone,
            num_examples=len(examples), classes=manifest.class_counts(examples), problems=[],
            status="processing", created_at=at,
        )  # fmt: skip
        session.add(version)
        session.flush()
        add_embed(session, version, backbone=backbone, chunk=kit.settings.embed_chunk)
        return version

    return kit.commit(insert)


def add_embed(session: Session, version: DatasetVersionRow, *, backbone: str, chunk: int) -> None:
    """Work of priority 0 for the primary view of a whole version."""
    modality = "text" if "MiniLM" in backbone else "image"
    for start in range(0, version.num_examples, chunk):
        stop = min(version.num_examples, start + chunk)
        work.add(
            session,
            "embed",
            organisation_id=version.organisation_id,
            payload={"view": PRIMARY[modality], "start": start, "stop": stop},
            version_id=version.id,
            backbone=backbone,
        )


def packed(members: Iterable[Labelled]) -> tuple[list[Example], bytes]:
    examples, parts, offset = [], [], 0
    for path, label, data in members:
        digest = hashlib.sha256(data).hexdigest()
        examples.append(
            Example(
                id=manifest.example_id(sha256=digest, path=path),
                sha256=digest,
                label=label,
                path=path,
                pack="",
                offset=offset,
                length=len(data),
            )
        )
        parts.append(data)
        offset += len(data)
    pack = b"".join(parts)
    name = hashlib.sha256(pack).hexdigest()
    return [example.model_copy(update={"pack": name}) for example in examples], pack


def put(kit: Kit, key: str, data: bytes) -> None:
    with scratch(staging(kit.settings)) as folder:
        (folder / "file").write_bytes(data)
        kit.storage.put(key, folder / "file")


def add_job(
    kit: Kit,
    version: DatasetVersionRow,
    *,
    method: str = "auto",
    hyperparameters: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    validation: DatasetVersionRow | None = None,
    seed: int = 0,
) -> str:
    """What POST /v1/fine_tuning/jobs leaves behind; the job's id."""

    def insert(session: Session) -> str:
        fresh = session.get_one(DatasetVersionRow, version.id, populate_existing=True)
        ready = fresh.status == "ready" and (validation is None or validation.status == "ready")
        job = JobRow(
            id=new_id("ftjob-"), organisation_id=version.organisation_id,
            status="queued" if ready else "validating_files",
            backbone=backbone or version.backbone, dataset_id=version.dataset_id,
            version_id=version.id,
            validation_dataset_id=validation.dataset_id if validation else None,
            validation_version_id=validation.id if validation else None,
            method=method, hyperparameters=dict(hyperparameters or {}), seed=seed,
            created_at=now(session),
        )  # fmt: skip
        session.add(job)
        session.flush()
        jobs.add_event(session, job.id, "Job created")
        if fresh.status == "failed":
            raise AssertionError("a job on a failed version is refused")
        work.add(
            session, "fine_tune", organisation_id=job.organisation_id, payload={}, job_id=job.id
        )
        if backbone and backbone != version.backbone:
            add_embed(session, fresh, backbone=backbone, chunk=kit.settings.embed_chunk)
        return job.id

    return kit.commit(insert)


def in_group(members: Mapping[str, str]) -> Callable[[Example], Example]:
    """A change for `add_dataset`: the split of each path."""
    return lambda example: example.model_copy(update={"split": members.get(example.path, "train")})
