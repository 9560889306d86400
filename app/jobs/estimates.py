"""How long a job will take, by what jobs of its kind took on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from sqlalchemy.orm import Session

from app.core import hyperparameters
from app.infra.orm import DatasetVersionRow, JobRow
from app.infra.repositories import job_queries, versions

GROWTH = 0.82
"""A fit of twice as many examples takes 2 to this as long (benchmarks/results/training.json)."""
_FEWEST = 100
"""Fewer examples take no less time."""
_ELSEWHERE = {("auto", "image"): (0.18, 100), ("auto", "text"): (4.47, 1000)}
"""Seconds and examples on the two cores of benchmarks/results/training.json."""


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
    here = [_scaled(seconds, of, version.num_examples) for seconds, of in past]
    known = None if deeper else _ELSEWHERE.get((job.method, modality))
    if here:
        fit = Estimate(median(here), here=True)
    elif known is not None:
        fit = Estimate(_scaled(*known, version.num_examples), here=False)
    else:
        return None
    return Estimate(fit.seconds + _left(session, version), fit.here)


def _left(session: Session, version: DatasetVersionRow) -> float:
    """Seconds until a version that is processing will be ready, by how long others took."""
    if version.status != "processing":
        return 0.0
    rates = versions.seconds_an_example(session, version.backbone)
    return median(rates) * version.num_examples if rates else 0.0


def _scaled(seconds: float, examples: int, wanted: int) -> float:
    ratio = max(wanted, _FEWEST) / max(examples, _FEWEST)
    return float(seconds * ratio**GROWTH)
