"""Which stored files somebody needs: all that rows name, and one key looked at by itself.

Who may still name a file (a hold, work under its fence) is asked for before the row that names it:
whoever is let go of in between has left its row to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app.core.job_state import TERMINAL
from app.infra import storage_keys
from app.infra.orm import (
    BatchPartRow,
    BatchRow,
    DatasetVersionRow,
    ErasureRow,
    FileRow,
    JobRow,
    ModelRow,
    RequestPieceRow,
    SegmentRow,
    UploadPartRow,
    WorkRow,
)
from app.infra.repositories import exports, holds
from app.infra.repositories.live import log
from app.infra.repositories.openai import request_batches

_FILES_BESIDE = ("held_out",)
"""The members of a card that describe a file beside it, `{file, sha256}`."""


def unnamed(session: Session, keys: Iterable[str]) -> set[str]:
    """Those of the keys that no row names; of them, somebody may still be about to name some."""
    needed = named(session)
    return {key for key in keys if key not in needed}


@dataclass(frozen=True)
class Named:
    """What rows name: files by their keys, models by their folders."""

    keys: frozenset[str]
    folders: frozenset[str]

    def __contains__(self, key: object) -> bool:
        return key in self.keys or str(key).rpartition("/")[0] in self.folders


def named(session: Session) -> Named:
    """All that rows name."""
    keys = {*_blobs(session), *_segments(session)}
    of = RequestPieceRow
    for column in (BatchPartRow.key, FileRow.key, UploadPartRow.key, of.answers, of.errors):
        keys.update(key for key in session.scalars(select(column)) if key is not None)
    keys.update(log.named(session), request_batches.begun(session))
    read = select(BatchRow.artifact).where(BatchRow.status.not_in(TERMINAL))
    folders = {*session.scalars(select(ModelRow.artifact)), *session.scalars(read)}
    return Named(frozenset(keys), frozenset(folders))


def required(session: Session, names: Named) -> frozenset[str]:
    """The keys of all files without which what rows name is not whole.

    Of a model's folder these are its head, its card, and what the card names: the held-out answers
    of one from before their hash was kept are named nowhere.
    """
    files = set(names.keys)
    for folder in names.folders:
        files.update(storage_keys.of_model(folder))
    for member in _FILES_BESIDE:
        named_in_card = ModelRow.card[(member, "file")].as_string()
        for folder, name in session.execute(select(ModelRow.artifact, named_in_card)):
            files.update(storage_keys.of_model(folder, [name] if name else []))
    return frozenset(files)


def _blobs(session: Session) -> Iterator[str]:
    """Packs and manifests of versions, and those that a batch will read.

    What a batch has uploaded goes once it has ended; its manifest says what to forget with it, as
    those of erasures do: a backup without them would be restored with what they are to forget.
    """
    of = DatasetVersionRow
    for row in session.execute(select(of.organisation_id, of.manifest_sha256, of.packs)):
        yield from _files(*row)
    for row in session.execute(select(ErasureRow.organisation_id, ErasureRow.manifest_sha256)):
        yield storage_keys.manifest(*row)
    one = BatchRow
    reads, own = one.status.not_in(TERMINAL), one.dataset_id.is_(None)
    versions = select(one.organisation_id, one.manifest_sha256, one.packs, reads)
    for organisation_id, manifest, packs, reading in session.execute(versions.where(reads | own)):
        yield from _files(organisation_id, manifest, packs if reading else [])


def _files(organisation_id: str, manifest: str, packs: Sequence[str]) -> Iterator[str]:
    yield storage_keys.manifest(organisation_id, manifest)
    yield from (storage_keys.pack(organisation_id, pack) for pack in packs)


def _segments(session: Session) -> Iterator[str]:
    for row in session.execute(select(SegmentRow.organisation_id, SegmentRow.key, SegmentRow.id)):
        yield storage_keys.segment(*row)


def is_needed(session: Session, key: str) -> bool:
    """Whether somebody needs this key now; if not, nobody ever will."""
    return _LOOKS[key.partition("/")[0]](session, key)


def _is_artifact_needed(session: Session, key: str) -> bool:
    """A model's file: its attempt runs, the model is registered, a batch reads it still, or it is
    about to be named; an export: it is kept.
    """
    folder = key.rpartition("/")[0]
    name, fence = key.split("/")[2:4]
    if fence.isdecimal() and _runs(
        session, WorkRow.job_id.in_([name, f"ftjob-{name}"]), int(fence)
    ):
        return True
    if session.scalars(select(ModelRow.id).where(ModelRow.artifact == folder).limit(1)).first():
        return True
    read = select(BatchRow.id).where(BatchRow.artifact == folder, BatchRow.status.not_in(TERMINAL))
    if session.scalars(read.limit(1)).first() or holds.is_held(session, key):
        return True
    return key in exports.kept(session)


def _runs(session: Session, whose: ColumnElement[bool], fence: int) -> bool:
    running = select(WorkRow.id).where(whose, WorkRow.fence == fence, WorkRow.state == "running")
    return session.scalars(running.limit(1)).first() is not None


def _is_result_needed(session: Session, key: str) -> bool:
    """A file of a batch's results: its chunk runs, or it is a part of them."""
    batch_id, name = key.split("/")[2:4]
    fence = name.partition(".")[0].rpartition("-")[2]
    if fence.isdecimal() and _runs(session, WorkRow.batch_id == batch_id, int(fence)):
        return True
    part = select(BatchPartRow.key).where(
        BatchPartRow.batch_id == batch_id, BatchPartRow.key == key
    )
    return session.scalars(part).first() is not None


def _is_segment_needed(session: Session, key: str) -> bool:
    segment_id = key.rpartition("/")[2].removesuffix(".npy")
    return (
        session.scalars(select(SegmentRow.id).where(SegmentRow.id == segment_id)).first()
        is not None
    )


def _is_file_needed(session: Session, key: str) -> bool:
    """A file or an upload's part: held until a row names it."""
    if holds.is_held(session, key):
        return True
    named = (select(of.id).where(of.key == key) for of in (FileRow, UploadPartRow))
    return any(session.scalars(one).first() is not None for one in named)


def _is_piece_needed(session: Session, key: str) -> bool:
    """What a piece of a batch of requests was answered: it is asked still, or a row names it, or
    what is left of the piece goes on from it.
    """
    work_id, name = key.split("/")[2:4]
    fence = name.partition("-")[0]
    if fence.isdecimal() and _runs(session, WorkRow.id == work_id, int(fence)):
        return True
    if key in request_batches.begun(session, work_id):
        return True
    of = RequestPieceRow
    named = select(of.batch_id).where(or_(of.answers == key, of.errors == key))
    return session.scalars(named.limit(1)).first() is not None


def _is_live_needed(session: Session, key: str) -> bool:
    """Inputs of predictions: held until a row names them."""
    return holds.is_held(session, key) or log.is_named(session, key)


def _is_tuning_needed(session: Session, key: str) -> bool:
    """What a job's try has kept: until the job has ended."""
    job = session.get(JobRow, key.split("/")[2])
    return job is not None and job.status not in TERMINAL


def _is_probe_needed(_session: Session, _key: str) -> bool:
    return False


_LOOKS = {
    storage_keys.PROBES: _is_probe_needed,
    storage_keys.TUNINGS: _is_tuning_needed,
    storage_keys.ARTIFACTS: _is_artifact_needed,
    storage_keys.RESULTS: _is_result_needed,
    storage_keys.SEGMENTS: _is_segment_needed,
    storage_keys.PIECES: _is_piece_needed,
    storage_keys.FILES: _is_file_needed,
    storage_keys.PARTS: _is_file_needed,
    storage_keys.LIVE: _is_live_needed,
    storage_keys.PACKS: holds.is_needed,
    storage_keys.MANIFESTS: holds.is_needed,
}

FOLDERS = tuple(folder for folder in _LOOKS if folder != storage_keys.PROBES)
"""The top folders of what is kept."""
