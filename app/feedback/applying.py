"""From feedback to a dataset's next version. All of it blocks."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.core.modalities import MODALITIES
from app.datasets import service
from app.datasets.content import relabelled
from app.feedback.schemas import FeedbackCounts, LeftOutFeedback
from app.http.dependencies import Services, writing
from app.infra.database import reading
from app.infra.orm import FeedbackRow
from app.infra.repositories import datasets
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.live import feedback as rows
from app.infra.storage import scratch, staging, storage_errors
from app.uploads import blobs
from app.uploads.form import UploadForm
from app.uploads.intake import images
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload


@dataclass(kw_only=True)
class _Plan:
    """What a version would change, by the ids of feedback."""

    added: dict[str, tuple[FeedbackRow, bytes]] = field(default_factory=dict)
    """By content."""
    relabelled: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By example."""
    settled: list[str] = field(default_factory=list)
    unchanged: int = 0
    left_out: list[LeftOutFeedback] = field(default_factory=list)

    @property
    def counts(self) -> FeedbackCounts:
        return FeedbackCounts(
            added=len(self.added),
            relabelled=len(self.relabelled),
            unchanged=self.unchanged,
            left_out=self.left_out,
        )

    def settle(self, row: FeedbackRow, examples: Sequence[Example]) -> None:
        """An input that the dataset has: it has the label, too, or will have it."""
        self.settled.append(row.id)
        said = _said(row)
        wrong = [
            one
            for one in examples
            if any(getattr(one, name) != value for name, value in said.items())
        ]
        self.unchanged += not wrong
        for one in wrong:
            self.relabelled[one.id] = {**said, "confirmed": True}

    def leave_out(self, row: FeedbackRow, code: str, reason: str) -> None:
        self.left_out.append(LeftOutFeedback(feedback=row.id, code=code, reason=reason))


def apply(
    services: Services, organisation_id: str, alias: str, model_id: str | None, dataset_id: str
) -> tuple[DatasetSnapshot, FeedbackCounts]:
    """A version of the dataset with what was said under an alias, or of a model, if it has not all
    of it: the same again changes nothing. Raises not_found, modality_mismatch,
    label_mode_mismatch, insufficient_classes.
    """
    with reading(services.sessions) as session:
        base = datasets.get(session, dataset_id, organisation_id=organisation_id)
        found = rows.labelled(
            session, organisation_id=organisation_id, alias=alias, model_id=model_id
        )
    if not found:
        return base, _Plan().counts
    plan = _planned(services, base, found)
    made = _made(services, base, plan) if plan.added or plan.relabelled else base
    told = {"dataset": dataset_id, "version": made.version.number}
    with writing(services) as session:
        rows.applied(session, plan.settled, told, organisation_id=organisation_id)
        for one in plan.left_out:
            why = {"dataset": dataset_id, "version": None, "reason": one.code}
            rows.applied(session, [one.feedback], why, organisation_id=organisation_id)
    return made, plan.counts


def _planned(services: Services, base: DatasetSnapshot, found: Sequence[FeedbackRow]) -> _Plan:
    """The last word on each input, held against what the dataset has."""
    plan = _Plan()
    known: dict[str, list[Example]] = defaultdict(list)
    for example in blobs.load_manifest(services, base.version):
        known[example.content].append(example)
    modality = MODALITIES[base.dataset.modality]
    last: dict[str, tuple[FeedbackRow, bytes]] = {}
    for row in found:
        data = _data(services, row)
        if data is None:
            plan.leave_out(row, "not_found", "the input is not kept: send the input itself")
            continue
        content = modality.identity(data) or hashlib.sha256(data).hexdigest()
        if content in last:
            plan.settled.append(last[content][0].id)
        last[content] = (row, data)
    for content, (row, data) in last.items():
        wrong = _unfit(base, row, data)
        if wrong is not None:
            plan.leave_out(row, wrong.code, wrong.message)
        elif content in known:
            plan.settle(row, known[content])
        else:
            plan.settled.append(row.id)
            plan.added[content] = (row, data)
    return plan


def _data(services: Services, row: FeedbackRow) -> bytes | None:
    if row.content_key is None:
        return None
    try:
        return services.storage.fetch(row.content_key).read_bytes()
    except FileNotFoundError:
        return None


def _said(row: FeedbackRow) -> dict[str, Any]:
    return {"labels": tuple(row.labels)} if row.labels is not None else {"label": row.label}


def _unfit(base: DatasetSnapshot, row: FeedbackRow, data: bytes) -> HeadstartError | None:
    """Why the dataset cannot have an input."""
    several = base.dataset.label_mode == "multi_label"
    if several != (row.labels is not None):
        return HeadstartError("label_mode_mismatch", f"the dataset is {base.dataset.label_mode}")
    try:
        _CHECKS[base.dataset.modality](data)
    except HeadstartError as error:
        return error
    return None


def _check_text(data: bytes) -> None:
    try:
        if data.decode().strip():
            return
    except UnicodeDecodeError as error:
        raise HeadstartError("modality_mismatch", "the input is no text") from error
    raise HeadstartError("invalid_value", "the text is empty")


def _check_image(data: bytes) -> None:
    images.check(data, "image")


_CHECKS = {"image": _check_image, "text": _check_text}


def _made(services: Services, base: DatasetSnapshot, plan: _Plan) -> DatasetSnapshot:
    """One version with all of it."""
    changes = relabelled(plan.relabelled, minimum_classes=1)
    if not plan.added:
        return service.revise(services, base, changes)
    with scratch(staging(services.settings)) as folder:
        upload = _PACKED[base.dataset.modality](plan.added, folder)
        mode = service.label_mode_of(base)
        modality = MODALITIES[base.dataset.modality].name
        form = UploadForm(modality=modality, label_mode=mode)
        return service.append(
            services, upload, form, base=base, receipt=Receipt(), minimum_classes=1,
            first=changes.change,
        )  # fmt: skip


def _packed_images(added: Mapping[str, tuple[FeedbackRow, bytes]], folder: Path) -> Upload:
    """An archive with a list of the labels; an example's path says what it is."""
    path = folder / "upload"
    with storage_errors(), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        lines = []
        for content, (row, data) in added.items():
            member = f"feedback/{content}.{images.check(data, 'image').format}"
            archive.writestr(member, data)
            lines.append(json.dumps({"path": member, "label": _told(row)}))
        archive.writestr("metadata.jsonl", "\n".join(lines))
    return _upload(folder, path, "feedback.zip")


def _packed_texts(added: Mapping[str, tuple[FeedbackRow, bytes]], folder: Path) -> Upload:
    """A line a text."""
    path = folder / "upload"
    lines = [
        json.dumps({"text": data.decode(), "label": _told(row)}) for row, data in added.values()
    ]
    with storage_errors():
        path.write_text("\n".join(lines) + "\n", "utf-8")
    digest = hashlib.sha256("".join(sorted(added)).encode()).hexdigest()[:16]
    return _upload(folder, path, f"feedback-{digest}.jsonl")


_PACKED = {"image": _packed_images, "text": _packed_texts}


def _told(row: FeedbackRow) -> Any:
    return row.labels if row.labels is not None else row.label


def _upload(folder: Path, path: Path, filename: str) -> Upload:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Upload(folder, path, filename, digest, path.stat().st_size, {})
