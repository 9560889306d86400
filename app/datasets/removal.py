"""Deleting a dataset: its rows go in one transaction, which notes what else is to go."""

from __future__ import annotations

import structlog

from app.core.errors import HeadstartError
from app.http.dependencies import Services
from app.infra import storage_keys
from app.infra.database import reading, transaction
from app.infra.repositories import datasets, erasures
from app.uploads import blobs

log = structlog.get_logger()


def remove(services: Services, dataset_id: str, *, organisation_id: str) -> None:
    """Delete a dataset and its versions, their packs, manifests and embeddings (ADR 20).

    What of it a crash or a store that is away prevents, a trainer does. Raises not_found or in_use.
    """
    with transaction(services.sessions) as session:
        removed = datasets.remove(session, dataset_id, organisation_id=organisation_id)
        erasures.add(session, removed.manifests, organisation_id=organisation_id)
    blobs.discard(services, [storage_keys.pack(organisation_id, pack) for pack in removed.packs])
    blobs.forget_contents(services, organisation_id)


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
