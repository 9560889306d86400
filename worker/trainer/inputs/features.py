"""The embeddings a job fits on: those it must have are made, further views are taken if cached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.core.modalities import IDLE, PRIMARY
from worker.trainer.attempt import Attempt
from worker.trainer.embedding_cache import Scope
from worker.trainer.inputs.embed_missing import embed, missing, scope_of
from worker.trainer.inputs.job_data import JobData
from worker.trainer.journal import Journal
from worker.trainer.tensor_process import EngineFacts

_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Features:
    """One view of some examples: segment files by id, and segment and row of every content."""

    segments: dict[str, str]
    places: dict[str, tuple[str, int]]

    def rows(self, examples: Sequence[Example]) -> dict[str, Any]:
        """As the tensor process reads it: files, and file number and row of every example."""
        number = {segment: index for index, segment in enumerate(self.segments)}
        places = [self.places[example.sha256] for example in examples]
        return {
            "segments": list(self.segments.values()),
            "segment": [number[segment] for segment, _ in places],
            "row": [row for _, row in places],
        }


def gather(attempt: Attempt, scope: Scope, examples: Sequence[Example]) -> Features | None:
    """Where a view of all the examples lies; None where one of them is not cached."""
    rows = {example.sha256: scope.row_of(example) for example in examples}
    wanted = set(rows.values())
    cached = attempt.context.cache.find(scope, wanted)
    if len(cached) < len(wanted):
        return None
    paths = attempt.context.cache.locate(scope, cached)
    if len(cached) < len(wanted):
        return None
    segments = {segment: str(path) for segment, path in paths.items()}
    places = {sha256: cached[row] for sha256, row in rows.items()}
    return Features(segments=segments, places=places)


class Gatherer:
    """Collects the views of one job, and counts the backbone passes that this took."""

    def __init__(
        self, attempt: Attempt, facts: EngineFacts, data: JobData, journal: Journal
    ) -> None:
        self._attempt = attempt
        self._facts = facts
        self._journal = journal
        self.data = data
        self.new = 0
        chosen = data.rows.job.hyperparameters.get("views", "auto")
        self._forced = list(chosen) if isinstance(chosen, list) else None

    def collect(self) -> dict[str, Features]:
        """Every view to fit on; `data` has lost the examples that could not be embedded."""
        primary = PRIMARY[self.data.modality]
        views = list(dict.fromkeys([primary, *(self._forced or [])]))
        features = self._required(views)
        if self._forced is None:
            features |= self._optional()
        return features

    def _required(self, views: Sequence[str]) -> dict[str, Features]:
        for _ in range(_TRIES):
            cached = {view: self._gather(view) for view in views}
            complete = {view: features for view, features in cached.items() if features}
            if len(complete) == len(cached):
                return complete
            for view in views:
                if cached[view] is None:
                    self._embed(view)
        raise HeadstartError("storage_unavailable", "embeddings vanish as fast as they are made")

    def _optional(self) -> dict[str, Features]:
        views = [view for view in IDLE[self.data.modality] if view in self._facts.keys]
        cached = {view: self._gather(view) for view in views}
        return {view: features for view, features in cached.items() if features}

    def _scope(self, view: str) -> Scope:
        return scope_of(self._facts, view, self._attempt.claim.organisation_id)

    def _gather(self, view: str) -> Features | None:
        return gather(self._attempt, self._scope(view), self.data.examples)

    def _embed(self, view: str) -> None:
        """Embed what the cache lacks of a view, chunk by chunk, each kept once it is done."""
        todo = missing(self._attempt, self._scope(view), self.data.examples)
        size = self._attempt.context.settings.embed_chunk
        for start in range(0, len(todo), size):
            self._embed_chunk(view, todo[start : start + size], start=start, total=len(todo))

    def _embed_chunk(self, view: str, chunk: list[Example], *, start: int, total: int) -> None:
        embedded = embed(
            self._attempt,
            self._facts,
            view=view,
            scope=self._scope(view),
            examples=chunk,
            progress=lambda n: self._journal.stage("embedding", done=start + n, total=total),
        )
        segment = embedded.segment
        if segment is not None:
            self.new += len(segment.sha256s)
            cache = self._attempt.context.cache
            self._attempt.commit(lambda session: cache.index(session, segment))
        if embedded.faults:
            self.data = self.data.without(set(embedded.faults))
