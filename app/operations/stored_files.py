"""Whether the files in storage are what was stored, as far as a hash of them is kept."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256

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
from app.infra.storage import DamagedError, Storage, fetch_manifest, is_intact

_MISSING, _DAMAGED = "missing", "not what was stored"
_Piece = tuple[int, int | None, str]
"""Where it begins in its file, how long it is (None: the whole file), and its SHA-256."""
_Pieces = dict[str, set[_Piece]]


@dataclass(frozen=True)
class StoredFile:
    """A file, and what is wrong with it; None where nothing is."""

    key: str
    wrong: str | None


def looked_at(sessions: Sessions, storage: Storage) -> Iterator[StoredFile]:
    """Every file that a row names with a hash, once, as far as rows and manifests know it.

    What is deleted meanwhile may be called missing. Raises storage_unavailable.
    """
    told: _Pieces = defaultdict(set)
    with reading(sessions) as session:
        for key, piece in _pieces(session):
            told[key].add(piece)
        of, model = DatasetVersionRow, ModelRow
        versions = session.execute(select(of.organisation_id, of.manifest_sha256, of.packs)).all()
        models = session.execute(select(model.artifact, model.sha256, model.card)).all()
    for version in versions:
        _add_contents(storage, told, *version)
    for artifact, head_sha256, card in models:
        head, described = storage_keys.of_model(artifact)
        told[head].add((0, None, head_sha256))
        if answers := card.get("held_out", {}).get("sha256"):
            told[f"{artifact}/{FILE}"].add((0, None, answers))
        yield StoredFile(described, _wrong_card(storage, described, card))
    for key, pieces in told.items():
        yield StoredFile(key, _wrong(storage, key, pieces))


def _pieces(session: Session) -> Iterator[tuple[str, _Piece]]:
    """What rows say of files, or of the inputs in them."""
    of, logged, said = SegmentRow, LoggedPredictionRow, FeedbackRow
    for *place, digest in session.execute(select(of.organisation_id, of.key, of.id, of.sha256)):
        if digest is not None:
            yield storage_keys.segment(*place), (0, None, digest)
    for row in (BatchPartRow, FileRow, UploadPartRow):
        for key, told in session.execute(select(row.key, row.sha256)):
            if told is not None:
                yield key, (0, None, told)
    inputs = select(
        logged.content_key, logged.content_start, logged.content_length, logged.sha256
    ).where(logged.content_key.is_not(None))
    for where, start, length, told in session.execute(inputs):
        yield str(where), (start, length, told)
    own = select(said.content_key, said.sha256).where(said.content_key.is_not(None))
    for where, told in session.execute(own):
        yield str(where), (0, None, told)


def _add_contents(
    storage: Storage, told: _Pieces, organisation_id: str, listing: str, packs: Collection[str]
) -> None:
    """A version's list, its packs, and what of them the list says."""
    told[storage_keys.manifest(organisation_id, listing)].add((0, None, listing))
    for pack in packs:
        told[storage_keys.pack(organisation_id, pack)]
    try:
        path = fetch_manifest(storage, organisation_id, listing)
    except HeadstartError:  # which is told of the list itself
        return
    for one in manifest.load(path.read_bytes()):
        place = (one.offset, one.length, one.sha256)
        told[storage_keys.pack(organisation_id, one.pack)].add(place)


def _wrong(storage: Storage, key: str, pieces: Collection[_Piece]) -> str | None:
    try:
        path = storage.fetch(key)
        with path.open("rb") as file:
            bad = 0
            for start, length, digest in sorted(pieces, key=lambda one: one[0]):
                if length is None:
                    bad += not is_intact(path, digest)
                    continue
                file.seek(start)
                bad += sha256(file.read(length)).hexdigest() != digest
    except FileNotFoundError:
        return _MISSING
    except DamagedError:
        return _DAMAGED
    if not bad:
        return None
    return _DAMAGED if len(pieces) == 1 else f"{bad} of {len(pieces)} contents are {_DAMAGED}"


def _wrong_card(storage: Storage, key: str, card: object) -> str | None:
    try:
        same = json.loads(storage.fetch(key).read_bytes()) == card
    except FileNotFoundError:
        return _MISSING
    except (DamagedError, ValueError):
        same = False
    return None if same else _DAMAGED
