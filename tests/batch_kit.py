"""Batches without HTTP: what the routes leave behind, and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from app.core import batch, manifest
from app.core.batch import BatchInput
from app.core.job_state import TERMINAL
from app.infra import storage_keys
from app.infra.orm import BatchRow, DatasetVersionRow, WorkRow
from app.infra.repositories import batches
from app.infra.repositories.batches import PlannedBatch
from tests.worker_kit import Kit, Labelled, add_dataset, add_job, packed, put

OPTIONS: dict[str, Any] = {"top_k": 5, "unknown": None}


def contents(number: int, prefix: bytes = b"") -> list[Labelled]:
    """Contents for the light tensor process, of two classes in turn."""
    return [(f"{i}.png", f"c{i % 2}", prefix + b"%d" % i) for i in range(number)]


def trained(kit: Kit, members: Sequence[Labelled]) -> tuple[DatasetVersionRow, str]:
    """A ready version, and a model of it; some trainer must be running."""
    version = kit.wait_version(add_dataset(kit, members).id, 90)
    job = kit.wait_job(add_job(kit, version), 90)
    assert job.status == "succeeded", job.error
    return version, str(job.model_id)


def over_version(kit: Kit, model: str, version: DatasetVersionRow, *, chunk: int = 4) -> str:
    """A batch over a dataset's version; its id."""
    lines = kit.storage.fetch(manifest_key(version)).read_bytes().splitlines()
    new = PlannedBatch(
        model_id=model,
        options=OPTIONS,
        dataset_id=version.dataset_id,
        version_id=version.id,
        version=version.number,
        manifest_sha256=version.manifest_sha256,
        packs=version.packs,
        total=len(lines),
    )
    return _create(kit, new, version.organisation_id, chunk)


def over_members(
    kit: Kit, model: str, members: Sequence[Labelled], *, chunk: int = 4, org: str = "acme"
) -> str:
    """A batch over an upload of its own, whose labels nobody knows; its id."""
    examples, pack = packed(members)
    plain = [one.model_copy(update={"label": "", "split": "test"}) for one in examples]
    return over_inputs(kit, model, list(batch.inputs(plain, [])), pack, chunk=chunk, org=org)


def over_inputs(
    kit: Kit,
    model: str,
    inputs: Sequence[BatchInput],
    pack: bytes,
    *,
    chunk: int = 4,
    org: str = "acme",
) -> str:
    """A batch over these inputs, whose bytes are in the pack; its id."""
    data = manifest.dump(inputs)
    listed, name = (hashlib.sha256(one).hexdigest() for one in (data, pack))
    put(kit, f"manifests/{org}/{listed}.jsonl", data)
    put(kit, f"packs/{org}/{name}", pack)
    new = PlannedBatch(
        model_id=model,
        options=OPTIONS,
        manifest_sha256=listed,
        packs=[name],
        total=len(inputs),
        filename="new.zip",
    )
    return _create(kit, new, org, chunk)


def _create(kit: Kit, new: PlannedBatch, org: str, chunk: int) -> str:
    row = kit.commit(lambda s: batches.create(s, new, organisation_id=org, chunk=chunk))
    return row.id


def manifest_key(version: DatasetVersionRow) -> str:
    return storage_keys.manifest(version.organisation_id, version.manifest_sha256)


def row_of(kit: Kit, batch_id: str) -> BatchRow:
    return kit.read(lambda session: session.get_one(BatchRow, batch_id))


def wait_batch(kit: Kit, batch_id: str, seconds: float = 90) -> BatchRow:
    """The batch once it has ended."""
    kit.wait(lambda: row_of(kit, batch_id).status in TERMINAL, seconds)
    return row_of(kit, batch_id)


def lines(kit: Kit, batch_id: str) -> list[dict[str, Any]]:
    """The results, all parts together."""
    parts = kit.read(lambda session: batches.parts(session, batch_id))
    data = [kit.storage.fetch(part.key).read_bytes() for part in parts]
    assert [len(one) for one in data] == [part.bytes for part in parts]
    return [json.loads(line) for line in b"".join(data).splitlines()]


def works_of(kit: Kit, batch_id: str) -> list[WorkRow]:
    """The batch's chunks, oldest first."""
    statement = select(WorkRow).where(WorkRow.batch_id == batch_id).order_by(WorkRow.id)
    return kit.read(lambda session: list(session.scalars(statement)))
