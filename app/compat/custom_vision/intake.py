"""From a project's new images to a version of its dataset. All of it blocks."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from app.compat.custom_vision.naming import project_id
from app.compat.custom_vision.projects import MULTILABEL
from app.compat.custom_vision.shapes import ImageStatus
from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.manifest import Example, LabelMode
from app.datasets import removal, service
from app.datasets.lookup import find, usable
from app.http.dependencies import Services, writing
from app.infra.database import now, reading
from app.infra.orm import VisionProjectRow
from app.infra.repositories.compat import vision_projects
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.storage import scratch, staging, storage_errors
from app.uploads.form import UploadForm
from app.uploads.intake import images
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload

_STATUSES: Mapping[str, ImageStatus] = {
    "image_too_large": "ErrorImageSize",
    "image_dimensions": "ErrorImageSize",
    "too_many_frames": "ErrorImageSize",
    "unsafe_url": "ErrorSource",
    "url_unreachable": "ErrorSource",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SentImage:
    """One image that was sent; its bytes, or why there are none."""

    source: str
    labels: Sequence[str]
    data: bytes | HeadstartError

    @property
    def name(self) -> str:
        """What its example is called without its extension: the same for the same bytes."""
        assert isinstance(self.data, bytes)
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """What became of one image that was sent."""

    sent: SentImage
    status: ImageStatus
    example: Example | None = None


@dataclass(frozen=True, slots=True)
class ProjectImages:
    """A project's images: the latest version of its dataset, if it has one."""

    project: VisionProjectRow
    snapshot: DatasetSnapshot | None
    examples: Sequence[Example] = ()

    @property
    def several(self) -> bool:
        """Whether an image may have several tags."""
        return self.project.classification_type == MULTILABEL


def holding(services: Services, caller: Identity, project: UUID) -> ProjectImages:
    """What the project has now. Raises not_found."""
    with reading(services.sessions) as session:
        row = vision_projects.find(
            session, project_id(project), organisation_id=caller.organisation_id
        )
    try:
        snapshot = find(services, caller, row.dataset_id) if row.dataset_id else None
    except HeadstartError as error:
        if error.code != "not_found":
            raise
        snapshot = None  # deleted by its own name
    if snapshot is None:
        return ProjectImages(row, None)
    return ProjectImages(row, snapshot, usable(services, snapshot))


def take_in(
    services: Services, caller: Identity, project: UUID, sent: Sequence[SentImage]
) -> tuple[list[ReceivedImage], ProjectImages]:
    """Keep what is new and good of the images; what became of each, and what there is then."""
    known = {Path(one.path).stem for one in holding(services, caller, project).examples}
    statuses: list[ImageStatus] = []
    fresh: dict[str, SentImage] = {}
    for one in sent:
        statuses.append(_status(one, known | set(fresh)))
        if statuses[-1] == "OK":
            fresh[one.name] = one
    if fresh:
        _keep(services, caller, project, fresh)
    held = holding(services, caller, project)
    examples = {Path(one.path).stem: one for one in held.examples}
    taken = [_taken(one, status, examples) for one, status in zip(sent, statuses, strict=True)]
    return taken, held


def _taken(sent: SentImage, status: ImageStatus, examples: Mapping[str, Example]) -> ReceivedImage:
    if status not in ("OK", "OKDuplicate"):
        return ReceivedImage(sent, status)
    example = examples.get(sent.name)
    return ReceivedImage(sent, status if example is not None else "ErrorUnknown", example)


def _status(one: SentImage, known: set[str]) -> ImageStatus:
    if isinstance(one.data, HeadstartError):
        return _STATUSES.get(one.data.code, "ErrorSource")
    try:
        images.check(one.data, one.source)
    except HeadstartError as error:
        return _STATUSES.get(error.code, "ErrorImageFormat")
    return "OKDuplicate" if one.name in known else "OK"


def _keep(
    services: Services, caller: Identity, project: UUID, fresh: Mapping[str, SentImage]
) -> None:
    """A version of the project's dataset that has these images, too."""
    held = holding(services, caller, project)
    with scratch(staging(services.settings)) as folder:
        upload = _packed(fresh, folder, several=held.several)
        mode: LabelMode = "multi_label" if held.several else "single_label"
        form = UploadForm(modality="image", label_mode=mode)
        if held.snapshot is None:
            held = _first(services, caller, project, upload, form)
        if held.snapshot is not None:
            service.append(
                services, upload, form, base=held.snapshot, receipt=Receipt(), minimum_classes=1
            )


def _first(
    services: Services, caller: Identity, project: UUID, upload: Upload, form: UploadForm
) -> ProjectImages:
    """Give the project a dataset of these images; what it has, if somebody else was faster."""
    row = holding(services, caller, project).project
    named = form.model_copy(update={"name": row.name})
    organisation_id = caller.organisation_id
    made = service.create(
        services,
        upload,
        named,
        organisation_id=organisation_id,
        receipt=Receipt(),
        minimum_classes=1,
    )
    if _claim(services, caller, project, seen=row.dataset_id, made=made.dataset.id):
        return ProjectImages(row, None)
    removal.remove(services, made.dataset.id, organisation_id=organisation_id)
    return holding(services, caller, project)


def _claim(
    services: Services, caller: Identity, project: UUID, *, seen: str | None, made: str
) -> bool:
    with writing(services) as session:
        row = vision_projects.find(
            session, project_id(project), organisation_id=caller.organisation_id, lock=True
        )
        if row.dataset_id != seen:
            return False
        row.dataset_id, row.updated_at = made, now(session)
        return True


def _packed(fresh: Mapping[str, SentImage], folder: Path, *, several: bool) -> Upload:
    """The images as an archive with a list of their labels."""
    path = folder / "upload"
    with storage_errors(), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        lines = []
        for name, one in fresh.items():
            assert isinstance(one.data, bytes)
            member = f"{name}.{images.check(one.data, one.source).format}"
            archive.writestr(member, one.data)
            told = list(one.labels) if several else one.labels[0]
            lines.append(json.dumps({"path": member, "label": told}))
        archive.writestr("metadata.jsonl", "\n".join(lines))
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(partial(file.read, 1 << 20), b""):
            digest.update(piece)
    return Upload(folder, path, "images.zip", digest.hexdigest(), path.stat().st_size, {})
