"""What is made of content while it is deleted: nothing of it is left once the deletion is done.

The deletion comes right before a worker's file that a commit would name, and is done before the
worker goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.infra import erasure, storage_keys
from app.infra.repositories import deletions
from app.infra.repositories.deletions import Doomed, everything
from tests.batch_kit import contents, over_version, trained
from tests.faults.test_deletions import rows_of, stored
from tests.integration.worker.conftest import training
from tests.worker_kit import Kit, add_dataset, add_job, pictures
from worker.trainer.context import Context


def embedding(kit: Kit) -> None:
    add_dataset(kit, pictures(6))


def fitting(kit: Kit) -> None:
    version = add_dataset(kit, pictures(6))
    add_job(kit, version)


def predicting(kit: Kit) -> None:
    version, model = trained(kit, contents(6))
    over_version(kit, model, version)


MADE: dict[str, Callable[[Kit], None]] = {
    storage_keys.SEGMENTS: embedding,
    storage_keys.ARTIFACTS: fitting,
    storage_keys.RESULTS: predicting,
}


def delete_all(kit: Kit) -> str:
    """All that the organisation holds, as its route does it; the deletion's id."""

    def begin(session: object) -> str:
        removed = everything.delete_rows(session, organisation_id="acme")  # type: ignore[arg-type]
        doomed = Doomed(object=deletions.ORGANISATION, id="acme", removed=removed,
                        files=storage_keys.all_of("acme"))  # fmt: skip
        return deletions.begin(session, doomed, organisation_id="acme")  # type: ignore[arg-type]

    name = kit.commit(begin)
    erasure.finish(kit.sessions, kit.storage, "acme")
    return name


def deleting_before(context: Context, folder: str, then: Callable[[], str]) -> list[str]:
    """Have everything deleted just before a file comes into a folder; the deletion's id by then."""
    put, done = context.storage.put, list[str]()

    def interrupted(key: str, source: Path) -> None:
        if key.startswith(folder + "/") and not done:
            done.append(then())
        put(key, source)

    context.storage.put = interrupted  # type: ignore[method-assign]
    return done


@pytest.mark.parametrize("folder", MADE)
def test_nothing_is_left_of_what_was_being_made(footing: Kit, folder: str) -> None:
    with training(footing) as context:
        done = deleting_before(context, folder, lambda: delete_all(footing))
        MADE[folder](footing)
        footing.wait(lambda: done, 120)
    erasure.finish(footing.sessions, footing.storage, "acme")
    footing.commit(deletions.settle)
    told = footing.read(lambda session: deletions.get(session, done[0], organisation_id="acme"))
    assert told.finished_at is not None
    assert stored(footing) == []
    assert rows_of(footing, "acme") == {}
