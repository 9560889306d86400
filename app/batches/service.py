"""Make, cancel and delete batches; every rule about what a batch may be is here. All of it blocks.

The model is pinned by its artifact and sha256, the inputs by a manifest: what an alias or a dataset
becomes later changes nothing. An upload's blobs are in storage before the one short transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.batches import results
from app.batches.schemas import Batch, BatchForm, BatchOptions, NewBatch, batch_of
from app.core import batch, manifest
from app.core.errors import HeadstartError
from app.core.messages import Options
from app.http.dependencies import Services, writing, written
from app.http.schemas import Deletion
from app.infra import storage_keys
from app.infra.database import reading
from app.infra.orm import BatchRow
from app.infra.repositories import batches, datasets, deletions, erasures, models, quotas, targets
from app.infra.repositories.batches import PlannedBatch
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.targets import NotReady, ResolvedModel
from app.infra.storage import storage_errors
from app.uploads import blobs, deleting
from app.uploads.intake import Built, IntakeOptions, build
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload


def over_dataset(
    session: Session, services: Services, body: NewBatch, dataset: DatasetSnapshot, *, total: int
) -> BatchRow:
    """A batch over a dataset's version, whose manifest has `total` lines.

    Raises not_found, not_ready, modality_mismatch and dataset_failed.
    """
    organisation_id = dataset.dataset.organisation_id
    model = resolve(session, body.model, organisation_id=organisation_id)
    several = _several(session, model, body, organisation_id=organisation_id)
    pinned = pin(session, body.dataset, dataset.version.number, organisation_id=organisation_id)
    _check(model, pinned)
    new = PlannedBatch(
        model_id=model.id,
        manifest_sha256=pinned.version.manifest_sha256,
        packs=pinned.version.packs,
        total=total,
        options=_options(body, several=several),
        dataset_id=pinned.dataset.id,
        version_id=pinned.version.id,
        version=pinned.version.number,
    )
    chunk = services.settings.batch_chunk
    row = batches.create(session, new, organisation_id=organisation_id, chunk=chunk)
    quotas.check(session, services.settings, organisation_id, "jobs")
    return row


def resolve(session: Session, name: str, *, organisation_id: str) -> ResolvedModel:
    """The model that an id, an alias or a job's id means now. Raises not_found or not_ready."""
    whose = (organisation_id, name)
    model = targets.find_all(session, [whose]).get(whose)
    if model is None:
        raise HeadstartError("not_found", "there is no such model", param="model")
    if isinstance(model, NotReady):
        why = f"the job is {model.status} and has no model"
        raise HeadstartError("not_ready", why, param="model")
    return model


def pin(session: Session, dataset_id: str, number: int, *, organisation_id: str) -> DatasetSnapshot:
    """A dataset's version that stays until the commit. Raises not_found."""
    try:
        return datasets.pin(session, dataset_id, organisation_id=organisation_id, number=number)
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param="dataset") from error


def find(services: Services, body: NewBatch, organisation_id: str) -> tuple[DatasetSnapshot, int]:
    """The dataset's version that is asked for, and how many inputs it has. Raises not_found."""
    with reading(services.sessions) as session:
        try:
            snapshot = datasets.get(
                session, body.dataset, organisation_id=organisation_id, number=body.version
            )
        except HeadstartError as error:
            raise HeadstartError(error.code, error.message, param="dataset") from error
    with blobs.open_manifest(services, snapshot.version).open("rb") as lines:
        return snapshot, sum(not line.isspace() for line in lines)


def _check(model: ResolvedModel, dataset: DatasetSnapshot) -> None:
    holds = dataset.dataset.modality
    if holds != model.modality:
        why = f"the model reads {model.modality}, the dataset holds {holds}"
        raise HeadstartError("modality_mismatch", why, param="dataset")
    if dataset.version.status == "failed":
        why = (dataset.version.error or {}).get("message", "see its problems")
        raise HeadstartError("dataset_failed", f"the dataset has failed: {why}", param="dataset")


def over_upload(
    services: Services, upload: Upload, form: BatchForm, *, organisation_id: str, receipt: Receipt
) -> BatchRow:
    """A batch over a received archive. Raises the codes of bad uploads, and keeps nothing then."""
    with reading(services.sessions) as session:
        model = resolve(session, form.model, organisation_id=organisation_id)
        several = _several(session, model, form, organisation_id=organisation_id)
    built = build(
        upload.path,
        filename=upload.filename,
        staging=upload.folder,
        modality=model.modality,
        options=_intake_options(form),
    )
    listed = _write_manifest(upload.folder, batch.inputs(built.examples, built.problems))
    files = {
        storage_keys.pack(organisation_id, built.pack_sha256): built.pack_path,
        storage_keys.manifest(organisation_id, listed): upload.folder / listed,
    }
    told = _options(form, several=several)
    new = _of_upload(built, told, model, filename=upload.filename, manifest_sha256=listed)
    chunk = services.settings.batch_chunk
    stored = blobs.stored(services, files)

    def step(session: Session) -> BatchRow:
        row = batches.create(session, new, organisation_id=organisation_id, chunk=chunk)
        quotas.check(session, services.settings, organisation_id, "jobs")
        hold.release(session)
        receipt.answer(session, {"batch": row.id})
        return row

    with stored as hold, receipt.hold():
        return written(services, step)


def _intake_options(form: BatchForm) -> IntakeOptions:
    columns = {"text": form.text_column} if form.text_column else {}
    return IntakeOptions(
        labelled=False, columns=columns, header=form.header, encoding=form.encoding
    )


def _of_upload(
    built: Built,
    options: dict[str, Any],
    model: ResolvedModel,
    *,
    filename: str,
    manifest_sha256: str,
) -> PlannedBatch:
    """The inputs' own faults are in the manifest; the other problems are the batch's."""
    return PlannedBatch(
        model_id=model.id,
        manifest_sha256=manifest_sha256,
        packs=[built.pack_sha256],
        total=len(built.examples),
        options=options,
        filename=filename,
        problems=[problem for problem in built.problems if problem.example_id is None],
    )


def _several(
    session: Session, model: ResolvedModel, asked: BatchOptions, *, organisation_id: str
) -> bool:
    """Whether the model says several labels. Raises invalid_request for thresholds it has not."""
    row = models.find(session, organisation_id=organisation_id, name=model.id)
    several = row.label_mode == "multi_label"
    told = Options(level=asked.threshold, levels=asked.levels)
    told.check_levels(row.card["labels"] if several else None)
    if several and asked.use_unlabelled:
        why = "use_unlabelled: the model is multi_label, and smoothing is for one label an input"
        raise HeadstartError("invalid_request", why, param="use_unlabelled")
    return several


def columns_of(row: BatchRow) -> tuple[str, ...]:
    """The columns of the batch's results as CSV."""
    further = results.SMOOTHED if row.options.get("use_unlabelled") else ()
    return (*(results.SEVERAL if says_several(row) else results.COLUMNS), *further)


def says_several(row: BatchRow) -> bool:
    """Whether an input may have several labels in the batch's results."""
    return row.options.get("label_mode") == "multi_label"


def _options(asked: BatchOptions, *, several: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"top_k": asked.top_k, "unknown": asked.unknown}
    if several:
        told["label_mode"] = "multi_label"
    if asked.use_unlabelled:
        told["use_unlabelled"] = True
    if asked.threshold is not None:
        told["threshold"] = asked.threshold
    return told | ({"thresholds": asked.levels} if asked.levels else {})


def _write_manifest(folder: Path, inputs: Iterable[batch.BatchInput]) -> str:
    """Write the inputs into `folder` under their sha256, which is answered."""
    data = manifest.once(manifest.dump(inputs))
    sha256 = hashlib.sha256(data).hexdigest()
    with storage_errors():
        (folder / sha256).write_bytes(data)
    return sha256


def get(services: Services, batch_id: str, organisation_id: str) -> BatchRow:
    """One batch as it is now. Raises not_found."""
    with reading(services.sessions) as session:
        return batches.get(session, batch_id, organisation_id=organisation_id)


def look(services: Services, batch_id: str, organisation_id: str) -> Batch:
    """One batch as its caller sees it now, with what it waits for. Raises not_found."""
    with reading(services.sessions) as session:
        row = batches.get(session, batch_id, organisation_id=organisation_id)
        waits = batches.waits(session, [row], organisation_id=organisation_id)
        return batch_of(row, waits)


def cancel(session: Session, batch_id: str, *, organisation_id: str) -> BatchRow:
    """Cancel a batch for good. Raises not_found, or invalid_transition where it has ended."""
    batches.get(session, batch_id, organisation_id=organisation_id)
    batches.cancel(session, batch_id)
    session.flush()
    return batches.get(session, batch_id, organisation_id=organisation_id)


def remove(services: Services, batch_id: str, *, organisation_id: str) -> Deletion:
    """Delete a batch that has ended, its results, and what was embedded for it alone.

    Raises not_found or in_use.
    """
    with writing(services) as session:
        keys = [part.key for part in batches.parts(session, batch_id)]
        row = batches.remove(session, batch_id, organisation_id=organisation_id)
        keys += [storage_keys.pack(organisation_id, pack) for pack in row.packs]
        doomed = Doomed(object="batch_prediction", id=batch_id, files=keys)
        deletion_id = deletions.begin(session, doomed, organisation_id=organisation_id)
        if row.dataset_id is None:
            manifests = [row.manifest_sha256]
            erasures.add(
                session, manifests, organisation_id=organisation_id, deletion_id=deletion_id
            )
    return deleting.carried_out(services, deletion_id, organisation_id=organisation_id)
