"""How long a job will take, by what jobs of its kind took on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from sqlalchemy.orm import Session

from app.core import hyperparameters
from app.infra.orm import DatasetVersionRow, JobRow
from app.infra.repositories import job_queries, versions
from app.infra.repositories.job_queries import Measured

GROWTH = 0.82
"""A fit of twice as many examples takes 2 to this as long (benchmarks/results/training.json)."""
_FEWEST = 100
"""Fewer examples take no less time."""
_CLASSES = {"image": 300, "text": 80}
"""Of so many classes more a fit takes about once more what it takes of few
(benchmarks/results/many_classes.json)."""
_ELSEWHERE = {
    ("auto", "image"): Measured(seconds=0.18, examples=100, classes=5),
    ("auto", "text"): Measured(seconds=4.47, examples=1000, classes=77),
}
"""On the two cores of benchmarks/results/training.json."""


@dataclass(frozen=True)
class Estimate:
    """Seconds from a job's start to its end; `here` if they were measured on this machine."""

    seconds: float
    here: bool

    @property
    def said(self) -> str:
        """As a job's first event tells it."""
        about = f"about {max(1, round(self.seconds)):,} s"
        if self.here:
            return f"{about}, as such jobs took here"
        return f"{about} on a machine of two cores; no such job has ended here yet"


def estimate(
    session: Session, job: JobRow, version: DatasetVersionRow, *, modality: str
) -> Estimate | None:
    """What the job will take; None where nothing of the kind was measured.

    Of a dataset that is still processing, what is left of it comes before.
    """
    deeper = hyperparameters.tries_deeper(job.hyperparameters)
    past = job_queries.durations(session, method=job.method, backbone=job.backbone, deeper=deeper)
    known = None if deeper else _ELSEWHERE.get((job.method, modality))
    measured = past or ([known] if known else [])
    if not measured:
        return None
    scaled = [_scaled(one, version, _CLASSES[modality]) for one in measured]
    return Estimate(median(scaled) + _left(session, version), here=bool(past))


def _left(session: Session, version: DatasetVersionRow) -> float:
    """Seconds until a version that is processing will be ready, by how long others took."""
    if version.status != "processing":
        return 0.0
    rates = versions.seconds_an_example(session, version.backbone)
    return median(rates) * version.num_examples if rates else 0.0


def _scaled(one: Measured, wanted: DatasetVersionRow, from_classes: int) -> float:
    """Seconds for as many examples and classes as a version has."""
    examples = max(wanted.num_examples, _FEWEST) / max(one.examples, _FEWEST)
    classes = (from_classes + len(wanted.classes)) / (from_classes + one.classes)
    return float(one.seconds * examples**GROWTH * classes)
