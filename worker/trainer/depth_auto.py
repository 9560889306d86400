"""Whether a job with `depth` "auto" tunes the network: enough examples, room, and time for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.core import hyperparameters
from app.core.errors import HeadstartError
from app.core.modalities import MODALITIES, Depth
from app.infra import weights
from worker.trainer import tuning
from worker.trainer.attempt import Attempt
from worker.trainer.inputs.features import Features, Gatherer
from worker.trainer.inputs.job_data import JobData
from worker.trainer.journal import Journal
from worker.trainer.tensor_process import EngineFacts

MAX_SECONDS = 600.0
FIT_SHARE = 0.8
"""Of what a fit may take at most: its frozen heads take a part, too."""
ENOUGH = 20
"""Examples of every class: the fewest that were measured (benchmarks/results/partial.json)."""
MOST_CRASHES = 2
"""Tries that may have ended the tensor process: the last that there is tunes nothing."""
TIMED_FROM = 3
"""Looks at the clock: before the first chunk, behind it, and behind the second."""
_IMPOSSIBLE = ("cut_unavailable", "fit_too_large")


@dataclass(frozen=True, kw_only=True)
class DepthPlan:
    """How deep a job tunes, on what beside its embeddings, and in which time; if not, why."""

    depth: Depth | None = None
    features: Mapping[str, Features] = field(default_factory=dict)
    budget: dict[str, float] | None = None
    not_tried: str = ""


class TryingClock:
    """Says whether activations and trainings still fit into the time that there is."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began, self.seconds = now, now(), seconds
        self.trainings, self.last_left = 0.0, 0
        self._marks: list[tuple[float, int]] = []

    @property
    def spent(self) -> float:
        """Seconds since it was started."""
        return self._now() - self._began

    def goes_on(self, left: int) -> bool:
        """Whether it does with so many passes left, at the pace behind the first chunk."""
        self._marks.append((self.spent, left))
        self.last_left = left
        return self.expected(left) <= self.seconds

    def expected(self, left: int) -> float:
        """Seconds in all."""
        passes = 0.0
        if len(self._marks) >= TIMED_FROM:
            since, before = self._marks[1]
            passes = (self.spent - since) / max(1, before - left) * left
        return self.spent + passes + self.trainings


def plan(
    attempt: Attempt, facts: EngineFacts, gatherer: Gatherer, journal: Journal
) -> DepthPlan | None:
    """What `depth` "auto" comes to; None where it was not asked for."""
    job = gatherer.data.rows.job
    if not hyperparameters.tries_deeper(job.hyperparameters):
        return None
    asked = job.hyperparameters.get("max_seconds", "auto")
    most = MAX_SECONDS if asked == "auto" else float(asked)
    clock = TryingClock(min(most, FIT_SHARE * attempt.context.settings.fit_seconds))
    try:
        found = _found(attempt, facts, gatherer, journal, clock)
    except HeadstartError as error:
        if error.code not in _IMPOSSIBLE:
            raise
        found = DepthPlan(not_tried=error.message)
    if found.depth is None:
        journal.say(f"Nothing deeper is tried: {found.not_tried}")
    return found


def _found(
    attempt: Attempt, facts: EngineFacts, gatherer: Gatherer, journal: Journal, clock: TryingClock
) -> DepthPlan:
    data = gatherer.data
    depth, why = _possible(attempt, data)
    if why:
        return DepthPlan(not_tried=why)
    begun = tuning.has_begun(attempt)
    if not begun:
        clock.trainings = tuning.seconds(attempt, facts, data, depth)
    if not begun and clock.expected(0) > clock.seconds:
        return DepthPlan(not_tried=_too_long(clock, depth))
    journal.say(
        f"Trying deeper ({depth}): its trainings take about {clock.trainings:.0f} of at most"
        f" {clock.seconds:.0f} s"
        if not begun
        else f"Trying deeper ({depth}) goes on"
    )
    features: Mapping[str, Features] | None = {}
    if depth == "partial":
        features = gatherer.activations(lambda left: begun or clock.goes_on(left))
    if features is None:
        return DepthPlan(not_tried=_too_long(clock, depth))
    budget = {"seconds": clock.seconds, "spent": round(clock.spent, 3)}
    return DepthPlan(depth=depth, features=features, budget=budget)


def _too_long(clock: TryingClock, depth: Depth) -> str:
    return (
        f"{depth} would take about {clock.expected(clock.last_left):.0f} s, and there are"
        f" {clock.seconds:.0f}"
    )


def _possible(attempt: Attempt, data: JobData) -> tuple[Depth, str]:
    """The depth to try, and what stands against it, if something does."""
    job = data.rows.job
    spec = weights.get(job.backbone, attempt.context.settings.weights_dir)
    depth = MODALITIES[data.modality].depths[0]
    least = _least(data)
    if job.hyperparameters.get("label_names") == "alone":
        return depth, "names alone decide"
    if depth not in spec.depths:
        why = "several backbones side by side" if spec.members else "not of a kind that is tuned"
        return depth, f"{spec.name} is {why}"
    if least < ENOUGH:
        return depth, f"a class has {least} examples, and {ENOUGH} of each are needed"
    if attempt.claim.crashes >= MOST_CRASHES:
        return depth, f"{attempt.claim.crashes} tries have ended the process that computes"
    return depth, ""


def _least(data: JobData) -> int:
    """Different examples of the class that has fewest."""
    counts = Counter(label for label, _ in {(one.label, one.content) for one in data.train})
    return min((counts[label] for label in data.classes), default=0)
