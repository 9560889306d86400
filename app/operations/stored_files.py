"""Whether the files in storage are what was stored, as far as a hash of them is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import manifest
from app.core.errors import HeadstartError
from app.core.held_out import FILE
from app.infra import storage_keys
from app.infra.database import Sessions, reading
from app.infra.orm import (
    BatchPartRow,
    DatasetVersionRow,
    FeedbackRow,
    FileRow,
    LoggedPredictionRow,
    ModelRow,
    SegmentRow,
    UploadPartRow,
)
from app.infra.storage import Storage, fetch_manifest, is_intact

_MISSING, _DAMAGED = "missing", "not what was stored"


@dataclass(frozen=True)
class StoredFile:
    """A file, and what is wrong with it; None where nothing is."""

    key: str
    wrong: str | None


def looked_at(sessions: Sessions, storage: Storage) -> Iterator[StoredFile]:
    """Every file that a row names with a hash, read whole.

    What is deleted meanwhile may be called missing. Raises storage_unavailable.
    """
    with reading(sessions) as session:
        named, versions = dict(_hashed(session)), list(session.scalars(select(DatasetVersionRow)))
        models, pieces = list(session.scalars(select(ModelRow))), list(_pieces(session))
    for key, digest in named.items():
        yield StoredFile(key, _wrong(storage, key, digest))
    for model in models:
        yield from _of_model(storage, model)
    for version in versions:
        yield from _of_version(storage, version)
    for key, part, digest in pieces:
        yield StoredFile(key, _wrong_part(storage, key, part, digest))


def _hashed(session: Session) -> Iterator[tuple[str, str]]:
    of = SegmentRow
    segments = select(of.organisation_id, of.key, of.id, of.sha256).where(of.sha256.is_not(None))
    for organisation_id, key, segment_id, digest in session.execute(segments):
        yield storage_keys.segment(organisation_id, key, segment_id), str(digest)
    for row in (BatchPartRow, FileRow, UploadPartRow):
        for key, told in session.execute(select(row.key, row.sha256)):
            if told is not None:
                yield str(key), str(told)


def _pieces(session: Session) -> Iterator[tuple[str, tuple[int, int] | None, str]]:
    """Inputs in files that hold several, and those that have one of their own."""
    of = LoggedPredictionRow
    logged = select(of.content_key, of.content_start, of.content_length, of.sha256)
    for key, start, length, digest in session.execute(logged.where(of.content_key.is_not(None))):
        yield str(key), (start, length), digest
    said = FeedbackRow
    own = select(said.content_key, said.sha256).where(said.content_key.is_not(None))
    for key, digest in session.execute(own):
        yield str(key), None, digest


def _wrong(storage: Storage, key: str, digest: str) -> str | None:
    try:
        return None if is_intact(storage.fetch(key), digest) else _DAMAGED
    except FileNotFoundError:
        return _MISSING


def _wrong_part(
    storage: Storage, key: str, part: tuple[int, int] | None, digest: str
) -> str | None:
    if part is None:
        return _wrong(storage, key, digest)
    try:
        with storage.fetch(key).open("rb") as file:
            file.seek(part[0])
            same = sha256(file.read(part[1])).hexdigest() == digest
    except FileNotFoundError:
        return _MISSING
    return None if same else _DAMAGED


def _of_model(storage: Storage, row: ModelRow) -> Iterator[StoredFile]:
    head, card = f"{row.artifact}/head.safetensors", f"{row.artifact}/model.json"
    yield StoredFile(head, _wrong(storage, head, row.sha256))
    try:
        same = json.loads(storage.fetch(card).read_bytes()) == row.card
        yield StoredFile(card, None if same else _DAMAGED)
    except FileNotFoundError:
        yield StoredFile(card, _MISSING)
    except ValueError:
        yield StoredFile(card, _DAMAGED)
    answers = row.card.get("held_out", {}).get("sha256")
    if answers is not None:
        key = f"{row.artifact}/{FILE}"
        yield StoredFile(key, _wrong(storage, key, answers))


def _of_version(storage: Storage, row: DatasetVersionRow) -> Iterator[StoredFile]:
    """Its list, and each pack as far as its examples lie in it."""
    listing = storage_keys.manifest(row.organisation_id, row.manifest_sha256)
    wrong = _wrong(storage, listing, row.manifest_sha256)
    yield StoredFile(listing, wrong)
    if wrong is not None:
        return
    path = fetch_manifest(storage, row.organisation_id, row.manifest_sha256)
    examples = list(manifest.load(path.read_bytes()))
    for pack in row.packs:
        key = storage_keys.pack(row.organisation_id, pack)
        inside = [one for one in examples if one.pack == pack]
        try:
            file = storage.fetch(key)
        except FileNotFoundError:
            yield StoredFile(key, _MISSING)
            continue
        bad = sum(map(partial(_is_damaged, file), inside))
        wrong = f"{bad} of {len(inside)} examples are {_DAMAGED}" if bad else None
        yield StoredFile(key, wrong)


def _is_damaged(pack: Path, example: manifest.Example) -> bool:
    with pack.open("rb") as file:
        file.seek(example.offset)
        try:
            manifest.checked(file.read(example.length), example.sha256)
        except HeadstartError:
            return True
    return False
