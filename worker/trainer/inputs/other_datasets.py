"""The organisation's other datasets on the same backbone: what a meta-learner learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.manifest import Example
from app.core.modalities import PRIMARY
from app.infra.orm import DatasetRow, DatasetVersionRow
from app.infra.repositories import versions
from worker.trainer.attempt import Attempt
from worker.trainer.inputs import job_data
from worker.trainer.inputs.features import gather
from worker.trainer.inputs.job_data import JobData
from worker.trainer.tensor_process import EngineFacts

MOST_DATASETS = 30
MOST_EXAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class OtherDatasets:
    """Other versions, and the same as the fit is told of them."""

    versions: list[DatasetVersionRow]
    described: list[dict[str, Any]]


NONE = OtherDatasets(versions=[], described=[])


def learned_from(attempt: Attempt, facts: EngineFacts, data: JobData) -> OtherDatasets:
    """The newest ready versions whose primary view is cached; nothing is embedded for it.

    Contents of the job itself are left out: what judges it must not have been learned from.
    """
    own = {example.content for example in data.examples}
    view = PRIMARY[data.modality]
    used, described = [], []
    for version in attempt.read(lambda session: _versions(session, data)):
        examples = [one for one in _examples(attempt, version) if one.content not in own]
        read = facts.reading(version.pixel_scale)
        features = gather(attempt, read, view, examples)
        if features is not None and examples:
            classes = sorted({example.label for example in examples})
            labelled = job_data.labels(examples, classes)
            used.append(version)
            described.append(labelled | {"views": {view: features.rows(examples)}})
    return OtherDatasets(versions=used, described=described)


def _versions(session: Session, data: JobData) -> list[DatasetVersionRow]:
    statement = (
        select(DatasetVersionRow)
        .join(DatasetRow, DatasetRow.id == DatasetVersionRow.dataset_id)
        .where(
            DatasetVersionRow.organisation_id == data.rows.job.organisation_id,
            DatasetVersionRow.number == DatasetRow.latest_version,
            DatasetVersionRow.status == "ready",
            DatasetVersionRow.num_examples <= MOST_EXAMPLES,
            DatasetRow.modality == data.modality,
            DatasetRow.label_mode == "single_label",
            DatasetRow.id != data.rows.dataset.id,
        )
        .order_by(DatasetVersionRow.created_at.desc())
    )
    return list(session.scalars(statement.limit(MOST_DATASETS)))


def _examples(attempt: Attempt, version: DatasetVersionRow) -> list[Example]:
    usable = manifest.usable(attempt.examples(version), versions.problems_of(version))
    return [example for example in usable if example.split == "train"]
