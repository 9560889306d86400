"""Which views of which examples are left to idle time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from app.core import manifest
from app.core.manifest import Example
from app.core.modalities import IDLE, IDLE_CHUNK, IDLE_MOST_EXAMPLES
from app.infra.orm import DatasetVersionRow, WorkRow
from app.infra.repositories import embeddings
from tests.batch_kit import contents, manifest_key
from tests.worker_kit import Kit, add_dataset
from worker.trainer.idle import further_views
from worker.trainer.tensor_process import EngineFacts

FACTS = EngineFacts(
    backbone="x", modality="image", dim=8, precision="light", weights_sha256="0",
    weights_source="none", preprocessing="light", libraries={},
    keys={view: f"key-{view}" for view in ("squish", *IDLE["image"]) if view != "large"},
)  # fmt: skip
VIEWS = [view for view in IDLE["image"] if view != "large"]


def add(kit: Kit, version: DatasetVersionRow, *, skipped: int = 0) -> None:
    """Queue what a version that became ready leaves, without its first examples."""
    examples = examples_of(kit, version)
    kit.commit(
        lambda session: further_views.add(
            session, version, FACTS, examples=examples, usable=examples[skipped:]
        )
    )


def examples_of(kit: Kit, version: DatasetVersionRow) -> list[Example]:
    return list(manifest.load(kit.storage.fetch(manifest_key(version)).read_bytes()))


def cache(kit: Kit, examples: list[Example], *views: str) -> None:
    for view in views:
        kit.commit(
            lambda session, view=view: embeddings.add_segment(
                session, f"seg_{view}", organisation_id="acme", key=f"key-{view}",
                sha256s=[example.sha256 for example in examples], size=1,
            )
        )  # fmt: skip


def idle(kit: Kit, version: DatasetVersionRow, state: str = "queued") -> list[tuple[Any, ...]]:
    statement = select(WorkRow.payload).where(
        WorkRow.priority > 0, WorkRow.version_id == version.id, WorkRow.state == state
    )
    payloads = kit.read(lambda session: list(session.scalars(statement.order_by(WorkRow.id))))
    return [tuple(payload.values()) for payload in payloads]


def test_every_view_that_the_backbone_has_is_queued(kit: Kit) -> None:
    version = add_dataset(kit, contents(5))
    add(kit, version)
    assert idle(kit, version) == [(view, 0, 5) for view in VIEWS]


def test_only_chunks_with_something_new_are_queued(kit: Kit) -> None:
    version = add_dataset(kit, contents(2 * IDLE_CHUNK + 1))
    examples = examples_of(kit, version)
    cache(kit, examples[: IDLE_CHUNK + 5], "mirror")
    cache(kit, examples, *VIEWS[1:])
    add(kit, version)
    size = len(examples)
    assert idle(kit, version) == [
        ("mirror", IDLE_CHUNK, 2 * IDLE_CHUNK), ("mirror", 2 * IDLE_CHUNK, size)
    ]  # fmt: skip


def test_examples_that_cannot_be_used_need_nothing(kit: Kit) -> None:
    version = add_dataset(kit, contents(5))
    cache(kit, examples_of(kit, version)[2:], *VIEWS)
    add(kit, version, skipped=2)
    assert idle(kit, version) == []


def test_large_datasets_get_none(kit: Kit) -> None:
    version = add_dataset(kit, contents(2))
    many = examples_of(kit, version) * IDLE_MOST_EXAMPLES
    kit.commit(lambda s: further_views.add(s, version, FACTS, examples=many, usable=many))
    assert idle(kit, version) == []


def test_what_waits_for_older_versions_is_withdrawn(kit: Kit) -> None:
    old, other = add_dataset(kit, contents(5)), add_dataset(kit, contents(6))
    add(kit, old)
    add(kit, other)
    busy = update(WorkRow).where(WorkRow.payload["view"].as_string() == "pad")
    kit.commit(lambda session: session.execute(busy.values(state="running")))
    new = kit.version(old.id)
    new.number = 2
    kit.commit(lambda session: further_views.withdraw_older(session, old))
    assert len(idle(kit, old)) == len(VIEWS) - 1
    kit.commit(lambda session: further_views.withdraw_older(session, new))
    assert idle(kit, old) == []
    assert len(idle(kit, old, "cancelled")) == len(VIEWS) - 1
    assert len(idle(kit, old, "running")) == 1
    assert len(idle(kit, other)) == len(VIEWS) - 1
    primary = select(WorkRow.state).where(WorkRow.priority == 0)
    assert set(kit.read(lambda session: list(session.scalars(primary)))) == {"queued"}
