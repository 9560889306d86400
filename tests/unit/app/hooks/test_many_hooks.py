"""However many hooks there are, looking for news is as many queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, func, select

from app.core.messages import Target
from app.feedback.watching import watch_quality
from app.hooks import new_labels
from app.infra.database import Sessions, make_sessions, open_engine, reading, transaction
from app.infra.orm import FeedbackRow, HookRow, HookRunRow
from app.infra.repositories import aliases
from app.infra.repositories.live import feedback, watched
from app.infra.settings import Settings
from tests.api.predictions.conftest import register
from tests.factories import make_dataset, migrated

ALIAS, MODEL = "live", "ft:b:default::m"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Sessions, list[str]]]:
    """Sessions with a dataset and an alias, and the statements that were sent."""
    engine = open_engine(f"sqlite:///{migrated(tmp_path)}")
    sessions = make_sessions(engine)
    register(sessions, Target(model="m", backbone="b", artifact="models/m", sha256="0"),
             name=MODEL, organisation="default")  # fmt: skip
    with transaction(sessions) as session:
        aliases.point(session, organisation_id="default", name=ALIAS, model_id=MODEL)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    yield sessions, statements
    engine.dispose()


def hooks(sessions: Sessions, many: int, **said: Any) -> None:
    """So many hooks on a dataset of their own, which nothing has come for."""
    with transaction(sessions) as session:
        version = make_dataset(session)
        told = {
            "organisation_id": "default", "name": "n", "dataset_id": version.dataset_id,
            "alias": ALIAS, "job": {}, "gate": {}, "debounce_seconds": 0.0, "max_runs_per_day": 9,
            "secret": "s", "trained_version": 1, "looked_version": 1, "created_at": 0.0,
            "updated_at": 0.0, "enabled": True,
            "triggers": [{"type": "labels", "count": 1}, {"type": "quality", "below": 0.9}],
        }  # fmt: skip
        before = session.scalar(select(func.count()).select_from(HookRow)) or 0
        for number in range(before, before + many):
            session.add(HookRow(id=f"hook_{number:04}", **(told | said)))


def say(sessions: Sessions, number: int, **said: Any) -> None:
    told = {
        "organisation_id": "default", "subject": f"s{number}", "alias": ALIAS, "model_id": MODEL,
        "place": 0, "sha256": f"{number}", "answer": {"label": "a"}, "label": "b",
        "unknown": False, "audited": False, "source": "api", "actor": "k", "content_key": "c",
        "content_length": 1, "created_at": 0.0, "updated_at": 1.0,
    }  # fmt: skip
    with transaction(sessions) as session:
        session.add(FeedbackRow(id=f"fb_{number}", **(told | said)))


def test_looking_is_as_many_queries_for_three_hooks_as_for_three_hundred(
    database: tuple[Sessions, list[str]],
) -> None:
    sessions, statements = database
    services: Any = SimpleNamespace(sessions=sessions, pending_feedback=feedback.pending)
    say(sessions, 0, label=None, correct=True, audited=True)
    sent, seen = [], {}
    for many in (3, 297):
        hooks(sessions, many)
        watch_quality(services, seen)
        statements.clear()
        assert new_labels.look(services) == 0
        assert watch_quality(services, seen) == 0
        sent.append(len(statements))
    assert sent[0] == sent[1]


@pytest.mark.parametrize(
    ("hook", "is_news"),
    [
        ({}, True),
        ({"pending_feedback": 3}, False),
        ({"pending_feedback": 1, "audited_only": True}, False),
        ({"pending_feedback": 3, "audited_only": True}, True),
        ({"apply_feedback": False}, False),
        ({"apply_feedback": False, "pending_feedback": 1}, True),
        ({"pending_feedback": 3, "looked_version": 0}, True),
        ({"pending_feedback": 3, "looked_version": 0, "enabled": False}, False),
        ({"looked_version": 0, "triggers": [{"type": "inbound"}]}, False),
        ({"looked_version": 0, "organisation_id": "other", "pending_feedback": 0}, True),
        ({"organisation_id": "other", "pending_feedback": 0}, False),
    ],
)
def test_news_are_newer_versions_and_labels_that_wait(
    database: tuple[Sessions, list[str]], hook: dict[str, Any], is_news: bool
) -> None:
    sessions, _ = database
    with transaction(sessions) as session:
        make_dataset(session, organisation_id="other")
    say(sessions, 0)
    say(sessions, 1, audited=True)
    say(sessions, 2)
    say(sessions, 3, sha256="2")
    say(sessions, 4, content_key=None)
    say(sessions, 5, label=None, correct=True)
    say(sessions, 6, applied={"dataset": "d", "version": 1})
    hooks(sessions, 1, **hook)
    with reading(sessions) as session:
        assert [one.id for one in watched.with_labels(session)] == ["hook_0000"] * is_news


def test_quality_is_looked_at_again_once_more_is_said(
    database: tuple[Sessions, list[str]], tmp_path: Path
) -> None:
    sessions, _ = database
    doorbell = SimpleNamespace(ring=list)
    services: Any = SimpleNamespace(
        sessions=sessions, settings=Settings(data_dir=tmp_path), doorbell=doorbell
    )
    hooks(sessions, 1)
    seen: dict[str, tuple[Any, ...]] = {}
    pulled = []
    for number in range(16):
        say(sessions, number, label="b", audited=True)
        pulled.append(watch_quality(services, seen))
        assert watch_quality(services, seen) == 0
    assert sum(pulled) >= 1
    assert pulled[0] == 0
    with reading(sessions) as session:
        causes = session.scalars(select(HookRunRow.cause)).all()
    assert {cause["type"] for cause in causes} == {"quality"}
