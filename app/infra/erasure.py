"""Forgetting what only deleted datasets and batches had: embeddings, then the manifests themselves.

Whoever deletes their rows leaves erasures in that transaction, and then does them; what a killed
process has not done, a trainer does. An erasure looks for who else has a content after its own rows
are gone, so that of two deletions that share one the later forgets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import structlog

from app.core.errors import HeadstartError
from app.infra import storage_keys
from app.infra.database import Sessions, reading, transaction
from app.infra.repositories import batches, datasets, erasures, holds
from app.infra.storage import Storage

log = structlog.get_logger()
_AT_ONCE = 500
"""Contents forgotten in one transaction: other writers wait for no more."""
_SHA256 = re.compile(rb'"sha256":"([0-9a-f]{64})"')


def finish(sessions: Sessions, storage: Storage, organisation_id: str) -> int:
    """Do the organisation's erasures; how many there were. Raises storage_unavailable."""
    with reading(sessions) as session:
        pending = erasures.pending(session, organisation_id)
        others = datasets.manifests(session, organisation_id=organisation_id)
        others |= batches.own_manifests(session, organisation_id=organisation_id)
    contents = _only_in(storage, organisation_id, set(pending.values()), others)
    for start in range(0, len(contents), _AT_ONCE):
        _forget(sessions, storage, organisation_id, contents[start : start + _AT_ONCE])
    with transaction(sessions) as session:
        erasures.drop(session, pending, organisation_id=organisation_id)
    manifests = [storage_keys.manifest(organisation_id, name) for name in pending.values()]
    discard(sessions, storage, manifests)
    return len(pending)


def _only_in(
    storage: Storage, organisation_id: str, manifests: Iterable[str], others: Iterable[str]
) -> list[str]:
    """The contents that these manifests name, and no other."""
    contents: set[bytes] = set()
    for manifest in manifests:
        contents.update(_contents(storage, organisation_id, manifest))
    for manifest in others:
        if contents:
            contents.difference_update(_contents(storage, organisation_id, manifest))
    return sorted(content.decode() for content in contents)


def _contents(storage: Storage, organisation_id: str, manifest: str) -> Iterator[bytes]:
    """The hashes that a manifest names; none if it is gone: somebody else has done its erasure."""
    try:
        path = storage.fetch(storage_keys.manifest(organisation_id, manifest))
        yield from _hashes(path)
    except FileNotFoundError:
        return


def _hashes(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if match := _SHA256.search(line):
                yield match[1]


def _forget(
    sessions: Sessions, storage: Storage, organisation_id: str, contents: Sequence[str]
) -> None:
    with transaction(sessions) as session:
        empty = datasets.forget_embeddings(session, contents, organisation_id=organisation_id)
    delete(storage, [storage_keys.segment(organisation_id, one.key, one.id) for one in empty])


def discard(sessions: Sessions, storage: Storage, keys: Iterable[str]) -> None:
    """Delete the packs and manifests that nothing needs any more."""
    try:
        with reading(sessions) as session:
            needless = [key for key in keys if not holds.is_needed(session, key)]
    except HeadstartError as error:
        log.warning("blobs are left to the sweeper", reason=str(error))
    else:
        delete(storage, needless)


def delete(storage: Storage, keys: Iterable[str]) -> None:
    """Delete files whose rows are gone; what cannot be deleted now, the sweeper collects."""
    try:
        for key in keys:
            storage.delete(key)
    except (HeadstartError, OSError) as error:
        log.warning("files are left to the sweeper", reason=str(error))
