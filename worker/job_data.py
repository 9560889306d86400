"""What a job is fitted on: the examples of its versions, split, labelled and grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.manifest import Example, Modality
from app.infra.orm import DatasetRow, DatasetVersionRow, JobRow
from app.infra.repositories import versions
from app.infra.repositories.work import LostClaimError
from worker.attempt import Attempt


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one job."""

    job: JobRow
    dataset: DatasetRow
    version: DatasetVersionRow
    validation: DatasetVersionRow | None


@dataclass(frozen=True, kw_only=True)
class JobData:
    """The examples of one job; `classes` are the labels of `train`, sorted."""

    rows: Rows
    train: list[Example]
    validation: list[Example]
    classes: list[str]
    warnings: list[str] = field(default_factory=list)

    @property
    def modality(self) -> Modality:
        """image or text."""
        return "text" if self.rows.dataset.modality == "text" else "image"

    @property
    def examples(self) -> list[Example]:
        """Everything that must be embedded."""
        return [*self.train, *self.validation]

    def without(self, contents: set[str]) -> JobData:
        """The same without examples whose content (sha256) turned out not to be usable."""
        return assemble(
            self.rows,
            [example for example in self.train if example.sha256 not in contents],
            [example for example in self.validation if example.sha256 not in contents],
        )


def load(attempt: Attempt) -> JobData:
    """Read the rows and manifests. Raises LostClaimError or dataset_failed where they are gone."""
    rows = attempt.read(lambda session: _rows(session, attempt))
    usable = _usable(attempt, rows.version)
    held_out = (
        _usable(attempt, rows.validation)
        if rows.validation is not None
        else _split(usable, "val") or _split(usable, "test")
    )
    return assemble(rows, _split(usable, "train"), held_out)


def _rows(session: Session, attempt: Attempt) -> Rows:
    job = session.get(JobRow, attempt.claim.job_id)
    if job is None:
        raise LostClaimError(attempt.claim.id)
    version = _version(session, job.version_id)
    dataset = session.get_one(DatasetRow, version.dataset_id)
    held_out = job.validation_version_id
    validation = _version(session, held_out) if held_out is not None else None
    return Rows(job=job, dataset=dataset, version=version, validation=validation)


def _version(session: Session, version_id: str) -> DatasetVersionRow:
    version = session.get(DatasetVersionRow, version_id)
    if version is None:
        raise HeadstartError("dataset_failed", "the dataset was deleted")
    return version


def _usable(attempt: Attempt, version: DatasetVersionRow) -> list[Example]:
    return manifest.usable(attempt.examples(version), versions.problems_of(version))


def _split(examples: Sequence[Example], split: str) -> list[Example]:
    return [example for example in examples if example.split == split]


def assemble(rows: Rows, train: list[Example], held_out: Sequence[Example]) -> JobData:
    """Leave out held-out examples that nothing could get right, and say so."""
    classes = sorted({example.label for example in train})
    validation = [example for example in held_out if example.label in set(classes)]
    warnings = []
    if len(validation) < len(held_out):
        unknown = sorted({example.label for example in held_out} - set(classes))
        warnings.append(
            f"{len(held_out) - len(validation)} held-out examples are of classes without a"
            f" training example and are not used: {', '.join(unknown[:10])}"
        )
    return JobData(
        rows=rows, train=train, validation=validation, classes=classes, warnings=warnings
    )


def labels(examples: Sequence[Example], classes: Sequence[str]) -> dict[str, Any]:
    """Labels as places in `classes`; groups as numbers: equal contents and named groups belong
    together, every other example is alone.
    """
    place = {label: index for index, label in enumerate(classes)}
    groups: dict[str, int] = {}
    names = [f"group {e.group}" if e.group is not None else f"content {e.sha256}" for e in examples]
    return {
        "ids": [example.id for example in examples],
        "labels": [place[example.label] for example in examples],
        "groups": [groups.setdefault(name, len(groups)) for name in names],
        "classes": list(classes),
    }
