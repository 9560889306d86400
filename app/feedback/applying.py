"""From feedback to a dataset's next version. All of it blocks."""

from __future__ import annotations

import hashlib
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.core.manifest import Example
from app.core.modalities import MODALITIES
from app.datasets import asking, service
from app.datasets.content import relabelled, relabelling
from app.datasets.erasing import marks
from app.feedback import fitness
from app.feedback.former_labels import CODE, FormerLabels, former_labels
from app.feedback.giving import data_of
from app.feedback.newer_words import Word, is_settled, newer_words
from app.feedback.schemas import FeedbackCounts, LeftOutFeedback
from app.http.dependencies import Services, writing
from app.infra.database import reading
from app.infra.orm import FeedbackRow
from app.infra.repositories import datasets
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.live import feedback as rows
from app.infra.storage import scratch, sha256_of, staging, storage_errors
from app.uploads import blobs
from app.uploads.form import UploadForm
from app.uploads.intake import images
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload

_Inputs = Iterator[tuple[str, FeedbackRow, bytes]]
"""Contents, what was said of them, and the inputs' bytes."""


@dataclass(kw_only=True)
class _Plan:
    """What a version would change, by the ids of feedback."""

    added: dict[str, FeedbackRow] = field(default_factory=dict)
    """By content; the inputs are read again, one at a time, as they are packed."""
    relabelled: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By example."""
    settled: list[FeedbackRow] = field(default_factory=list)
    unchanged: int = 0
    rejected: list[tuple[FeedbackRow, LeftOutFeedback]] = field(default_factory=list)
    former: FormerLabels = field(default_factory=FormerLabels)

    @property
    def counts(self) -> FeedbackCounts:
        return FeedbackCounts(
            added=len(self.added),
            relabelled=len(self.relabelled),
            unchanged=self.unchanged,
            left_out=[told for _, told in self.rejected],
            renamed=self.former.renamed,
        )

    def settle(self, row: FeedbackRow, examples: Sequence[Example]) -> None:
        """An input that the dataset has: it has the label, too, or will have it."""
        self.settled.append(row)
        said = _said(row, self.former.names_for(row))
        wrong = [
            one
            for one in examples
            if any(getattr(one, name) != value for name, value in said.items())
        ]
        self.unchanged += not wrong
        for one in wrong:
            self.relabelled[one.id] = {**said, "confirmed": True}

    def leave_out(self, row: FeedbackRow, code: str, reason: str) -> None:
        told = LeftOutFeedback(feedback=row.id, code=code, reason=reason)
        self.rejected.append((row, told))


@dataclass(frozen=True, kw_only=True)
class Given:
    """Which feedback is meant: under an alias, or on a model's answers; all of it, or what is
    audited."""

    alias: str
    model_id: str | None = None
    audited_only: bool = False


def apply(
    services: Services, organisation_id: str, given: Given, dataset_id: str
) -> tuple[DatasetSnapshot, FeedbackCounts]:
    """A version of the dataset with what was said, if it has not all of it.

    What a version of the dataset has had is not said again: a later correction or deletion there
    holds until somebody gives feedback anew. Raises not_found, modality_mismatch,
    label_mode_mismatch, insufficient_classes.
    """
    with reading(services.sessions) as session:
        base = datasets.get(session, dataset_id, organisation_id=organisation_id)
        found = rows.labelled(session, organisation_id=organisation_id, **asdict(given))
    plan = _planned(services, base, found)
    made = _made(services, base, plan) if plan.added or plan.relabelled else base
    told = {"dataset": dataset_id, "version": made.version.number}
    with writing(services) as session:
        for row in plan.settled:
            rows.applied(session, row, told, organisation_id=organisation_id)
        for row, one in plan.rejected:
            why = {"dataset": dataset_id, "version": None, "reason": one.code}
            rows.applied(session, row, why, organisation_id=organisation_id)
    return made, plan.counts


def _planned(services: Services, base: DatasetSnapshot, found: Sequence[FeedbackRow]) -> _Plan:
    """The last word on each input, held against what the dataset has."""
    done = [row for row in found if is_settled(row, base.dataset.id)]
    plan = _Plan(unchanged=len({row.sha256 for row in done}))
    fresh = [row for row in found if not is_settled(row, base.dataset.id)]
    last = _last_words(services, base, fresh, _audited(services, base, found, fresh), plan)
    if not last:
        return plan
    known: dict[str, list[Example]] = defaultdict(list)
    examples = blobs.load_manifest(services, base.version)
    for example in examples:
        known[example.content].append(example)
    former = former_labels(services, base, examples, last.values())
    plan.former = former
    words = {one: Word(sha256=row.sha256, at=row.updated_at) for one, row in last.items()}
    newer = newer_words(services, base, words)
    erased = marks.erased_among(services, base.dataset, last)
    for content, row in last.items():
        if content in erased:
            plan.leave_out(row, marks.CODE, "the input was erased from this dataset")
        elif content in newer:
            plan.leave_out(row, rows.SUPERSEDED, newer[content])
        elif (why := former.why_not(row)) is not None:
            plan.leave_out(row, CODE, why)
        elif content in known:
            plan.settle(row, known[content])
        else:
            plan.settled.append(row)
            plan.added[content] = row
    return plan


def _audited(
    services: Services,
    base: DatasetSnapshot,
    found: Iterable[FeedbackRow],
    fresh: Iterable[FeedbackRow],
) -> set[str]:
    """Contents whose labels are audited, as the dataset tells contents apart: there a text is the
    same with another line end. What callers report of them by themselves does not count.
    """
    if not any(_volunteered(row) for row in fresh):
        return set()
    contents = set()
    for row in found:
        if row.audited:
            data = data_of(services, row) if MODALITIES[base.dataset.modality].in_tables else None
            contents.add(row.sha256 if data is None else _content(base, data))
    return contents


def _volunteered(row: FeedbackRow) -> bool:
    return not row.audited and row.source == "api"


def _content(base: DatasetSnapshot, data: bytes) -> str:
    identity = MODALITIES[base.dataset.modality].identity(data)
    return identity or hashlib.sha256(data).hexdigest()


def _last_words(
    services: Services,
    base: DatasetSnapshot,
    fresh: Iterable[FeedbackRow],
    audited: Collection[str],
    plan: _Plan,
) -> dict[str, FeedbackRow]:
    """By content, of what the dataset can have, oldest first; one input is in memory at a time."""
    modality, mode = MODALITIES[base.dataset.modality].name, asking.label_mode_of(base)
    last: dict[str, FeedbackRow] = {}
    for row in fresh:
        data = data_of(services, row)
        if data is None:
            plan.leave_out(row, "not_found", "the input is not kept, or is damaged: send it itself")
            continue
        wrong = fitness.unfit(row, data, modality=modality, mode=mode)
        if wrong is not None:
            plan.leave_out(row, wrong.code, wrong.message)
            continue
        content = _content(base, data)
        if _volunteered(row) and content in audited:
            plan.leave_out(row, rows.SUPERSEDED, "an audited label on the input holds")
            continue
        if content in last:
            plan.settled.append(last[content])
        last[content] = row
    return last


def _said(row: FeedbackRow, names: Mapping[str, str]) -> dict[str, Any]:
    labels = fitness.said(row, names)
    return {"labels": tuple(sorted(labels))} if row.labels is not None else {"label": labels[0]}


def _made(services: Services, base: DatasetSnapshot, plan: _Plan) -> DatasetSnapshot:
    """One version with all of it."""
    if not plan.added:
        return service.revise(services, base, relabelled(plan.relabelled, minimum_classes=1))
    with scratch(staging(services.settings)) as folder:
        upload = _PACKED[base.dataset.modality](_inputs(services, plan), folder, plan.former)
        mode = asking.label_mode_of(base)
        modality = MODALITIES[base.dataset.modality].name
        form = UploadForm(modality=modality, label_mode=mode)
        return service.append(
            services, upload, form, base=base, receipt=Receipt(), minimum_classes=1,
            first=relabelling(plan.relabelled),
        )  # fmt: skip


def _inputs(services: Services, plan: _Plan) -> _Inputs:
    """Content, feedback and bytes of what is new; one that was deleted meanwhile is left out."""
    for content, row in list(plan.added.items()):
        data = data_of(services, row)
        if data is not None:
            yield content, row, data


def _packed_images(added: _Inputs, folder: Path, former: FormerLabels) -> Upload:
    """An archive with a list of the labels; an example's path says what it is."""
    path, lines = folder / "upload", []
    with storage_errors(), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for content, row, data in added:
            member = f"feedback/{content}.{images.check(data, 'image').format}"
            archive.writestr(member, data)
            lines.append(fitness.line(row, {"path": member}, former.names_for(row)))
        archive.writestr("metadata.jsonl", "".join(lines))
    return _upload(folder, path, "feedback.zip")


def _packed_texts(added: _Inputs, folder: Path, former: FormerLabels) -> Upload:
    """A line a text."""
    path, contents = folder / "upload", []
    with storage_errors(), path.open("w", encoding="utf-8") as file:
        for content, row, data in added:
            contents.append(content)
            file.write(fitness.line(row, {"text": data.decode()}, former.names_for(row)))
    digest = hashlib.sha256("".join(sorted(contents)).encode()).hexdigest()[:16]
    return _upload(folder, path, f"feedback-{digest}.jsonl")


_PACKED = {"image": _packed_images, "text": _packed_texts}


def _upload(folder: Path, path: Path, filename: str) -> Upload:
    return Upload(folder, path, filename, sha256_of(path), path.stat().st_size, {})
