"""How a dataset route begins and ends: the dataset is found, and waited for until it is settled."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import Path

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.manifest import Example
from app.http.dependencies import Services
from app.http.pages import looks_like
from app.http.waiting import VERSION, Wish
from app.infra.database import reading
from app.infra.repositories import datasets
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.problems import SHOWN, excluded
from app.uploads import blobs

_MOST = 2**31 - 1

DatasetId = Annotated[str, Path(examples=["ds_01jd3v6s0q8m4f2k9x7c5b1n3a"])]
ExampleId = Annotated[str, Path(examples=["ex_5b7e0a1c94d23f6688aa01bc"])]


def find(
    services: Services,
    caller: Identity,
    dataset_id: str,
    number: int | None = None,
    *,
    shown: int = 0,
) -> DatasetSnapshot:
    """The caller's dataset at its version `number`, or its latest, with so many of its problems.

    Raises not_found.
    """
    if not looks_like(dataset_id, "ds_"):
        raise datasets.missing()
    whose = caller.organisation_id
    with reading(services.sessions) as session:
        if number is None:
            return datasets.get(session, dataset_id, organisation_id=whose, shown=shown)
        try:
            if not 0 < number < _MOST:
                raise datasets.missing()
            return datasets.get(
                session, dataset_id, organisation_id=whose, number=number, shown=shown
            )
        except HeadstartError:
            latest = datasets.get(session, dataset_id, organisation_id=whose).version.number
    why = f"the dataset has no version {number}: its latest is {latest}"
    raise HeadstartError("not_found", why, param="version")


async def settled(services: Services, wish: Wish, snapshot: DatasetSnapshot) -> DatasetSnapshot:
    """The same version after `Prefer: wait`: ready or failed, if it came to that in time."""
    if snapshot.version.status == "processing" and wish.seconds:
        await wish.grant(services.waiting, VERSION, snapshot.version.id, done=_is_settled)
        return await to_thread.run_sync(_again, services, snapshot)
    return snapshot


def _is_settled(status: object) -> bool:
    return status != "processing"


def _again(services: Services, snapshot: DatasetSnapshot) -> DatasetSnapshot:
    with reading(services.sessions) as session:
        return datasets.get(
            session,
            snapshot.dataset.id,
            organisation_id=snapshot.dataset.organisation_id,
            number=snapshot.version.number,
            shown=SHOWN,
        )


def usable(services: Services, snapshot: DatasetSnapshot) -> list[Example]:
    """The version's examples that no problem keeps from being used. Raises storage_unavailable."""
    with reading(services.sessions) as session:
        bad = excluded(session, snapshot.version.id) if snapshot.num_problems else set()
    known = blobs.load_manifest(services, snapshot.version)
    return [example for example in known if example.id not in bad]
