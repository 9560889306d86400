"""Drift as a trainer's work: the reference, windows that do not overlap, events and hooks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.core.ids import new_id
from app.core.live.rule import PredictionLog
from app.infra.database import now
from app.infra.orm import (
    AliasRow,
    DriftReferenceRow,
    DriftWindowRow,
    FeedbackRow,
    HookRow,
    HookRunRow,
    LoggedPredictionRow,
    ModelRow,
    WebhookDeliveryRow,
    WebhookRow,
    WorkRow,
)
from app.infra.repositories import work
from app.infra.repositories.live import drift, forgetting
from app.infra.repositories.live.drift import Watched
from tests.integration.worker.conftest import LIGHT, training
from tests.worker_kit import Kit, organisation
from worker.trainer import endings
from worker.trainer.context import MadeWayError
from worker.trainer.kinds import drift as kind

OF = Watched(organisation_id="acme", alias="live", model_id="ft:efficientnet_lite0:acme::m1")
RULE = PredictionLog(reference=60, window=30)


def prepare(kit: Kit) -> None:
    """An alias with a log, a webhook and a hook."""
    organisation(kit)

    def add(session: Any) -> None:
        at = now(session)
        common = {"organisation_id": "acme", "created_at": at}
        session.add(
            ModelRow(
                id=OF.model_id, backbone="efficientnet_lite0", modality="image", method="auto",
                artifact="models/acme/m1/1", sha256="0" * 64, bytes=1, card={},
                evaluation={}, **common,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            AliasRow(
                organisation_id="acme", name="live", model_id=OF.model_id, updated_at=at,
                prediction_log=RULE.model_dump(),
            )
        )  # fmt: skip
        session.add(
            WebhookRow(
                id=new_id("we_"), url="https://example.invalid", description="", events=["*"],
                secret="whsec_", updated_at=at, **common,
            )
        )  # fmt: skip
        session.add(
            HookRow(
                id="hook_1", name="h", dataset_id="ds_1", alias="live", job={}, gate={},
                triggers=[{"type": "drift"}], debounce_seconds=3600, max_runs_per_day=1,
                secret="whsec_", updated_at=at, **common,
            )
        )  # fmt: skip

    kit.commit(add)


def log(kit: Kit, random: np.random.Generator, count: int, shift: float = 0.0) -> None:
    """Inputs as the app writes them down, and the work that it queues for them."""

    def add(session: Any) -> None:
        at = now(session)
        for _ in range(count):
            row = random.normal(size=16) + shift
            session.add(
                LoggedPredictionRow(
                    id=new_id("log_"), organisation_id="acme", alias="live", model_id=OF.model_id,
                    prediction_id=new_id("pred_"), place=0, sha256="0" * 64,
                    answer={"label": "a", "probability": 0.9, "scores": {"a": 0.9, "b": 0.1}},
                    embedding=row.astype("<f2").tobytes(), content_start=0, content_length=0,
                    lot=0.5, created_at=at, expires_at=at + 1000,
                )
            )  # fmt: skip
            session.flush()
            drift.queue(session, OF, RULE)

    kit.commit(add)


def windows(kit: Kit) -> list[DriftWindowRow]:
    return kit.read(
        lambda session: list(
            session.scalars(select(DriftWindowRow).order_by(DriftWindowRow.number))
        )
    )


def queued(kit: Kit) -> int:
    return kit.read(
        lambda session: len(
            session.scalars(
                select(WorkRow.id).where(WorkRow.kind == "drift", WorkRow.state == "queued")
            ).all()
        )
    )


def test_windows_are_tested_once_each_and_a_shift_is_told(kit: Kit) -> None:
    random = np.random.default_rng(1)
    prepare(kit)
    log(kit, random, 59)
    assert queued(kit) == 0
    log(kit, random, 1 + 30 + 30 + 10)
    assert queued(kit) == 1, "one look is queued, however many inputs come"
    with training(kit, LIGHT):
        kit.wait(lambda: len(windows(kit)) == 2)
        log(kit, random, 20, shift=1.5)
        kit.wait(lambda: len(windows(kit)) == 3)
        log(kit, random, 30, shift=1.5)
        kit.wait(lambda: len(windows(kit)) == 4)
    found = windows(kit)
    assert [row.number for row in found] == [1, 2, 3, 4]
    assert [row.size for row in found] == [30] * 4
    assert [row.drifted for row in found] == [False, False, True, True]
    assert all(a.last_id < b.last_id for a, b in pairwise(found))
    assert len(found[3].result["strangest"]) == 5
    reference = kit.read(lambda session: session.scalars(select(DriftReferenceRow)).one())
    assert reference.size == 60
    runs = kit.read(lambda session: list(session.scalars(select(HookRunRow))))
    assert {run.cause["type"] for run in runs} == {"drift"}
    assert {run.cause["number"] for run in runs} == {3, 4}
    told = kit.read(lambda session: list(session.scalars(select(WebhookDeliveryRow.type))))
    assert told.count("drift.detected") == 2


def end_log(session: Any) -> None:
    row = drift.alias_of(session, OF)
    assert row is not None
    row.prediction_log = row.log_id = None
    forgetting.end_log(session, row)


def begin_another(session: Any) -> None:
    """As somebody who wants nothing of before: the alias has a log again, and rows of its own."""
    end_log(session)
    row = drift.alias_of(session, OF)
    assert row is not None
    row.prediction_log, row.log_id = RULE.model_dump(), "plog_2"


def look_meanwhile(session: Any) -> None:
    """What another trainer does that was queued at the same moment."""
    found = drift.following(session, OF, drift.last_tested(session, OF), 60)
    last = {"size": 30, "drifted": False, "result": {}, "first_at": 0.0, "last_at": 0.0}
    known = drift.windows(session, OF, limit=1)
    number = known[0].number + 1 if known else 1
    drift.add_window(session, OF, {**last, "number": number, "last_id": found[29].id})


def look(kit: Kit, meanwhile: Callable[[Any], None] | None = None, *, passed: bool = False) -> None:
    """One look of a trainer, during which something else is committed, or others' work comes."""
    claim = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=["drift"], lease_seconds=60)
    )

    def commit(step: Callable[[Any], None]) -> None:
        if meanwhile is not None:
            kit.commit(meanwhile)
        kit.commit(step)

    attempt: Any = SimpleNamespace(
        claim=claim, read=kit.read, commit=commit, guard=lambda: None, is_passed=lambda: passed
    )
    try:
        kind.run(attempt)
    except MadeWayError as error:
        put_off = error
        assert claim is not None
        kit.commit(lambda session: endings.conclude(session, claim, put_off))


def test_a_look_is_passed_and_asked_for_once_only(kit: Kit) -> None:
    random = np.random.default_rng(4)
    prepare(kit)
    log(kit, random, 60)
    look(kit)
    log(kit, random, 30)
    look(kit, passed=True)
    assert windows(kit) == []
    log(kit, random, 5)
    assert queued(kit) == 1, "the one that was passed"
    look(kit)
    assert [window.number for window in windows(kit)] == [1]


@pytest.mark.parametrize("ending", [end_log, begin_another])
def test_a_log_that_ends_during_a_look_leaves_nothing_of_its_inputs(
    kit: Kit, ending: Callable[[Any], None]
) -> None:
    random = np.random.default_rng(3)
    prepare(kit)
    log(kit, random, 60)
    look(kit, ending)
    assert kit.read(lambda session: list(session.scalars(select(DriftReferenceRow)))) == []
    assert queued(kit) == 0
    if ending is begin_another:
        log(kit, random, 60)
        look(kit)
        log(kit, random, 30, shift=3.0)
        look(kit, ending)
        assert windows(kit) == []
        told = kit.read(lambda session: list(session.scalars(select(WebhookDeliveryRow.type))))
        assert told == [], "nobody is told of what was deleted"
        assert kit.read(lambda session: list(session.scalars(select(HookRunRow)))) == []


def test_a_model_that_is_deleted_during_a_look_leaves_nothing(kit: Kit) -> None:
    def delete(session: Any) -> None:
        row = drift.alias_of(session, OF)
        assert row is not None
        session.delete(row)
        session.flush()
        forgetting.forget_model(session, organisation_id="acme", model_id=OF.model_id)
        session.delete(session.get_one(ModelRow, OF.model_id))

    prepare(kit)
    log(kit, np.random.default_rng(4), 60)
    look(kit, delete)
    assert kit.read(lambda session: list(session.scalars(select(DriftReferenceRow)))) == []


def test_of_two_looks_at_the_same_inputs_one_counts(kit: Kit) -> None:
    random = np.random.default_rng(5)
    prepare(kit)
    log(kit, random, 60)
    look(kit)
    log(kit, random, 60)
    look(kit, look_meanwhile)
    assert [row.number for row in windows(kit)] == [1]
    assert queued(kit) == 1, "what is left is looked at"
    look(kit)
    assert [row.number for row in windows(kit)] == [1, 2]


KINDS = ("a", "b")
SHIFTED = PredictionLog(reference=60, window=40)


def log_classes(kit: Kit, random: np.random.Generator, count: int, share: float) -> list[str]:
    """Inputs of two classes that lie apart, `share` of them of the first; their log's ids."""
    ids: list[str] = []

    def add(session: Any) -> None:
        at = now(session)
        for place in range(count):
            kind = 0 if place < share * count else 1
            row = random.normal(size=16) + 6 * np.eye(16)[kind]
            scores = {one: 0.9 if one == KINDS[kind] else 0.1 for one in KINDS}
            ids.append(new_id("log_"))
            session.add(
                LoggedPredictionRow(
                    id=ids[-1], organisation_id="acme", alias="live", model_id=OF.model_id,
                    prediction_id=f"pred_{ids[-1]}"[:40], place=0, sha256="0" * 64,
                    answer={"label": KINDS[kind], "probability": 0.9, "scores": scores},
                    embedding=row.astype("<f2").tobytes(), content_start=0, content_length=0,
                    lot=0.5, created_at=at, expires_at=at + 1000,
                )
            )  # fmt: skip
        session.flush()
        drift.queue(session, OF, SHIFTED)

    kit.commit(add)
    return ids


def say(kit: Kit, ids: list[str], *, audited: bool) -> None:
    """Feedback on logged inputs, as the app keeps it: each is what was answered."""

    def add(session: Any) -> None:
        at = now(session)
        for logged in ids:
            row = session.get_one(LoggedPredictionRow, logged)
            session.add(
                FeedbackRow(
                    id=new_id("fb_"), organisation_id="acme", alias="live", model_id=OF.model_id,
                    subject=f"{row.prediction_id}:0", prediction_id=row.prediction_id, place=0,
                    sha256=row.sha256, answer=row.answer, label=row.answer["label"],
                    unknown=False, audited=audited, source="api", actor="key_1",
                    content_length=0, created_at=at, updated_at=at,
                )
            )  # fmt: skip
            session.flush()
            if audited:
                drift.queue_labelled(session, OF)

    kit.commit(add)


def set_rule(session: Any) -> None:
    row = drift.alias_of(session, OF)
    assert row is not None
    row.prediction_log = SHIFTED.model_dump()


def test_labels_that_come_after_the_test_tell_what_has_changed(kit: Kit) -> None:
    """Audits are drawn from what was logged: reference and window are tested long before."""
    random = np.random.default_rng(6)
    prepare(kit)
    kit.commit(set_rule)
    first = log_classes(kit, random, 60, 0.8)
    look(kit)
    later = log_classes(kit, random, 40, 0.1)
    look(kit)
    (window,) = windows(kit)
    assert window.drifted
    assert [window.result[name] for name in ("given_class", "change")] == [None, None]
    say(kit, [*first[:4], *later[:2]], audited=False)
    assert queued(kit) == 0, "what callers volunteer is no draw: within a class it is mostly errors"
    say(kit, [*first[6:], *later[2:30]], audited=True)
    assert queued(kit) == 1, "one look is asked for, however many labels come"
    look(kit)
    (window,) = windows(kit)
    assert window.result["given_class"]["labelled"] == [54, 28]
    assert window.result["change"] == "class_mix"
    assert window.result["strangest"], "what else was found stays"
    before = window.result
    say(kit, later[30:], audited=True)
    look(kit)
    assert windows(kit)[0].result == before, "tested anew once labels tell twice as much"
    assert queued(kit) == 0


def test_the_reference_keeps_its_labels_when_the_log_has_let_its_inputs_go(kit: Kit) -> None:
    def forget(session: Any) -> None:
        for logged in first:
            session.delete(session.get_one(LoggedPredictionRow, logged))

    random = np.random.default_rng(7)
    prepare(kit)
    kit.commit(set_rule)
    first = log_classes(kit, random, 60, 0.5)
    look(kit)
    say(kit, first[15:45], audited=True)
    log_classes(kit, random, 40, 0.5)
    look(kit)
    kit.commit(forget)
    say(kit, log_classes(kit, random, 40, 0.5)[5:35], audited=True)
    look(kit)
    latest = windows(kit)[-1]
    assert (latest.number, latest.result["given_class"]["labelled"]) == (2, [30, 30])
    assert not latest.drifted


def test_four_windows_are_looked_at_together_where_the_log_has_them_still(kit: Kit) -> None:
    def forget(session: Any) -> None:
        session.delete(session.get_one(LoggedPredictionRow, parts[5][0]))

    random = np.random.default_rng(8)
    prepare(kit)
    kit.commit(set_rule)
    log_classes(kit, random, 60, 0.5)
    look(kit)
    parts = []
    for number in range(1, 9):
        parts.append(log_classes(kit, random, 40, 0.5))
        if number == 7:
            kit.commit(forget)
        look(kit)
    found = [row.result["outputs_mean_of_four"] is not None for row in windows(kit)]
    assert found == [False] * 3 + [True] + [False] * 4, "of the eighth's an input is gone"
