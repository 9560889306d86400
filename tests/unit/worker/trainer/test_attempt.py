"""A try that must make way does so in whatever request it is."""

from __future__ import annotations

import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from app.core.errors import HeadstartError
from app.infra.orm import WorkRow
from app.infra.repositories import work
from tests.worker_kit import Kit, add_dataset, organisation
from worker.formats.channel import Message
from worker.trainer.attempt import Attempt
from worker.trainer.context import Context, MadeWayError
from worker.trainer.inputs.asked import rows_of
from worker.trainer.inputs.embed_missing import missing, scope_of
from worker.trainer.kinds import KINDS
from worker.trainer.lease import Lease

pytestmark = pytest.mark.slow


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


def embedding(folder: Path, number: int, *, word: str = "slow") -> dict[str, Any]:
    pack = folder / word
    contents = [f"{word} {place:03d}".encode() for place in range(number)]
    pack.write_bytes(b"".join(contents))
    return {
        "op": "embed", "backbone": "x", "view": "squish", "out": str(folder / "rows.npy"),
        "items": {
            "packs": [str(pack)], "pack": [0] * number,
            "offset": [len(contents[0]) * place for place in range(number)],
            "length": [len(contents[0])] * number,
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


@pytest.mark.parametrize(
    ("priority", "waits", "turn", "done"),
    [
        (0, "bolt", 0.0, 16),
        (0, "acme", 0.0, 64),
        (0, "bolt", 60.0, 64),
        (5, "bolt", 0.0, 16),
        (10, "bolt", 0.0, 64),
    ],
)
def test_after_its_turn_others_work_of_the_same_urgency_may_pass(
    kit: Kit,
    context: Context,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    priority: int,
    waits: str,
    turn: float,
    done: int,
) -> None:
    monkeypatch.setattr("worker.trainer.attempt._TURN_SECONDS", turn)
    own = attempt(kit, context, priority=priority)
    if waits != "acme":
        organisation(kit, waits)
    kit.commit(
        lambda session: work.add(
            session, "embed", organisation_id=waits, payload={}, priority=priority
        )
    )
    own.engine("x")
    assert own.ask(embedding(tmp_path, 64))["done"] == done


def test_work_that_was_let_past_makes_no_way(kit: Kit, context: Context, tmp_path: Path) -> None:
    bulk = attempt(kit, context, priority=5)
    kit.commit(lambda session: work.add(session, "embed", organisation_id="acme", payload={}))
    passing = Attempt(context, replace(bulk.claim, priority=0), bulk._lease, makes_way_to=KINDS)
    assert passing.ask(embedding(tmp_path, 64))["done"] == 64


def test_a_network_that_does_not_end_is_ended_and_the_next_request_answered(
    kit: Kit, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.trainer.attempt._GRACE_SECONDS", 1.0)
    hurried = context.settings.model_copy(update={"embed_seconds": 0.01})
    trying = attempt(kit, replace(context, settings=hurried), priority=0)
    trying.engine("x")
    endless = embedding(tmp_path, 4, word="endless")
    with pytest.raises(HeadstartError, match="HEADSTART_EMBED_SECONDS") as caught:
        trying.embed(endless, lambda _message: None)
    assert caught.value.code == "weights_invalid"
    told: list[Message] = []
    assert trying.embed(embedding(tmp_path, 64), told.append)["done"] == 64
    assert {message["type"] for message in told} == {"progress"}


def test_what_is_read_may_take_longer_the_more_it_is(kit: Kit, context: Context) -> None:
    trying = attempt(kit, context, priority=0)

    def most(backbone: str, inputs: int) -> float:
        return trying._most_seconds({"backbone": backbone, "items": {"length": [1] * inputs}})

    assert most("x", 1) < most("x", 9) < most("x", 64) == most("x", 5000)
    assert most("x+y", 64) < most("x+y", 5000)


def test_a_database_that_is_away_for_long_does_not_count_as_a_network_that_is_silent(
    kit: Kit, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.trainer.attempt._GRACE_SECONDS", 0.5)
    hurried = context.settings.model_copy(update={"embed_seconds": 0.01})
    trying = attempt(kit, replace(context, settings=hurried), priority=0)
    trying.engine("x")
    away: list[float] = []

    def look(_attempt: Attempt) -> bool:
        if trying.context.child.heard is not None and not away:
            away.append(1.5)
            time.sleep(1.5)
        return False

    monkeypatch.setattr(Attempt, "is_passed", look)
    assert trying.embed(embedding(tmp_path, 64), lambda _message: None)["done"] == 64
    assert away


def test_what_takes_long_to_begin_embeds_as_long(
    kit: Kit, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large dataset that each turn reads again would else be all that its turns do."""
    monkeypatch.setattr("worker.trainer.attempt._TURN_SECONDS", 0.0)
    own = attempt(kit, context, priority=0)
    organisation(kit, "bolt")
    kit.commit(lambda session: work.add(session, "embed", organisation_id="bolt", payload={}))
    own.engine("x")
    own._began -= 600.0
    assert own.is_passed(), "it has had long enough without having embedded anything"
    assert own.embed(embedding(tmp_path, 64), lambda _message: None)["done"] == 64


def test_what_a_promotion_lacks_is_embedded_turn_by_turn(
    kit: Kit, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.trainer.attempt._TURN_SECONDS", 0.0)
    members = [(f"c{i % 2}/{i}", f"c{i % 2}", f"slow {i}".encode()) for i in range(40)]
    version = add_dataset(kit, members, backbone="x")
    kit.commit(lambda session: session.execute(delete(WorkRow)))
    tried = attempt(kit, context, priority=0)
    organisation(kit, "bolt")
    kit.commit(lambda session: work.add(session, "embed", organisation_id="bolt", payload={}))
    examples = tried.examples(version)
    scope = scope_of(tried.engine("x"), "mirror", "acme")
    lacking = []
    for _ in range(2):
        with pytest.raises(MadeWayError):
            rows_of(again(tried), tried.engine("x"), ["mirror"], examples)
        lacking.append(len(missing(tried, scope, examples)))
    assert lacking == [24, 8]
    found, kept = rows_of(again(tried), tried.engine("x"), ["mirror"], examples)
    assert (len(kept), [*found]) == (40, ["mirror"])


def again(tried: Attempt) -> Attempt:
    """Another try at the same claim."""
    return Attempt(tried.context, tried.claim, tried._lease, makes_way_to=KINDS)
