"""Datasets: a new one from an upload, and a new version from every change. All of it blocks.

Each step has its blobs in storage first and then one short transaction; a version that somebody
else made meanwhile is built upon, by starting the step again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.manifest import Problem
from app.core.review import collisions
from app.datasets import asking
from app.datasets.change_schemas import DatasetChange, ExampleChange
from app.datasets.content import Change, Content, Revision, appended, corrected, dropped
from app.datasets.erasing import marks, turn
from app.http.dependencies import Services, writing, written
from app.infra import storage_keys
from app.infra.auto_backbone import AUTO
from app.infra.database import reading
from app.infra.orm import DatasetRow, DatasetVersionRow
from app.infra.repositories import chunks, datasets, pseudonyms, quotas, versions
from app.infra.repositories.datasets import DatasetSnapshot, NewVersion
from app.infra.repositories.problems import SHOWN
from app.infra.storage import scratch, staging
from app.uploads import blobs
from app.uploads.form import UploadForm
from app.uploads.intake import Built, IntakeOptions, build
from app.uploads.receipts import Receipt
from app.uploads.streaming import NO_FILE, Upload

_TRIES = 8
_HELD = ("stored_bytes", "examples")
"""The quotas that an upload uses up."""


def create(
    services: Services,
    upload: Upload,
    form: UploadForm,
    *,
    organisation_id: str,
    receipt: Receipt,
    minimum_classes: int = 2,
) -> DatasetSnapshot:
    """A dataset from a received upload. Raises the codes of bad inputs, and keeps nothing then."""
    if upload.filename == NO_FILE:
        return _declared(services, form, organisation_id=organisation_id, receipt=receipt)
    options = asking.options(
        form,
        form.asked_mode,
        minimum_classes=1 if form.classes else minimum_classes,
        pseudonym_key=partial(_pseudonym_key, services, organisation_id),
    )
    built, (backbone, *further) = _take_in(services, upload, form, options)
    content = Content(built.examples, built.problems, form.classes or ())
    content.check_declared(built.label_mode)
    listed = content.write(upload.folder)
    new = content.version(manifest_sha256=listed.name, backbone=backbone)
    files = {
        storage_keys.pack(organisation_id, built.pack_sha256): built.pack_path,
        storage_keys.manifest(organisation_id, listed.name): listed,
    }
    stored, chunk = blobs.stored(services, files), services.settings.embed_chunk

    def step(session: Session) -> DatasetSnapshot:
        dataset = datasets.create(
            session,
            organisation_id=organisation_id,
            name=form.name or Path(upload.filename).stem,
            filename=upload.filename,
            modality=built.modality,
            label_mode=built.label_mode,
            size=upload.size,
            upload_sha256=upload.sha256,
            expires_after=form.expires_seconds,
            reading=asking.remembered(form, built.assumed),
        )
        version = datasets.add_version(session, dataset, new, chunk=chunk)
        for name in further:
            chunks.ensure_embedded(
                session, version, modality=dataset.modality, backbone=name, chunk=chunk
            )
        snapshot = _snapshot(dataset, version, new.problems)
        hold.release(session)
        receipt.answer(session, _made(snapshot))
        quotas.check(session, services.settings, organisation_id, *_HELD)
        return snapshot

    with stored as hold, receipt.hold():
        return written(services, step)


def _declared(
    services: Services, form: UploadForm, *, organisation_id: str, receipt: Receipt
) -> DatasetSnapshot:
    """A dataset of classes alone, which is ready at once. Raises invalid_request, …"""
    spec = asking.backbone(services, form.backbone) if form.backbone not in (None, AUTO) else None
    modality = form.modality or (spec.modality if spec else None)
    if modality is None:
        why = "modality: without a file say what the inputs will be, image or text"
        raise HeadstartError("invalid_request", why, param="modality")
    if spec is not None and spec.modality != modality:
        why = f"{spec.name} reads {spec.modality}s"
        raise HeadstartError("modality_mismatch", why, param="backbone")
    content = Content([], collisions(form.classes or ()), form.classes or ())
    content.check_declared(form.asked_mode or "single_label")
    name = spec.name if spec else asking.default_backbone(services, modality)
    with scratch(staging(services.settings)) as folder:
        listed = content.write(folder)
        new = content.version(manifest_sha256=listed.name, backbone=name)
        files = {storage_keys.manifest(organisation_id, listed.name): listed}
        stored = blobs.stored(services, files)

        def step(session: Session) -> DatasetSnapshot:
            dataset = datasets.create(
                session,
                organisation_id=organisation_id,
                name=form.name or "classes",
                filename=NO_FILE,
                modality=modality,
                size=0,
                upload_sha256=listed.name,
                expires_after=form.expires_seconds,
                reading=form.reading,
            )
            version = datasets.add_version(
                session, dataset, new, chunk=services.settings.embed_chunk
            )
            versions.finish_version(session, version, [])  # nothing is to be embedded
            snapshot = _snapshot(dataset, version, new.problems)
            hold.release(session)
            receipt.answer(session, _made(snapshot))
            quotas.check(session, services.settings, organisation_id, *_HELD)
            return snapshot

        with stored as hold, receipt.hold():
            return written(services, step)


@contextmanager
def inspect(services: Services, upload: Upload, form: UploadForm) -> Iterator[tuple[Built, str]]:
    """What `create` would make of the upload, and the backbone; nothing outlives the block.

    Raises the codes of bad inputs.
    """
    built, names = _take_in(services, upload, form, asking.options(form, form.asked_mode))
    with _dropped(built):
        yield built, names[0]


@contextmanager
def _dropped(built: Built) -> Iterator[None]:
    """Drop the pack at the end of the block."""
    try:
        yield
    finally:
        built.pack_path.unlink()


def _made(snapshot: DatasetSnapshot) -> dict[str, Any]:
    """What an upload's key remembers."""
    return {"dataset": snapshot.dataset.id, "version": snapshot.version.number}


def _snapshot(
    dataset: DatasetRow, version: DatasetVersionRow, problems: Sequence[Problem]
) -> DatasetSnapshot:
    return DatasetSnapshot(dataset, version, len(problems), problems[:SHOWN])


def _take_in(
    services: Services, upload: Upload, form: UploadForm, options: IntakeOptions
) -> tuple[Built, list[str]]:
    """What was uploaded, and the backbones that are to embed it: the first decides about it."""
    if form.purpose != "fine-tune":
        why = "purpose: a dataset is for fine-tune; a batch's requests go to /v1/files"
        raise HeadstartError("invalid_request", why, param="purpose")
    spec = asking.backbone(services, form.backbone) if form.backbone not in (None, AUTO) else None
    built = build(
        upload.path,
        filename=upload.filename,
        staging=upload.folder,
        modality=form.modality or (spec.modality if spec else None),
        options=options,
    )
    if spec is None:
        return built, [asking.default_backbone(services, built.modality)]
    if spec.modality != built.modality:
        why = f"{spec.name} reads {spec.modality}s, these are {built.modality}s"
        raise HeadstartError("modality_mismatch", why, param="backbone")
    return built, [one.name for one in spec.parts]


def append(
    services: Services,
    upload: Upload,
    form: UploadForm,
    *,
    base: DatasetSnapshot,
    receipt: Receipt,
    minimum_classes: int = 2,
    first: Change = list,
) -> DatasetSnapshot:
    """A new version that has the upload's examples too; of one that is there already the newer
    label holds. `first` changes what was there in the same step.

    Raises the codes of bad inputs, and invalid_request for what only a new dataset is told.
    """
    organisation_id = base.dataset.organisation_id
    built = _taken_for(services, upload, form, base)
    erasures = base.dataset.erasures
    files = {storage_keys.pack(organisation_id, built.pack_sha256): built.pack_path}
    with blobs.stored(services, files) as pack:
        revision = _appending(built, minimum_classes=minimum_classes, first=first)
        held = (built.pack_sha256, pack)
        return _derive(
            services,
            base,
            revision,
            size=upload.size,
            receipt=receipt,
            pack=held,
            erasures=erasures,
        )


@contextmanager
def inspect_append(
    services: Services, upload: Upload, form: UploadForm, *, base: DatasetSnapshot
) -> Iterator[tuple[Built, Content]]:
    """What was built of the upload, and what the version would hold that `append` would make;
    nothing outlives the block. Raises as `append` does.
    """
    built = _taken_for(services, upload, form, base)
    with _dropped(built):
        yield built, _appending(built).of(_latest(services, base)[1])


def _taken_for(
    services: Services, upload: Upload, form: UploadForm, base: DatasetSnapshot
) -> Built:
    """The upload's examples, read as those of the dataset."""
    asking.refuse_settled(form, base)
    keys = partial(_pseudonym_key, services, base.dataset.organisation_id)
    more: dict[str, Any] = {"pseudonym_key": keys, "reading": base.dataset.reading}
    more["known"] = partial(blobs.paths, services, base.version)
    more["labels"] = {str(one["label"]) for one in base.version.classes}
    built = build(
        upload.path,
        filename=upload.filename,
        staging=upload.folder,
        modality=base.dataset.modality,
        options=asking.options(form, asking.label_mode_of(base), minimum_classes=1, **more),
    )
    return marks.without_erased(services, base.dataset, built)


def _appending(built: Built, *, minimum_classes: int = 2, first: Change = list) -> Revision:
    return appended(
        built.examples,
        built.problems,
        minimum_classes=minimum_classes,
        first=first,
        splits=built.names_splits,
        groups=built.names_groups,
        denied=built.denied,
        marks=built.marks,
    )


def relabel(
    services: Services, base: DatasetSnapshot, changes: Mapping[str, ExampleChange]
) -> DatasetSnapshot:
    """A new version in which examples, by id, have other labels, groups or splits.

    Raises not_found.
    """
    mode = asking.label_mode_of(base)
    wanted = {name: change.wanted(mode) for name, change in changes.items()}
    return _derive(services, base, corrected(wanted, base.version.declared or ()))


def change_dataset(
    services: Services, base: DatasetSnapshot, change: DatasetChange
) -> DatasetSnapshot:
    """The dataset with another name or target. Raises not_found."""
    organisation_id = base.dataset.organisation_id
    with writing(services) as session:
        row = datasets.lock(session, base.dataset.id, organisation_id=organisation_id)
        for name, value in change.model_dump(exclude_unset=True).items():
            setattr(row, name, value)
        session.flush()
        return datasets.get(session, row.id, organisation_id=organisation_id, shown=SHOWN)


def drop(services: Services, base: DatasetSnapshot, example_id: str) -> DatasetSnapshot:
    """A new version without one example. Raises not_found."""
    return _derive(services, base, dropped(example_id))


def revise(services: Services, base: DatasetSnapshot, revision: Revision) -> DatasetSnapshot:
    """The version that the revision makes of the latest one. Raises what it does."""
    return _derive(services, base, revision)


def _derive(
    services: Services,
    base: DatasetSnapshot,
    revision: Revision,
    *,
    size: int = 0,
    receipt: Receipt | None = None,
    pack: tuple[str, blobs.Hold] | None = None,
    erasures: int | None = None,
) -> DatasetSnapshot:
    """The version after the dataset's latest one; `size` bytes, in `pack`, were uploaded for it.

    A pack that the version names nothing of stays held, and so is taken back. `erasures` is how
    many there were as an upload was read: after another it is to be sent, and read, again.
    """
    organisation_id = base.dataset.organisation_id
    for _ in range(_TRIES):
        turn.passed(services, base.dataset)
        base, held = _latest(services, base)
        marks.refuse_after(erasures, base.dataset)
        content = revision.of(held)
        with scratch(staging(services.settings)) as folder:
            listed = content.write(folder)
            new = content.version(manifest_sha256=listed.name, backbone=base.version.backbone)
            files = {storage_keys.manifest(organisation_id, listed.name): listed}
            with blobs.stored(services, files) as listing:
                holds = [listing, *([pack[1]] if pack and pack[0] in new.packs else [])]
                step = Step(new, holds=holds, size=size, receipt=receipt or Receipt())
                snapshot = _commit(services, base, step)
        if snapshot is not None:
            return snapshot
    raise HeadstartError("in_flight", "the dataset keeps changing; try again", retry_after=1)


def _latest(services: Services, base: DatasetSnapshot) -> tuple[DatasetSnapshot, Content]:
    """The dataset at its latest version, and what that holds. Raises not_found."""
    row = base.dataset
    with reading(services.sessions) as session:
        base = datasets.get(session, row.id, organisation_id=row.organisation_id)
        faults = versions.problems_of(base.version)
    known = blobs.load_manifest(services, base.version)
    return base, Content(known, faults, base.version.declared or ())


@dataclass(frozen=True)
class Step:
    """What a new version's transaction makes true."""

    new: NewVersion
    holds: Sequence[blobs.Hold]
    size: int
    receipt: Receipt


def _commit(services: Services, base: DatasetSnapshot, step: Step) -> DatasetSnapshot | None:
    """The version that follows on `base`; None if another one does by now."""

    def follow(session: Session) -> DatasetSnapshot | None:
        for hold in step.holds:
            hold.released = False  # as a try before has had it
        whose = base.dataset.organisation_id
        dataset = datasets.lock(session, base.dataset.id, organisation_id=whose)
        seen = (base.version.number, base.dataset.erasures)
        if (dataset.latest_version, dataset.erasures) != seen or turn.is_taken(session, dataset):
            return None  # after an erasure the base has other examples, and another manifest
        dataset.bytes += step.size
        chunk = services.settings.embed_chunk
        version = datasets.add_version(session, dataset, step.new, chunk=chunk)
        if not step.new.entries:
            versions.finish_version(session, version, [])
        version.pixel_scale = base.version.pixel_scale or None  # a scale stays, none may be found
        if step.size:
            quotas.check(session, services.settings, whose, *_HELD)
        snapshot = _snapshot(dataset, version, step.new.problems)
        for hold in step.holds:
            hold.release(session)
        step.receipt.answer(session, _made(snapshot))
        return snapshot

    with step.receipt.hold():
        return written(services, follow)


def _pseudonym_key(services: Services, organisation_id: str) -> str:
    with writing(services) as session:
        return pseudonyms.key_of(session, services.vault, organisation_id)
