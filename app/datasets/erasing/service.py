"""Erase examples from every version of a dataset, and from what was made of them.

All files are written anew first. One transaction then has the rows name them, and begins a deletion
of the former ones, which ends as any deletion does (ADR 44, 64): here, or by a trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.promotion import spending
from app.datasets.erasing import answers, elsewhere, heads, rewriting, selecting
from app.datasets.erasing.answers import Copied, Redrawn
from app.datasets.erasing.heads import Learned, Revised
from app.datasets.erasing.marks import marker
from app.datasets.erasing.rewriting import NewPack, Shrunk
from app.datasets.erasing.schemas import Erasure, ModelsChoice, NewErasure, erasure_of
from app.datasets.erasing.selecting import Found
from app.datasets.erasing.turn import ErasureTurn, taking
from app.http.dependencies import Services, written
from app.infra import storage_keys
from app.infra.database import now, reading
from app.infra.orm import BatchPartRow, DatasetVersionRow, ExampleErasureRow, ModelRow
from app.infra.repositories import (
    aliases,
    batches,
    datasets,
    deletions,
    erasing,
    erasures,
    exports,
    models,
)
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.live import erased as live
from app.infra.repositories.live import forgetting, log
from app.infra.storage import scratch, staging
from app.uploads import blobs, deleting

_TRIES = 8
OBJECT = "examples"
"""What a deletion is of; its subject's id is the dataset's."""
Done = Callable[[Session, str], str]
"""What a request's key makes of the erasure's id, in the erasure's transaction."""


class _ChangedError(Exception):
    """Something is not what was read any more: read it again."""


@dataclass(frozen=True, kw_only=True)
class _ErasurePlan:
    """What was read, and what is to become of it."""

    dataset_id: str
    organisation_id: str
    versions: Sequence[DatasetVersionRow]
    found: Found
    learned: Sequence[Learned]
    parts: Sequence[tuple[str, BatchPartRow]]
    written: live.Written
    elsewhere: Sequence[dict[str, Any]]
    marks: Sequence[str]
    models: ModelsChoice

    @property
    def manifests(self) -> dict[str, str]:
        return {one.id: one.manifest_sha256 for one in self.versions}

    @property
    def doomed(self) -> list[Learned]:
        """The models that go."""
        return [one for one in self.learned if one.trained_on and self.models == "delete"]

    @property
    def staying(self) -> list[Learned]:
        gone = {one.row.id for one in self.doomed}
        return [one for one in self.learned if one.row.id not in gone]


@dataclass(frozen=True, kw_only=True)
class _Drafts:
    """What takes the place of what is there, as files."""

    packs: Mapping[str, NewPack | None]
    versions: Sequence[Shrunk]
    revised: Mapping[str, Revised]
    parts: Sequence[Redrawn]
    copied: Mapping[str, Copied]
    doomed: Path
    """A list of the erased contents, by which their embeddings are forgotten."""

    def files(self, organisation_id: str) -> dict[str, Path]:
        packs = [one for one in self.packs.values() if one is not None]
        listed = [*(one.listing for one in self.versions), self.doomed]
        return {
            **{storage_keys.pack(organisation_id, one.name): one.path for one in packs},
            **{storage_keys.manifest(organisation_id, one.name): one for one in listed},
            **{key: path for one in self.revised.values() for key, path in one.files.items()},
            **{one.key: one.path for one in self.parts},
            **{one.key: one.path for one in self.copied.values()},
        }


def erase(
    services: Services, dataset_id: str, asked: NewErasure, *, organisation_id: str, done: Done
) -> str:
    """Erase the examples that are named, and answer what `done` makes of it; blocks.

    Raises not_found, in_use, model_holds_example, in_flight, and what a store or a key that is
    away raises.
    """
    with taking(services, dataset_id, organisation_id) as turn:
        told = _tried(services, dataset_id, asked, organisation_id, done=done, turn=turn)
    services.resolver.forget()
    deleting.finish(services, organisation_id)
    return told


def _tried(
    services: Services,
    dataset_id: str,
    asked: NewErasure,
    organisation_id: str,
    *,
    done: Done,
    turn: ErasureTurn,
) -> str:
    for _ in range(_TRIES):
        with scratch(staging(services.settings)) as folder:
            try:
                with _unless_deleted(services, dataset_id, organisation_id):
                    plan = _planned(services, dataset_id, asked, organisation_id)
                    drafts = _drafted(services, plan, folder)
                return _replace(services, plan, drafts, done)
            except _ChangedError:
                turn.take()
            except HeadstartError as error:
                if error.code != "in_use" or not turn.is_refused_no_more():
                    raise
    raise HeadstartError("in_flight", "the dataset keeps changing; try again", retry_after=1)


@contextmanager
def _unless_deleted(services: Services, dataset_id: str, organisation_id: str) -> Iterator[None]:
    """Raises not_found where files could not be read since the dataset was deleted meanwhile."""
    try:
        yield
    except HeadstartError:
        with reading(services.sessions) as session:
            datasets.get(session, dataset_id, organisation_id=organisation_id)
        raise


def _replace(services: Services, plan: _ErasurePlan, drafts: _Drafts, done: Done) -> str:
    """Have what was drafted take the place of what is there. Raises _ChangedError, in_use, …"""

    def step(session: Session) -> str:
        told = _committed(session, plan, drafts, done)
        hold.release(session)
        return told

    with blobs.stored(services, drafts.files(plan.organisation_id)) as hold:
        return written(services, step)


def get(session: Session, erasure_id: str, *, dataset_id: str, organisation_id: str) -> Erasure:
    """One erasure, and how far it is. Raises not_found."""
    row = erasing.get(session, erasure_id, dataset_id=dataset_id, organisation_id=organisation_id)
    return told_of(session, row)


def told_of(session: Session, row: ExampleErasureRow) -> Erasure:
    """The erasure, with its deletion as long as that is remembered."""
    try:
        deletion = deletions.get(session, row.deletion_id, organisation_id=row.organisation_id)
    except HeadstartError:
        return erasure_of(row, None)
    return erasure_of(row, deleting.deletion_of(session, deletion))


def _planned(
    services: Services, dataset_id: str, asked: NewErasure, organisation_id: str
) -> _ErasurePlan:
    with reading(services.sessions) as session:
        datasets.get(session, dataset_id, organisation_id=organisation_id)
        versions = erasing.versions(session, dataset_id, organisation_id=organisation_id)
        erasing.refuse_if_used(session, versions, organisation_id=organisation_id)
    found = selecting.find(services, versions, asked.wanted)
    ids = list(found.gone)
    with reading(services.sessions) as session:
        made = erasing.models_of(session, ids, organisation_id=organisation_id)
        parts = erasing.parts_over(session, ids, organisation_id=organisation_id)
        written = live.find(session, found.sha256s, organisation_id=organisation_id)
    others = elsewhere.having(
        services, found.sha256s, dataset_id=dataset_id, organisation_id=organisation_id
    )
    mark = marker(services, dataset_id, organisation_id=organisation_id)
    plan = _ErasurePlan(
        dataset_id=dataset_id,
        organisation_id=organisation_id,
        versions=versions,
        found=found,
        learned=heads.learned(made, versions, found),
        parts=parts,
        written=written,
        elsewhere=others,
        marks=mark.all_of(found.contents),
        models=asked.models,
    )
    _refuse_holding(plan)
    return plan


def _refuse_holding(plan: _ErasurePlan) -> None:
    """Raises model_holds_example."""
    holding = [one.row.id for one in plan.staying if one.holds]
    if holding:
        why = (
            f"the model {holding[0]} is made of its examples themselves, and cannot be kept without"
            f" one ({len(holding)} such model(s)): delete it, or say models: delete"
        )
        raise HeadstartError("model_holds_example", why, param="models")


def _drafted(services: Services, plan: _ErasurePlan, folder: Path) -> _Drafts:
    whose, found, storage = plan.organisation_id, plan.found, services.storage
    rewritten = selecting.to_rewrite(services, whose, plan.versions, found)
    packs = {
        pack: rewriting.repacked(blobs.open_pack(services, whose, pack), slots, folder)
        for pack, slots in rewritten.items()
    }
    versions = [
        one
        for version in plan.versions
        if (one := rewriting.shrunk(services, version, found, packs, folder)) is not None
    ]
    revised = {
        one.row.id: files
        for one in plan.staying
        if (files := heads.revised(services, one.row, found.ids, folder)) is not None
    }
    return _Drafts(
        packs=packs,
        versions=versions,
        revised=revised,
        parts=answers.redrawn(storage, whose, plan.parts, found.ids, folder),
        copied=answers.copied(storage, whose, plan.written, folder),
        doomed=rewriting.listed(found.sha256s, folder),
    )


def _committed(session: Session, plan: _ErasurePlan, drafts: _Drafts, done: Done) -> str:
    """All of it in the caller's transaction. Raises _ChangedError, in_use, …"""
    whose, receipt = plan.organisation_id, new_id(erasing.PREFIX)
    told = done(session, receipt)  # first: of two requests with one key the second waits here
    dataset = datasets.lock(session, plan.dataset_id, organisation_id=whose)
    locked = erasing.versions(session, dataset.id, organisation_id=whose, lock=True)
    if {one.id: one.manifest_sha256 for one in locked} != plan.manifests:
        raise _ChangedError
    erasing.refuse_if_used(session, locked, organisation_id=whose)
    aliases.lock_all(session, organisation_id=whose)  # who writes to a log has ended, or sees this
    dataset.erasures, dataset.erasing_until = dataset.erasures + 1, None
    former = _shrink(session, plan, drafts, {one.id: one for one in locked})
    counts, files = _settle_models(session, plan, drafts)
    former += files
    former += _settle_batches(session, drafts, organisation_id=whose)
    live_counts, files = _settle_live(session, plan, drafts)
    former += files
    gone = sum(map(len, plan.found.gone.values()))
    doomed = Doomed(
        object=OBJECT,
        id=dataset.id,
        removed={"examples": gone, **counts, **live_counts},
        files=former,
    )
    deletion_id = deletions.begin(session, doomed, organisation_id=whose)
    erasures.add(session, [drafts.doomed.name], organisation_id=whose, deletion_id=deletion_id)
    _write_receipt(session, plan, receipt, deletion_id)
    session.flush()
    return told


def _write_receipt(session: Session, plan: _ErasurePlan, receipt: str, deletion_id: str) -> None:
    found, kept = plan.found, {one.row.id for one in plan.staying}
    row = ExampleErasureRow(
        id=receipt,
        organisation_id=plan.organisation_id,
        dataset_id=plan.dataset_id,
        deletion_id=deletion_id,
        contents=len(found.contents),
        versions=[
            {"version": one.number, "erased": len(found.gone[one.id])}
            for one in plan.versions
            if one.id in found.gone
        ],
        models=[one.told(kept=one.row.id in kept) for one in plan.learned],
        elsewhere=list(plan.elsewhere),
        marks=list(plan.marks),
        created_at=now(session),
    )
    session.add(row)


def _shrink(
    session: Session, plan: _ErasurePlan, drafts: _Drafts, locked: Mapping[str, DatasetVersionRow]
) -> list[str]:
    """Have the versions' rows say what is left; the files that they name no more."""
    whose = plan.organisation_id
    former = [storage_keys.pack(whose, pack) for pack in drafts.packs]
    for one in drafts.versions:
        row = locked[one.version_id]
        former.append(storage_keys.manifest(whose, row.manifest_sha256))
        row.manifest_sha256, row.packs = one.new.manifest_sha256, list(one.new.packs)
        row.num_examples, row.negatives = one.new.num_examples, one.new.negatives
        row.classes = list(one.new.classes)
        row.problems = [problem.model_dump() for problem in one.new.problems]
        row.near_duplicates = one.near_duplicates
        if one.gone:
            row.erased += one.gone
            row.erased_at = now(session)
            erasing.shift_embedding(session, row, gone=one.gone, left=one.new.entries)
    session.flush()
    return former


def _settle_models(
    session: Session, plan: _ErasurePlan, drafts: _Drafts
) -> tuple[dict[str, int], list[str]]:
    """Delete the models that go, and have the rows of others name their new files."""
    whose, former, counts = plan.organisation_id, list[str](), dict[str, int]()
    ids = [one.row.id for one in plan.learned]
    rows = erasing.lock_models(session, ids, organisation_id=whose)
    if any(rows.get(one.row.id) is None for one in plan.learned) or any(
        rows[one.row.id].artifact != one.row.artifact for one in plan.learned
    ):
        raise _ChangedError
    for one in plan.doomed:
        prefix = models.delete(session, organisation_id=whose, model_id=one.row.id)
        gone = forgetting.forget_model(session, organisation_id=whose, model_id=one.row.id)
        forgetting.leave_log(session, organisation_id=whose, model_id=one.row.id)
        former += [storage_keys.all_of_model(prefix), *gone.files]
        for name, count in {"models": 1, **gone.rows}.items():
            counts[name] = counts.get(name, 0) + count
    for one in plan.staying:
        row = rows[one.row.id]
        row.trained_on_erased += one.trained_on
        if one.row.id in drafts.revised:
            batches.refuse_if_used(session, model_id=row.id)
            exports.forget(session, row.artifact)
            former += one.former_files
            _name(row, drafts.revised[row.id])
    return counts, former


def _name(row: ModelRow, files: Revised) -> None:
    row.artifact, row.sha256, row.bytes = files.prefix, files.sha256, files.size
    row.card, row.evaluation = files.card, files.card["evaluation"]


def _settle_batches(session: Session, drafts: _Drafts, *, organisation_id: str) -> list[str]:
    """Have batches' rows name the results that were written anew."""
    former = []
    for one in drafts.parts:
        part = session.get(BatchPartRow, (one.batch_id, one.start), populate_existing=True)
        if part is None or part.key != one.former:
            raise _ChangedError
        row = batches.get(session, one.batch_id, organisation_id=organisation_id)
        row.failed += one.failed
        part.key, part.bytes, part.sha256 = one.key, one.size, one.sha256
        former.append(one.former)
    return former


def _settle_live(
    session: Session, plan: _ErasurePlan, drafts: _Drafts
) -> tuple[dict[str, int], list[str]]:
    """Delete what was written down of the erased inputs, and what alias's gates have asked."""
    whose, found = plan.organisation_id, plan.found
    again = live.find(session, found.sha256s, organisation_id=whose)
    if not again.rows <= plan.written.rows:
        raise _ChangedError
    for copied in drafts.copied.values():
        live.move(session, copied.key, copied.slices, organisation_id=whose)
    counts = live.remove(session, plan.written, organisation_id=whose)
    for row in live.worn(session, organisation_id=whose):
        marks = {spending.mark(row.alias, content) for content in found.contents}
        if not marks.isdisjoint(row.asked):
            row.asked = {name: times for name, times in row.asked.items() if name not in marks}
    session.flush()
    return counts, log.needless(session, plan.written.files)
