"""Deleting a dataset: its rows go in one transaction, which notes what else is to go."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.datasets import plain
from app.datasets.in_parts import service as in_parts
from app.http.dependencies import Services
from app.http.schemas import Deletion
from app.infra import storage_keys
from app.infra.database import reading, repeated
from app.infra.repositories import datasets, deletions, erasures
from app.infra.repositories.deletions import Doomed
from app.infra.repositories.openai import files, uploads
from app.uploads import deleting

log = structlog.get_logger()


def remove(services: Services, dataset_id: str, *, organisation_id: str) -> Deletion:
    """Delete a dataset and its versions, their packs, manifests and embeddings (ADR 20, 44).

    What of it a crash or a store that is away prevents, a trainer does. Raises not_found or in_use.
    """

    def step(session: Session) -> str:
        removed = datasets.remove(session, dataset_id, organisation_id=organisation_id)
        doomed = Doomed(
            object="dataset",
            id=dataset_id,
            removed={"versions": len(removed.manifests)},
            files=[storage_keys.pack(organisation_id, pack) for pack in removed.packs],
        )
        deletion_id = deletions.begin(session, doomed, organisation_id=organisation_id)
        erasures.add(
            session, removed.manifests, organisation_id=organisation_id, deletion_id=deletion_id
        )
        return deletion_id

    deletion_id = repeated(services.sessions, step)
    return deleting.carried_out(services, deletion_id, organisation_id=organisation_id)


def remove_expired(services: Services) -> int:
    """Delete what has outlived its time; what is in use waits for the next turn. How many.

    Datasets, plain files, and the parts of uploads that nobody has completed.
    """
    with reading(services.sessions) as session:
        due = [
            *((remove, *one) for one in datasets.expired(session)),
            *((plain.remove, *one) for one in files.expired(session)),
            *((in_parts.expire, *one) for one in uploads.expired(session)),
        ]
    return sum(_expire(services, *one) for one in due)


def _expire(
    services: Services, end: Callable[..., object], name: str, organisation_id: str
) -> bool:
    try:
        end(services, name, organisation_id=organisation_id)
    except HeadstartError as error:
        log.info("what has expired stays for now", id=name, code=error.code)
        return False
    return True
