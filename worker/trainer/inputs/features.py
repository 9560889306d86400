"""The embeddings a job fits on: those it must have are made, further views are taken if cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core import hyperparameters
from app.core.errors import HeadstartError
from app.core.manifest import Example
from app.core.modalities import IDLE, PRIMARY, TUNED_VIEWS, is_mapped, mapped
from worker.trainer.attempt import Attempt
from worker.trainer.context import MadeWayError
from worker.trainer.embedding_cache import Scope
from worker.trainer.inputs.embed_missing import embed, missing, scope_of
from worker.trainer.inputs.job_data import JobData
from worker.trainer.journal import Journal
from worker.trainer.tensor_process import EngineFacts

_TRIES = 3
MAPPED_CHUNK = 200
"""Examples whose activations are made together: those of one are as large as ten embeddings."""


FIRST_CHUNKS = (16, 32)
"""Before those: in the first the network is written down, the second tells how long a pass is."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """One view of some examples: segment files by id, and segment and row of every content.

    `beside` are the same of further backbones, whose rows go on where these end.
    """

    segments: dict[str, str]
    places: dict[str, tuple[str, int]]
    beside: tuple[Features, ...] = ()

    @property
    def parts(self) -> tuple[Features, ...]:
        """Each backbone's."""
        return (self, *self.beside)

    @property
    def passes(self) -> int:
        """The backbone passes that are in it."""
        return sum(len(part.places) for part in self.parts)

    @property
    def read(self) -> set[str]:
        """The segments that hold it."""
        return {segment for part in self.parts for segment in part.segments}

    def rows(self, examples: Sequence[Example]) -> dict[str, Any]:
        """As the tensor process reads it: files, and file number and row of every example."""
        number = {segment: index for index, segment in enumerate(self.segments)}
        places = [self.places[example.sha256] for example in examples]
        told = {
            "segments": list(self.segments.values()),
            "segment": [number[segment] for segment, _ in places],
            "row": [row for _, row in places],
        }
        beside = [part.rows(examples) for part in self.beside]
        return told | {"beside": beside} if beside else told


def gather(
    attempt: Attempt, facts: EngineFacts, view: str, examples: Sequence[Example]
) -> Features | None:
    """Where a view of all the examples lies; None where one of them is not cached."""
    organisation_id = attempt.claim.organisation_id
    scopes = [scope_of(part, view, organisation_id) for part in facts.parts]
    gathered = [_gather_part(attempt, scope, examples) for scope in scopes]
    parts = [part for part in gathered if part is not None]
    return replace(parts[0], beside=tuple(parts[1:])) if len(parts) == len(scopes) else None


def _gather_part(attempt: Attempt, scope: Scope, examples: Sequence[Example]) -> Features | None:
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


@dataclass(frozen=True, kw_only=True)
class _PartChunk:
    """A chunk of what one backbone has to embed: from `start` of `total`."""

    facts: EngineFacts
    view: str
    scope: Scope
    start: int
    total: int


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
        depth = hyperparameters.METHODS[data.rows.job.method].depth
        self._maps = [mapped(view) for view in TUNED_VIEWS] if depth == "partial" else []
        self._forced = list(chosen) if isinstance(chosen, list) else None

    def collect(self) -> dict[str, Features]:
        """Every view to fit on; `data` has lost the examples that could not be embedded."""
        primary = PRIMARY[self.data.modality]
        views = list(dict.fromkeys([primary, *(self._forced or []), *self._maps]))
        features = self._required(views)
        if self._forced is None:
            features |= self._optional()
        return features

    def activations(self, goes_on: Callable[[int], bool]) -> dict[str, Features] | None:
        """Those of all views that a network is tuned on; None as soon as `goes_on`, told before
        each chunk how many passes are left, says no. What is made by then stays in the cache.
        """
        views, facts = [mapped(view) for view in TUNED_VIEWS], self._facts
        lacking = {view: self._lacking(facts, view) for view in views}
        left = sum(map(len, lacking.values()))
        for view, todo in lacking.items():
            for chunk in _chunks(todo):
                if not goes_on(left):
                    return None
                part = _PartChunk(
                    facts=facts, view=view, scope=self._scope(facts, view), start=0, total=left
                )
                self._embed_chunk(part, chunk)
                left -= len(chunk)
        return self._required(views)

    def _scope(self, facts: EngineFacts, view: str) -> Scope:
        return scope_of(facts, view, self._attempt.claim.organisation_id)

    def _lacking(self, facts: EngineFacts, view: str) -> list[Example]:
        """One example of each content whose view the cache lacks."""
        return missing(self._attempt, self._scope(facts, view), self.data.examples)

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

    def _gather(self, view: str) -> Features | None:
        return gather(self._attempt, self._facts, view, self.data.examples)

    def _embed(self, view: str) -> None:
        """Embed what the cache lacks of a view, chunk by chunk, each kept once it is done."""
        for facts in self._facts.parts:
            scope, todo = self._scope(facts, view), self._lacking(facts, view)
            size = self._attempt.context.settings.embed_chunk
            if is_mapped(view):
                size = min(size, MAPPED_CHUNK)
            for start in range(0, len(todo), size):
                part = _PartChunk(facts=facts, view=view, scope=scope, start=start, total=len(todo))
                self._embed_chunk(part, todo[start : start + size])

    def _embed_chunk(self, part: _PartChunk, chunk: list[Example]) -> None:
        start, total = part.start, part.total
        embedded = embed(
            self._attempt,
            part.facts,
            view=part.view,
            scope=part.scope,
            examples=chunk,
            progress=lambda n: self._journal.stage("embedding", done=start + n, total=total),
        )
        segment = embedded.segment
        if segment is not None:
            self.new += len(segment.sha256s)
            cache = self._attempt.context.cache
            self._attempt.commit(lambda session: cache.index(session, segment))
        if embedded.left:
            self._note_passes()
            raise MadeWayError
        if embedded.faults:
            self.data = self.data.without(set(embedded.faults))

    def _note_passes(self) -> None:
        """Have the next try know what this one has made for the job."""
        before = (self._journal.progress.get("embedding") or {}).get("new", 0)
        self._journal.progress["embedding"] = {"new": before + self.new}
        self._journal.flush()


def _chunks(todo: Sequence[Example]) -> Iterator[list[Example]]:
    """Small ones first."""
    sizes, start = iter(FIRST_CHUNKS), 0
    while start < len(todo):
        size = next(sizes, MAPPED_CHUNK)
        yield list(todo[start : start + size])
        start += size
