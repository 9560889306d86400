"""Deleting a dataset: its rows in one transaction, then all in storage that only it needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import structlog

from app.core.errors import HeadstartError
from app.datasets import blobs
from app.dependencies import Services
from app.infra.database import reading, transaction
from app.infra.repositories import datasets

log = structlog.get_logger()
_SHA256 = re.compile(rb'"sha256":"([0-9a-f]{64})"')


def remove(services: Services, dataset_id: str, *, organisation_id: str) -> None:
    """Delete a dataset with its versions, blobs and embeddings. Raises not_found or in_use."""
    with transaction(services.sessions) as session:
        removed = datasets.remove(session, dataset_id, organisation_id=organisation_id)
    try:
        _forget_embeddings(services, organisation_id, removed.manifests)
    except (HeadstartError, OSError) as error:
        log.warning("embeddings are left behind", dataset=dataset_id, reason=str(error))
    keys = [blobs.manifest_key(organisation_id, sha256) for sha256 in removed.manifests]
    keys += [blobs.pack_key(organisation_id, sha256) for sha256 in removed.packs]
    blobs.discard(services, organisation_id, keys)


def _forget_embeddings(services: Services, organisation_id: str, gone: Iterable[str]) -> None:
    """Drop the embeddings of contents that no other dataset of the organisation has."""
    with reading(services.sessions) as session:
        kept = datasets.manifests(session, organisation_id=organisation_id)
    contents: set[bytes] = set()
    for sha256 in gone:
        contents |= _contents(services, organisation_id, sha256)
    for sha256 in kept:
        if contents:
            contents -= _contents(services, organisation_id, sha256)
    with transaction(services.sessions) as session:
        empty = datasets.forget_embeddings(
            session, (content.decode() for content in contents), organisation_id=organisation_id
        )
    for segment in empty:
        services.storage.delete(f"embeddings/{organisation_id}/{segment.key}/{segment.id}.npy")


def _contents(services: Services, organisation_id: str, manifest_sha256: str) -> set[bytes]:
    """The hashes that a manifest names; none if it is gone, as its dataset then is too."""
    try:
        path = services.storage.fetch(blobs.manifest_key(organisation_id, manifest_sha256))
    except FileNotFoundError:
        return set()
    return set(_hashes(path))


def _hashes(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        for line in file:
            if found := _SHA256.search(line):
                yield found[1]
