"""Names to models: remembered for less than a second, asked in bulk, never another tenant's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.core.errors import HeadstartError
from app.core.messages import Target
from app.http.resolver import Resolver
from app.infra.database import Sessions, make_sessions, open_engine, transaction
from app.infra.orm import JobRow
from app.infra.repositories import aliases, models
from tests.api.predictions.conftest import register
from tests.factories import make_dataset, migrated

TARGET = Target(model="m", backbone="b", artifact="models/m", sha256="0")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Sessions, list[str]]]:
    """Sessions with two tenants' models, and the statements that were sent."""
    engine = open_engine(f"sqlite:///{migrated(tmp_path)}")
    sessions = make_sessions(engine)
    for organisation in ("one", "two"):
        for number in range(5):
            name = f"ft:b:{organisation}::{number}"
            register(sessions, TARGET, name=name, organisation=organisation)
        with transaction(sessions) as session:
            model = f"ft:b:{organisation}::0"
            aliases.point(session, organisation_id=organisation, name="live", model_id=model)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    yield sessions, statements
    engine.dispose()


def run(sessions: Sessions, body: Callable[[Resolver], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        await body(Resolver(sessions))

    asyncio.run(go())


def test_many_names_cost_few_queries_and_then_none(database: tuple[Sessions, list[str]]) -> None:
    sessions, statements = database

    async def body(names: Resolver) -> None:
        wanted = [("one", f"ft:b:one::{number % 5}") for number in range(50)] + [("one", "live")]
        found = await asyncio.gather(*(names.resolve(*name) for name in wanted))
        assert [one.id for one in found[:5]] == [name for _, name in wanted[:5]]
        assert found[-1].id == "ft:b:one::0"
        selects = [one for one in statements if one.startswith("SELECT")]
        assert len(selects) <= 4
        assert names.recall("one", "live") is not None
        await names.resolve("one", "live")
        assert len([one for one in statements if one.startswith("SELECT")]) == len(selects)

    run(sessions, body)


def test_a_name_is_its_own_tenants(database: tuple[Sessions, list[str]]) -> None:
    async def body(names: Resolver) -> None:
        mine, theirs = await asyncio.gather(
            names.resolve("one", "live"), names.resolve("two", "live")
        )
        assert (mine.id, theirs.id) == ("ft:b:one::0", "ft:b:two::0")
        with pytest.raises(HeadstartError) as caught:
            await names.resolve("two", "ft:b:one::1")
        assert caught.value.code == "not_found"

    run(database[0], body)


def test_a_job_means_nothing_once_its_model_is_deleted(
    database: tuple[Sessions, list[str]],
) -> None:
    sessions, _ = database
    model = "ft:b:one::3"
    with transaction(sessions) as session:
        version = make_dataset(session, organisation_id="one")
        for name, status, made in (("1", "succeeded", model), ("2", "running", None)):
            session.add(
                JobRow(
                    id=f"ftjob-{name}", organisation_id="one", status=status, backbone="b",
                    dataset_id=version.dataset_id, version_id=version.id, method="auto",
                    hyperparameters={}, seed=1, model_id=made, created_at=1.0,
                )
            )  # fmt: skip

    async def body(names: Resolver) -> None:
        assert (await names.resolve("one", "ftjob-1")).id == model
        with transaction(sessions) as session:
            models.delete(session, organisation_id="one", model_id=model)
        names.forget()
        for job, code in (("ftjob-1", "not_found"), ("ftjob-2", "not_ready")):
            with pytest.raises(HeadstartError) as caught:
                await names.resolve("one", job)
            assert caught.value.code == code

    run(sessions, body)


def test_what_goes_is_forgotten_here_at_once_and_elsewhere_within_a_second(
    database: tuple[Sessions, list[str]],
) -> None:
    sessions, _ = database

    async def body(names: Resolver) -> None:
        elsewhere = Resolver(sessions)
        name = ("one", "ft:b:one::3")
        for one in (names, elsewhere):
            await one.resolve(*name)
        with transaction(sessions) as session:
            models.delete(session, organisation_id="one", model_id=name[1])
        names.forget()
        with pytest.raises(HeadstartError):
            await names.resolve(*name)
        await asyncio.sleep(1)
        with pytest.raises(HeadstartError):
            await elsewhere.resolve(*name)

    run(sessions, body)


def test_only_a_pinned_alias_pins(database: tuple[Sessions, list[str]]) -> None:
    sessions, _ = database
    with transaction(sessions) as session:
        aliases.point(
            session, organisation_id="one", name="held", model_id="ft:b:one::1", pinned=True
        )

    async def body(names: Resolver) -> None:
        held, live = await names.resolve("one", "held"), await names.resolve("one", "live")
        assert (held.alias, held.pinned, live.alias, live.pinned) == ("held", True, "live", False)
        plain = await names.resolve("one", "ft:b:one::1")
        assert (plain.alias, plain.pinned) == ("", False)

    run(sessions, body)


def test_a_question_that_cannot_be_asked_costs_only_those_who_asked_it(
    database: tuple[Sessions, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = Resolver._look_up

    def fails(self: Resolver, names: list[Any]) -> Any:
        if ("one", "bad") in names:
            raise ValueError("the driver says no")
        return look_up(self, names)

    monkeypatch.setattr(Resolver, "_look_up", fails)

    async def body(names: Resolver) -> None:
        with pytest.raises(ValueError, match="says no"):
            await names.resolve("one", "bad")
        found = await asyncio.wait_for(names.resolve("one", "live"), 10)
        assert found.id == "ft:b:one::0"

    run(database[0], body)
