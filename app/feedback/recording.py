"""Writes drawn predictions down: beside the requests, some at once, embeddings included."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import random
from typing import Any

import structlog
from anyio import to_thread
from pydantic_core import from_json
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.core.ids import new_id
from app.core.image_formats.dicom import without_patient
from app.core.live.rule import DAY_SECONDS, PredictionLog
from app.core.live.vectors import halved
from app.core.messages import Call, Input, Options, Target
from app.core.modalities import MODALITIES
from app.datasets.erasing.marks import erased_since
from app.http.dependencies import Services, writing
from app.infra import erasure, storage_keys
from app.infra.database import now
from app.infra.orm import LoggedPredictionRow
from app.infra.repositories import quotas
from app.infra.repositories.live import drift
from app.infra.repositories.live import log as log_rows
from app.infra.repositories.live.buffer import LoggedCall, counted
from app.infra.repositories.live.drift import Watched
from app.infra.settings import Settings
from app.infra.storage import scratch, staging, storage_errors
from app.operations.tidying import repeated
from app.uploads import blobs

log = structlog.get_logger()
_PAUSE = 0.2
_AT_ONCE = 64
"""Inputs that are written in one transaction, and embedded in one call."""
_LAST_SECONDS = 5.0
_ANSWERED_SECONDS = 60.0
"""What was asked before an erasure is answered so long after it at most, by whichever clock."""
_TOLD = ("label", "probability", "unknown", "familiarity", "labels")
_Whose = tuple[str, str, str, str | None]
"""Organisation, alias, the model that answered, and the log that its answers were drawn for."""


@dataclass(slots=True, kw_only=True)
class _Entry:
    """One input that is to be written down."""

    one: LoggedCall
    place: int
    model: str
    item: dict[str, Any]
    data: bytes
    """The input as it is kept: it names no patient."""
    embedding: bytes | None = None

    @property
    def sha256(self) -> str:
        """Of the content, in hexadecimal."""
        return sha256(self.data).hexdigest()

    @property
    def content(self) -> str:
        """What is equal for equal contents, as datasets have it."""
        return MODALITIES[self.one.call.inputs[self.place].kind].identity(self.data) or self.sha256

    @property
    def whose(self) -> _Whose:
        return self.one.call.tenant, self.one.alias, self.model, self.one.log.id


@asynccontextmanager
async def recording(services: Services) -> AsyncIterator[None]:
    """Write for as long as the block lasts, and what is left at its end."""
    try:
        async with repeated(partial(_record, services), every=_PAUSE):
            yield
    finally:
        with suppress(HeadstartError, SQLAlchemyError, OSError, TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await flush(services)


async def _record(services: Services) -> None:
    try:
        await flush(services)
    except (HeadstartError, SQLAlchemyError, OSError) as error:
        log.warning("the prediction log waits", reason=error)
        await asyncio.sleep(1.0)


async def flush(services: Services) -> None:
    """Write down all that waits now; what comes meanwhile is for the next.

    Raises database_unavailable, storage_full and their like; what could not be written then waits
    on. What can never be written is dropped, and counted: it must not keep all that comes after it.
    """
    buffer = services.prediction_log
    left = len(buffer)
    async with buffer.writing:
        while left > 0 and (taken := buffer.take(_AT_ONCE)):
            left -= len(taken)
            try:
                await _written(services, taken)
            except (HeadstartError, SQLAlchemyError, OSError, asyncio.CancelledError):
                buffer.give_back(taken)
                raise
            except Exception:
                counted("dropped", sum(len(one.call.inputs) for one in taken))
                log.exception("predictions cannot be written down")


async def _written(services: Services, taken: Sequence[LoggedCall]) -> None:
    entries = [entry for one in taken for entry in await _entries(services, one)]
    for group in _by_backbone(entries):
        await _embed(services, group)
    await to_thread.run_sync(_write, services, entries)


async def _entries(services: Services, one: LoggedCall) -> list[_Entry]:
    """The inputs that were answered; of an answer that names only some classes, all are asked."""
    told = await to_thread.run_sync(from_json, one.body)
    items = {item["index"]: item for item in told["data"] if "label" in item}
    if one.call.options.top_k is not None:
        await _complete(services, one.call, items)
    return await to_thread.run_sync(_entered, one, told["model"], items)


def _entered(one: LoggedCall, model: str, items: Mapping[int, dict[str, Any]]) -> list[_Entry]:
    """What is kept of each; one of which that cannot be said is dropped, and counted."""
    entries = []
    for place, item in items.items():
        sent = one.call.inputs[place]
        try:
            data = kept_of(sent)
        except HeadstartError as error:
            counted("dropped", 1)
            log.warning("an input is not written down", code=error.code)
            continue
        entries.append(_Entry(one=one, place=place, model=model, item=item, data=data))
    return entries


async def _complete(services: Services, call: Call, items: Mapping[int, dict[str, Any]]) -> None:
    """Give the items every class's probability, which the predictor mostly remembers."""
    whole = replace(call, options=Options(), single=False, others=())
    try:
        answer = await services.predictor.predict(whole)
    except HeadstartError as error:
        log.info("a logged answer has not every class", reason=error)
        return
    for item in (await to_thread.run_sync(from_json, answer.body))["data"]:
        if item["index"] in items and "label" in item:
            items[item["index"]]["predictions"] = item["predictions"]


def _by_backbone(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """At most so many at once, of one organisation and one backbone."""
    groups: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.one.call.tenant, entry.one.call.target.backbone].append(entry)
    for group in groups.values():
        yield from (group[at : at + _AT_ONCE] for at in range(0, len(group), _AT_ONCE))


async def _embed(services: Services, group: Sequence[_Entry]) -> None:
    """Give the entries the backbone's last layer; a predictor that has no time for it gives none:
    those rows can be neither suggested nor tested for drift, and are counted.
    """
    inputs = [entry.one.call.inputs[entry.place] for entry in group]
    first = group[0].one.call
    try:
        found = await embeddings(
            services, first.tenant, backbone=first.target.backbone, inputs=inputs
        )
    except HeadstartError as error:
        counted("without_embedding", len(group))
        log.info("logged inputs have no embedding", number=len(group), reason=error)
        return
    for entry, embedding in zip(group, found, strict=True):
        entry.embedding = embedding


async def embeddings(
    services: Services, tenant: str, *, backbone: str, inputs: Sequence[Input]
) -> list[bytes | None]:
    """The inputs' embeddings as half floats; None of one that is bad. Raises overloaded and what
    else the predictor says.
    """
    call = Call(
        id=new_id("emb_"),
        tenant=tenant,
        target=Target(model=backbone, backbone=backbone, artifact="", sha256=""),
        options=Options(),
        inputs=tuple(inputs),
    )
    answer = await services.predictor.predict(call)
    told = await to_thread.run_sync(from_json, answer.body)
    return [halved(item["embedding"]) if "embedding" in item else None for item in told["data"]]


class _ErasedError(Exception):
    """These were erased since they were answered."""

    def __init__(self, entries: Sequence[_Entry]) -> None:
        super().__init__()
        self.entries = entries


def _write(services: Services, entries: Sequence[_Entry]) -> None:
    """What was not erased since it was answered."""
    while entries:
        try:
            _write_all(services, entries)
        except _ErasedError as error:
            counted("unwanted", len(error.entries))
            entries = [entry for entry in entries if entry not in error.entries]
        else:
            return


def _erased(session: Session, services: Services, entries: Sequence[_Entry]) -> list[_Entry]:
    """Those whose content was erased from a dataset after they were asked."""
    by_tenant: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_tenant[entry.one.call.tenant].append(entry)
    found = []
    for tenant, some in by_tenant.items():
        gone = erased_since(
            session,
            services.vault,
            {entry.content for entry in some},
            at=min(entry.one.at for entry in some) - _ANSWERED_SECONDS,
            organisation_id=tenant,
        )
        found += [entry for entry in some if entry.content in gone]
    return found


def _write_all(services: Services, entries: Sequence[_Entry]) -> None:
    """All of it in one transaction, the inputs' files before. Raises _ErasedError."""
    groups: dict[_Whose, list[_Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.whose].append(entry)
    keys = {whose: storage_keys.live(whose[0], new_id("log_")) for whose in groups}
    with scratch(staging(services.settings)) as folder:
        files = {
            keys[whose]: path
            for whose, group in groups.items()
            if (path := _packed(group, folder)) is not None
        }
        with blobs.stored(services, files) as hold, writing(services) as session:
            unwanted = [
                keys[whose]
                for whose, group in groups.items()
                if not _added(session, services.settings, whose, group, keys[whose])
            ]
            if erased := _erased(session, services, entries):
                raise _ErasedError(erased)
            hold.release(session)
    erasure.delete(services.storage, set(unwanted) & files.keys())


def _packed(group: Sequence[_Entry], folder: Path) -> Path | None:
    """The inputs that are kept, one after another; None if none is."""
    kept = [entry for entry in group if entry.one.log.rule.keeps_content]
    if not kept:
        return None
    path = folder / new_id("log_")
    with storage_errors(), path.open("wb") as file:
        for entry in kept:
            file.write(entry.data)
    return path


def _added(
    session: Session, settings: Settings, whose: _Whose, group: Sequence[_Entry], key: str
) -> bool:
    """Add the rows, unless the alias, this log of it or the model has gone meanwhile, or there is
    no room for them in what the organisation may store; whether any of them names the file.
    """
    organisation_id, alias, model_id, log_id = whose
    current = log_rows.current(
        session, organisation_id=organisation_id, alias=alias, model_id=model_id
    )
    if current is None or current.id != log_id:
        counted("unwanted", len(group))
        return False
    coming = sum(len(entry.data) for entry in group)
    if not quotas.has_room(session, settings, organisation_id, coming=coming):
        counted("over_quota", len(group))
        log.warning("the prediction log has no room", organisation=organisation_id, alias=alias)
        return False
    rows = list(_rows(group, key, current.rule, now(session)))
    session.add_all(rows)
    session.flush()
    of = Watched(organisation_id=organisation_id, alias=alias, model_id=model_id)
    drift.queue(session, of, current.rule)
    counted("written", len(group))
    return any(row.content_key is not None for row in rows)


def _rows(
    group: Sequence[_Entry], key: str, rule: PredictionLog, at: float
) -> Iterator[LoggedPredictionRow]:
    """By the rule of now: contents are kept where that of then kept them, too."""
    start = 0
    for entry in group:
        data, packed = entry.data, entry.one.log.rule.keeps_content
        kept = packed and rule.keeps_content
        tenant, alias, model_id, _ = entry.whose
        yield LoggedPredictionRow(
            id=new_id("log_"),
            organisation_id=tenant,
            alias=alias,
            model_id=model_id,
            prediction_id=entry.one.call.id,
            place=entry.place,
            sha256=entry.sha256,
            answer=answer_of(entry.item),
            embedding=entry.embedding,
            content_key=key if kept else None,
            content_start=start if kept else 0,
            content_length=len(data) if kept else 0,
            lot=random(),
            created_at=at,
            expires_at=at + rule.retention_days * DAY_SECONDS,
        )
        start += len(data) if packed else 0


def kept_of(item: Input) -> bytes:
    """An input's bytes as they are kept: of a DICOM the picture alone."""
    data = bytes(item.data)
    return without_patient(data) if item.kind == "image" else data


def answer_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """What rows keep of a prediction's item: what was said, and each class's probability."""
    scores = {one["label"]: one["probability"] for one in item["predictions"]}
    return {**{name: item[name] for name in _TOLD if name in item}, "scores": scores}
