"""A try that must make way does so in whatever request it is."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.infra.repositories import work
from tests.worker_kit import Kit, organisation
from worker.trainer.attempt import Attempt
from worker.trainer.context import Context
from worker.trainer.kinds import KINDS
from worker.trainer.lease import Lease


def attempt(kit: Kit, context: Context, *, priority: int) -> Attempt:
    """At claimed work of that priority."""
    organisation(kit)
    kit.commit(
        lambda session: work.add(
            session, "embed", organisation_id="acme", payload={}, priority=priority
        )
    )
    claim = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=[*KINDS], lease_seconds=60)
    )
    assert claim is not None
    lease = Lease(kit.sessions, claim, kit.settings, lambda: None)
    return Attempt(context, claim, lease, makes_way_to=KINDS)


def embedding(folder: Path, number: int) -> dict[str, Any]:
    pack = folder / "pack"
    contents = [b"slow %03d" % place for place in range(number)]
    pack.write_bytes(b"".join(contents))
    return {
        "op": "embed", "backbone": "x", "view": "squish", "out": str(folder / "rows.npy"),
        "items": {
            "packs": [str(pack)], "pack": [0] * number,
            "offset": [8 * place for place in range(number)], "length": [8] * number,
            "sha256": [sha256(content).hexdigest() for content in contents],
        },
    }  # fmt: skip


def test_a_stop_seen_while_an_engine_is_loaded_counts_afterwards(
    kit: Kit, context: Context, tmp_path: Path
) -> None:
    idle = attempt(kit, context, priority=10)
    kit.commit(lambda session: work.add(session, "embed", organisation_id="acme", payload={}))
    idle.engine("x")
    assert idle.ask(embedding(tmp_path, 64))["done"] == 16
    assert idle.ask(embedding(tmp_path, 64))["done"] == 16


def test_urgent_work_makes_no_way(kit: Kit, context: Context, tmp_path: Path) -> None:
    urgent = attempt(kit, context, priority=0)
    kit.commit(lambda session: work.add(session, "embed", organisation_id="acme", payload={}))
    urgent.engine("x")
    assert urgent.ask(embedding(tmp_path, 64))["done"] == 64


def test_work_that_was_let_past_makes_no_way(kit: Kit, context: Context, tmp_path: Path) -> None:
    bulk = attempt(kit, context, priority=5)
    kit.commit(lambda session: work.add(session, "embed", organisation_id="acme", payload={}))
    passing = Attempt(context, replace(bulk.claim, priority=0), bulk._lease, makes_way_to=KINDS)
    assert passing.ask(embedding(tmp_path, 64))["done"] == 64
