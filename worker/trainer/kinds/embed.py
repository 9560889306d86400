"""A chunk of a version's examples through one view of one backbone.

The pass of the primary view over a version that is still processing also decides it: examples that
cannot be decoded become excluded problems, and the last chunk makes the version ready or failed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.backbones import JOINT, BackboneSpec, member_names
from app.core.errors import HeadstartError
from app.core.manifest import Example, Problem
from app.core.modalities import MODALITIES, PRIMARY
from app.infra.auto_backbone import further
from app.infra.orm import DatasetVersionRow, JobRow
from app.infra.repositories import jobs, versions, work
from app.infra.repositories.jobs import WAITING
from app.infra.repositories.work import Claim, LostClaimError
from worker.trainer.attempt import Attempt
from worker.trainer.idle import further_views
from worker.trainer.inputs import long_texts, near_copies, unread_texts
from worker.trainer.inputs.embed_missing import Embedded, embed, missing, scope_of
from worker.trainer.inputs.near_copies import NearCopies
from worker.trainer.inputs.pixel_scale import pixel_scale
from worker.trainer.tensor_process import EngineFacts

_PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class EmbedChunk:
    """What a claim of kind `embed` asks for."""

    version: DatasetVersionRow
    view: str
    start: int
    stop: int
    examples: Sequence[Example]
    decides: bool


def run(attempt: Attempt) -> None:
    """Embed the chunk, and commit what came of it under the fence."""
    chunk = _chunk_of(attempt)
    facts = attempt.engine(_backbone(attempt.claim))
    facts = facts.reading(pixel_scale(attempt, chunk.version, facts))
    scope = scope_of(facts, chunk.view, attempt.claim.organisation_id)
    wanted = missing(attempt, scope, chunk.examples)
    progress = _Progress(attempt, chunk, cached=len(chunk.examples) - len(wanted))
    embedded = embed(
        attempt,
        facts,
        view=chunk.view,
        scope=scope,
        examples=wanted,
        progress=progress.report if chunk.view in PRIMARY.values() else None,
    )

    left = _left(attempt, chunk, embedded)
    cut = long_texts.cut(attempt, facts, left.seen) if chunk.decides else []
    strange = unread_texts.unread(attempt, facts, left.seen) if chunk.decides else []
    examples = _whole_version(attempt, chunk)
    found = _near_copies(attempt, facts, chunk, left, examples)
    beside = _beside(attempt, facts) if chunk.decides else []

    def conclude(session: Session) -> None:
        if cut:
            long_texts.tell(versions.lock_version(session, chunk.version.id), facts, cut)
        if strange:
            unread_texts.tell(versions.lock_version(session, chunk.version.id), facts, strange)
        decided = _conclude(session, attempt, chunk, left, progress.reported)
        if decided is not None:
            if examples is None:
                raise _LastAfterAllError
            if found is not None:
                found.note(decided)
            usable = _finish(session, decided, examples)
            if usable:
                further_views.add(
                    session, decided, facts, examples=examples, usable=usable, beside=beside
                )

    try:
        attempt.commit(conclude)
    except _LastAfterAllError:
        examples = attempt.examples(chunk.version)
        found = _near_copies(attempt, facts, chunk, left, examples)
        attempt.commit(conclude)
    attempt.context.cache.evict()


class _LastAfterAllError(Exception):
    """The other chunks have ended since it was looked: read the manifest, and conclude again."""


def _whole_version(attempt: Attempt, chunk: EmbedChunk) -> list[Example] | None:
    """The version's examples if this is its last chunk: they take long to read, and a transaction
    would hold up every other writer meanwhile.
    """
    claim = attempt.claim
    last = chunk.decides and attempt.read(
        lambda session: versions.is_last_chunk(session, chunk.version, claim.id)
    )
    return attempt.examples(chunk.version) if last else None


def _near_copies(
    attempt: Attempt,
    facts: EngineFacts,
    chunk: EmbedChunk,
    left: _Left,
    examples: Sequence[Example] | None,
) -> NearCopies | None:
    """What the last chunk's worker finds in the whole version, this chunk's rows among it."""
    if examples is None or left.start is not None:
        return None
    _index(attempt, left)
    known = attempt.read(lambda session: versions.problems_by_id(session, chunk.version.id))
    usable = manifest.usable(examples, [*known, *_problems(left.seen, left.embedded)])
    return near_copies.look(attempt, facts, usable)


def _index(attempt: Attempt, left: _Left) -> None:
    """Make the chunk's own rows findable before it is concluded."""
    segment = left.embedded.segment
    if segment is not None and not left.indexed:
        attempt.commit(lambda session: attempt.context.cache.index(session, segment))
        left.indexed = True


def _backbone(claim: Claim) -> str:
    assert claim.backbone is not None
    return claim.backbone


def _chunk_of(attempt: Attempt) -> EmbedChunk:
    """Read the version and the manifest's lines; of a ready version, only usable examples."""
    claim = attempt.claim
    version = attempt.read(lambda session: session.get(DatasetVersionRow, claim.version_id))
    if version is None:
        raise LostClaimError(claim.id)
    start, stop = int(claim.payload["start"]), int(claim.payload["stop"])
    examples: Sequence[Example] = attempt.chunk(version, start, stop)
    examples = manifest.usable(examples, versions.problems_of(version))
    decides = (
        version.status == "processing"
        and claim.priority == 0
        and claim.backbone == version.backbone
        and claim.payload["view"] in PRIMARY.values()
    )
    return EmbedChunk(
        version=version,
        view=claim.payload["view"],
        start=start,
        stop=stop,
        examples=examples,
        decides=decides,
    )


@dataclass(kw_only=True)
class _Left:
    """What a pass leaves to be written down: of `seen`, and from manifest line `start` on;
    `indexed` says that its segment is already."""

    embedded: Embedded
    seen: Sequence[Example]
    start: int | None
    indexed: bool = False


def _left(attempt: Attempt, chunk: EmbedChunk, embedded: Embedded) -> _Left:
    unseen = (i for i, e in enumerate(chunk.examples) if e.sha256 in embedded.left)
    rest = next(unseen, None)
    start = None if rest is None else chunk.start + _position(attempt, chunk, rest)
    return _Left(embedded=embedded, seen=chunk.examples[:rest], start=start)


def _conclude(
    session: Session, attempt: Attempt, chunk: EmbedChunk, left: _Left, reported: int
) -> DatasetVersionRow | None:
    """Everything the chunk changes, in one transaction; unfinished rest goes back uncharged.

    Answers the locked version that has now been seen as a whole, if it has.
    """
    claim, embedded, seen = attempt.claim, left.embedded, left.seen
    if embedded.segment is not None and not left.indexed:
        attempt.context.cache.index(session, embedded.segment)
    if chunk.decides:
        version = versions.lock_version(session, chunk.version.id)
        versions.add_problems(version, _problems(seen, embedded))
    new = 0 if embedded.segment is None else len(embedded.segment.sha256s)
    if chunk.view in PRIMARY.values():
        _note_progress(session, chunk, claim, done=len(seen) - reported, new=new)
    if left.start is not None:
        work.give_back(session, claim, payload={**claim.payload, "start": left.start})
        return None
    work.finish(session, claim)
    decided = chunk.decides and versions.is_last_chunk(session, version, claim.id)
    return version if decided else None


def _position(attempt: Attempt, chunk: EmbedChunk, rest: int) -> int:
    """The place in the chunk's manifest lines of its usable example number `rest`."""
    first = chunk.examples[rest].id
    lines = attempt.chunk(chunk.version, chunk.start, chunk.stop)
    return next(index for index, example in enumerate(lines) if example.id == first)


def _problems(examples: Sequence[Example], embedded: Embedded) -> list[Problem]:
    return [
        Problem(
            code=embedded.faults[example.sha256].code,
            message=embedded.faults[example.sha256].message,
            path=example.path,
            example_id=example.id,
            excluded=True,
        )
        for example in examples
        if example.sha256 in embedded.faults
    ]


def _finish(
    session: Session, version: DatasetVersionRow, examples: Sequence[Example]
) -> list[Example]:
    """The last chunk: the version is ready with what is answered, or failed without any."""
    usable = versions.finish_version(session, version, examples)
    if usable:
        further_views.withdraw_older(session, version)
    return usable


def _beside(attempt: Attempt, facts: EngineFacts) -> list[BackboneSpec]:
    """The further backbones of `auto`, which idle time embeds, too."""
    modality = MODALITIES[facts.modality].name
    return further(modality, attempt.context.settings, beside=facts.backbone)


class _Progress:
    """Tells the jobs that wait for this chunk how far it is, twice a second at most."""

    def __init__(self, attempt: Attempt, chunk: EmbedChunk, *, cached: int) -> None:
        self._attempt = attempt
        self._chunk = chunk
        self._cached = cached
        self._last = time.monotonic()
        self.reported = 0

    def report(self, embedded: int) -> None:
        """`embedded` contents of the chunk are done."""
        if time.monotonic() - self._last < _PROGRESS_SECONDS:
            return
        self._last = time.monotonic()
        done = self._cached + embedded
        new, self.reported = done - self.reported, done
        self._attempt.commit(
            lambda session: _note_progress(
                session, self._chunk, self._attempt.claim, done=new, new=0
            )
        )


def _note_progress(
    session: Session, chunk: EmbedChunk, claim: Claim, *, done: int, new: int
) -> None:
    """Add to the progress and the count of backbone passes of every job that waits for these."""
    for job in _waiting_jobs(session, chunk.version.id, _backbone(claim)):
        before = job.progress or {}
        parts = len(member_names(job.backbone))
        total = before.get("total") or chunk.version.num_examples * parts
        passes = before.get("embedding", {}).get("new", 0) + new
        job.progress = {
            "stage": "embedding",
            "done": min(total, before.get("done", 0) + done),
            "total": total,
            "embedding": {"new": passes},
        }


def _waiting_jobs(session: Session, version_id: str, backbone: str) -> list[JobRow]:
    statement = select(JobRow.id).where(
        or_(JobRow.version_id == version_id, JobRow.validation_version_id == version_id),
        or_(JobRow.backbone == backbone, JobRow.backbone.contains(JOINT)),
        JobRow.status.in_(WAITING),
    )
    ids = sorted(session.scalars(statement))
    work.lock_jobs(session, ids)
    locked = [jobs.lock_job(session, job_id) for job_id in ids]
    return [job for job in locked if job.status in WAITING and _reads(job, backbone)]


def _reads(job: JobRow, backbone: str) -> bool:
    """Whether the job's examples go through a backbone, alone or among several."""
    return backbone == job.backbone or backbone in member_names(job.backbone)


def say_queued(session: Session, claim: Claim, why: str, *, quiet: bool) -> None:
    """Tell the jobs that wait for the chunk, unless `quiet`, why it waits again: once for a reason
    that all chunks have. The dataset has it of its work (`waits_for`).
    """
    if quiet or claim.priority != 0:
        return
    told = f"Its examples wait to be embedded: {why}"
    for job in _waiting_jobs(session, str(claim.version_id), _backbone(claim)):
        if jobs.last_said(session, job) != told:
            jobs.add_event(session, job.id, told, level="warn")


def waits_for_room(session: Session, claim: Claim, error: HeadstartError) -> bool:
    """Whether the chunk makes an accepted dataset ready, which is then kept until there is room.

    The jobs that wait for it fail: whoever asked for one is told, and begins it again for little.
    """
    version = session.get(DatasetVersionRow, claim.version_id)
    if version is None or claim.priority != 0 or claim.backbone != version.backbone:
        return False
    if version.status != "processing":
        return False
    work.hold(session, claim)
    told = HeadstartError(error.code, f"its examples found no room to be embedded: {error.message}")
    for job in _waiting_jobs(session, version.id, version.backbone):
        work.withdraw(session, job_id=job.id, state="failed")
        jobs.advance_job(session, job, "failed", error=told)
    return True


def fail(session: Session, claim: Claim, error: HeadstartError) -> None:
    """End the chunk for good: without the pass that decides it, its version fails too."""
    work.lock_version(session, str(claim.version_id))
    work.fail(session, claim, error)
    version = session.get(DatasetVersionRow, claim.version_id)
    if version is None or claim.priority != 0 or claim.backbone != version.backbone:
        return
    version = versions.lock_version(session, version.id)
    if version.status == "processing":
        versions.fail_version(session, version, error)
