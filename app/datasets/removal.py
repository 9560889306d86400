"""Deleting a dataset: rows and embeddings in one transaction, then what only it had in storage."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from app.core.errors import HeadstartError
from app.http.dependencies import Services
from app.infra import storage_keys
from app.infra.database import reading, transaction
from app.infra.orm import SegmentRow
from app.infra.repositories import datasets
from app.infra.repositories.datasets import Removed
from app.uploads import blobs

log = structlog.get_logger()
_TRIES = 8


def remove(services: Services, dataset_id: str, *, organisation_id: str) -> None:
    """Delete a dataset with its versions and embeddings in one transaction, then their files.

    Files that a crash leaves behind are swept by the trainer. Raises not_found or in_use.
    """
    for _ in range(_TRIES):
        own, contents = _own(services, dataset_id, organisation_id)
        with transaction(services.sessions) as session:
            datasets.lock(session, dataset_id, organisation_id=organisation_id)
            if datasets.manifests(session, organisation_id=organisation_id, of=dataset_id) != own:
                continue  # another version was added meanwhile, with contents of its own
            removed = datasets.remove(session, dataset_id, organisation_id=organisation_id)
            segments = datasets.forget_embeddings(
                session, contents, organisation_id=organisation_id
            )
        _delete_files(services, organisation_id, removed, segments)
        return
    raise HeadstartError("in_flight", "the dataset keeps changing; try again", retry_after=1)


def remove_expired(services: Services) -> int:
    """Delete the datasets whose time is over; what is in use waits for the next turn. How many."""
    removed = 0
    with reading(services.sessions) as session:
        due = datasets.expired(session)
    for dataset_id, organisation_id in due:
        try:
            remove(services, dataset_id, organisation_id=organisation_id)
            removed += 1
        except HeadstartError as error:
            log.info("an expired dataset stays for now", dataset=dataset_id, code=error.code)
    return removed


def _own(services: Services, dataset_id: str, organisation_id: str) -> tuple[set[str], list[str]]:
    """The dataset's manifests, and the contents that no other dataset of the organisation has."""
    with reading(services.sessions) as session:
        own = datasets.manifests(session, organisation_id=organisation_id, of=dataset_id)
        others = datasets.manifests(session, organisation_id=organisation_id, not_of=dataset_id)
    contents: set[bytes] = set()
    for sha256 in own:
        contents |= blobs.contents_of(services, organisation_id, sha256)
    for sha256 in others:
        if contents:
            contents -= blobs.contents_of(services, organisation_id, sha256)
    return own, sorted(content.decode() for content in contents)


def _delete_files(
    services: Services, organisation_id: str, removed: Removed, segments: Iterable[SegmentRow]
) -> None:
    keys = [storage_keys.manifest(organisation_id, sha256) for sha256 in removed.manifests]
    keys += [storage_keys.pack(organisation_id, sha256) for sha256 in removed.packs]
    blobs.discard(services, keys)
    try:
        for segment in segments:
            services.storage.delete(storage_keys.segment(organisation_id, segment.key, segment.id))
    except (HeadstartError, OSError) as error:
        log.warning("segments are left to the sweeper", reason=str(error))
