"""Datasets: a new one from an upload, and a new version from every change. All of it blocks.

Each step has its blobs in storage first and then one short transaction; a version that somebody
else made meanwhile is built upon, by starting the step again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.core import backbones, manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality, Problem
from app.core.review import review
from app.datasets import blobs
from app.datasets.intake import Options, build
from app.datasets.schemas import ExampleChange, UploadForm
from app.datasets.streaming import Upload
from app.dependencies import Services, writing
from app.infra.database import reading
from app.infra.repositories import datasets, versions
from app.infra.repositories.datasets import Found, NewVersion
from app.infra.storage import scratch, staging, storage_errors

_TRIES = 8
_DOUBTS = frozenset(
    {
        "label_conflict",
        "duplicate_example",
        "duplicate_across_splits",
        "label_collision",
        "insufficient_classes",
    }
)
"""What a review says, and says anew of every version; other problems are facts that stay."""

Change = Callable[[list[Example]], list[Example]]


class Receipt:
    """What else belongs into the step that makes a version: for most of them, nothing."""

    def hold(self) -> AbstractContextManager[object]:
        """Entered before the transaction begins and left after it has ended."""
        return nullcontext()

    def complete(self, session: Session, found: Found) -> None:
        """Called inside the transaction, the version made."""


@dataclass(frozen=True)
class Content:
    """A version's examples and its problems, reviewed as a whole."""

    examples: Sequence[Example]
    problems: Sequence[Problem]

    @property
    def usable(self) -> list[Example]:
        """The examples that no problem excludes."""
        return manifest.usable(self.examples, self.problems)


def create(
    services: Services,
    upload: Upload,
    form: UploadForm,
    *,
    organisation_id: str,
    receipt: Receipt,
) -> Found:
    """A dataset from a received upload. Raises the codes of bad inputs, and keeps nothing then."""
    spec = form.backbone and _backbone(services, form.backbone)
    built = build(
        upload.path,
        filename=upload.filename,
        staging=upload.folder,
        modality=form.modality or (spec.modality if spec else None),
        options=_options(form),
    )
    backbone = form.backbone or _default_backbone(services, built.modality)
    if spec and spec.modality != built.modality:
        raise HeadstartError(
            "modality_mismatch", f"{spec.name} reads no {built.modality}s", param="backbone"
        )
    content = Content(built.examples, built.problems)
    files = {blobs.pack_key(organisation_id, built.pack_sha256): built.pack_path}
    listed = _write_manifest(upload.folder, content)
    files[blobs.manifest_key(organisation_id, listed)] = upload.folder / listed
    stored = blobs.stored(services, organisation_id, files)
    with stored, receipt.hold(), writing(services) as session:
        dataset = datasets.create(
            session,
            organisation_id=organisation_id,
            name=form.name or Path(upload.filename).stem[:200] or "dataset",
            filename=upload.filename,
            modality=built.modality,
            size=upload.size,
            upload_sha256=upload.sha256,
        )
        new = _new_version(content, manifest_sha256=listed, backbone=backbone)
        chunk = services.settings.embed_chunk
        version = datasets.add_version(session, dataset, new, chunk=chunk)
        found = Found(dataset, version, len(version.problems))
        receipt.complete(session, found)
    return found


def append(
    services: Services,
    upload: Upload,
    form: UploadForm,
    *,
    base: Found,
    receipt: Receipt,
) -> Found:
    """A new version that has the upload's examples too; one that is there already is replaced."""
    organisation_id = base.dataset.organisation_id
    built = build(
        upload.path,
        filename=upload.filename,
        staging=upload.folder,
        modality=base.dataset.modality,
        options=_options(form, minimum_classes=1),
    )

    files = {blobs.pack_key(organisation_id, built.pack_sha256): built.pack_path}
    with blobs.stored(services, organisation_id, files):
        return _derive(
            services,
            base,
            change=lambda examples: [*examples, *built.examples],
            told=_facts(built.problems),
            receipt=receipt,
            size=upload.size,
        )


def relabel(services: Services, base: Found, example_id: str, change: ExampleChange) -> Found:
    """A new version in which one example has another label, group or split. Raises not_found."""
    wanted = change.model_dump(exclude_unset=True)

    def apply(examples: list[Example]) -> list[Example]:
        at = _position(examples, example_id)
        return [*examples[:at], examples[at].model_copy(update=wanted), *examples[at + 1 :]]

    return _derive(services, base, change=apply)


def drop(services: Services, base: Found, example_id: str) -> Found:
    """A new version without one example. Raises not_found."""

    def apply(examples: list[Example]) -> list[Example]:
        at = _position(examples, example_id)
        return examples[:at] + examples[at + 1 :]

    return _derive(services, base, change=apply, forget=example_id)


def _derive(
    services: Services,
    base: Found,
    *,
    change: Change,
    told: Sequence[Problem] = (),
    forget: str | None = None,
    size: int = 0,
    receipt: Receipt | None = None,
) -> Found:
    """The next version of a dataset: the latest one's examples, changed and reviewed anew.

    `told` are further problems of its making, `size` the bytes that were uploaded for it; problems
    of the example `forget` go with it.
    """
    organisation_id = base.dataset.organisation_id
    for _ in range(_TRIES):
        with reading(services.sessions) as session:
            base = datasets.get(session, base.dataset.id, organisation_id=organisation_id)
        content = _revised(services, base, change=change, told=told, forget=forget)
        with scratch(staging(services.settings)) as folder:
            listed = _write_manifest(folder, content)
            files = {blobs.manifest_key(organisation_id, listed): folder / listed}
            new = _new_version(content, manifest_sha256=listed, backbone=base.version.backbone)
            with blobs.stored(services, organisation_id, files):
                found = _commit(services, base, new, size=size, receipt=receipt or Receipt())
        if found is not None:
            return found
    raise HeadstartError("in_flight", "the dataset keeps changing; try again", retry_after=1)


def _commit(
    services: Services, base: Found, new: NewVersion, *, size: int, receipt: Receipt
) -> Found | None:
    """The version that follows on `base`; None if another one does by now."""
    with receipt.hold(), writing(services) as session:
        dataset = datasets.lock(
            session, base.dataset.id, organisation_id=base.dataset.organisation_id
        )
        if dataset.latest_version != base.version.number:
            return None
        dataset.bytes += size
        version = datasets.add_version(session, dataset, new, chunk=services.settings.embed_chunk)
        found = Found(dataset, version, len(version.problems))
        receipt.complete(session, found)
    return found


def _revised(
    services: Services,
    base: Found,
    *,
    change: Change,
    told: Sequence[Problem],
    forget: str | None,
) -> Content:
    """What the next version holds: no example that could not be decoded, every rejection so far."""
    facts = [
        fact for fact in _facts(versions.problems_of(base.version)) if fact.example_id != forget
    ]
    undecodable = {fact.example_id for fact in facts if fact.excluded}
    examples = change(blobs.load_manifest(services, base.version))
    doubted, doubts = review(example for example in examples if example.id not in undecodable)
    content = Content(doubted, [*facts, *told, *doubts])
    _check_classes(content)
    return content


def _facts(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.code not in _DOUBTS]


def _check_classes(content: Content) -> None:
    labels = {example.label for example in content.usable if example.split == "train"}
    if len(labels) < 2:
        raise HeadstartError(
            "insufficient_classes",
            "the next version would have fewer than two classes with examples to train on",
        )


def _new_version(content: Content, *, manifest_sha256: str, backbone: str) -> NewVersion:
    usable = content.usable
    return NewVersion(
        manifest_sha256=manifest_sha256,
        packs=sorted({example.pack for example in content.examples}),
        backbone=backbone,
        entries=len(content.examples),
        num_examples=len(usable),
        classes=manifest.class_counts(usable),
        problems=content.problems,
    )


def _write_manifest(folder: Path, content: Content) -> str:
    """Write the manifest into `folder` under its sha256, which is answered."""
    data = manifest.dump(content.examples)
    sha256 = hashlib.sha256(data).hexdigest()
    with storage_errors():
        (folder / sha256).write_bytes(data)
    return sha256


def _position(examples: Sequence[Example], example_id: str) -> int:
    for at, example in enumerate(examples):
        if example.id == example_id:
            return at
    raise HeadstartError("not_found", "the dataset's latest version has no such example")


def _options(form: UploadForm, *, minimum_classes: int = 2) -> Options:
    return Options(
        minimum_classes=minimum_classes,
        val_fraction=form.val_fraction,
        test_fraction=form.test_fraction,
        seed=form.seed,
    )


def _backbone(services: Services, name: str) -> backbones.BackboneSpec:
    try:
        return backbones.get(name, services.settings.weights_dir)
    except HeadstartError as error:
        raise HeadstartError(error.code, error.message, param="backbone") from error


def _default_backbone(services: Services, modality: Modality) -> str:
    settings = services.settings
    return {
        "image": settings.default_backbone_image,
        "text": settings.default_backbone_text,
    }[modality]
