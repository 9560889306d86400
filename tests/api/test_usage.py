"""Usage records: counted once, added up by day, kept over a restart, told to whom they concern."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target
from app.infra.database import Sessions, make_sessions, open_engine, transaction
from app.infra.orm import UsageRow
from app.infra.repositories import usage
from app.infra.repositories.usage import DAY_SECONDS, Kind, stored
from tests.api.service import Service, serve
from tests.api.uploading import DATASETS, code, made, small
from tests.factories import make_key

USAGE = "/v1/usage"
TODAY = datetime.now(UTC).date()


@pytest.fixture
def operator(service: Service) -> Iterator[httpx.Client]:
    key = make_key(service.services.sessions, "operators", scopes=("admin", "operator"))
    with service.client(key) as client:
        yield client


def note(sessions: Sessions, kind: Kind, subject: str, amount: float, *, days: int = 0) -> None:
    """Usage of `default`, of so many days ago."""
    whose = "default", kind, subject
    with transaction(sessions) as session:
        usage.add(session, {whose: amount})
        if days:
            of = update(UsageRow).where(UsageRow.kind == kind, UsageRow.subject == subject)
            session.execute(of.values(day=UsageRow.day - days))


def call(model: str, inputs: int, *others: str) -> Call:
    target = Target(model=model, backbone="b", artifact="", sha256="")
    return Call(
        id="pred_1",
        tenant="default",
        target=target,
        options=Options(),
        inputs=(Input("text", b"x"),) * inputs,
        single=False,
        others=tuple(Target(model=one, backbone="b", artifact="", sha256="") for one in others),
    )


def test_what_was_counted_is_told_and_outlives_a_restart(
    service: Service, client: httpx.Client, key: str
) -> None:
    tally = service.services.usage
    tally.answered(call("one", 3, "two"))
    tally.answered(call("one", 2))
    tally.flush(service.services.sessions)
    tally.flush(service.services.sessions)
    with serve(service.settings) as second:
        second.services.usage.answered(call("two", 4))
    with serve(service.settings) as third, third.client(key) as again:
        told = again.get(USAGE).json()
    assert told["total"]["requests"] == 4
    assert told["total"]["predictions"] == 3 + 3 + 2 + 4
    assert told["models"] == [
        {"model": "two", "requests": 2, "predictions": 7},
        {"model": "one", "requests": 2, "predictions": 5},
    ]
    assert [one["date"] for one in told["days"]] == [str(TODAY)]
    one = client.get(USAGE, params={"model": "one"}).json()
    assert (one["total"]["predictions"], len(one["models"])) == (5, 1)


def test_what_cannot_be_written_down_is_written_later(service: Service, tmp_path: Path) -> None:
    tally = service.services.usage
    tally.answered(call("one", 3))
    engine = open_engine(f"sqlite:///{tmp_path / 'without_tables.db'}")
    with pytest.raises(HeadstartError, match="database"):
        tally.flush(make_sessions(engine))
    engine.dispose()
    tally.answered(call("one", 3))
    tally.flush(service.services.sessions)
    with transaction(service.services.sessions) as session:
        ((_, _, _, requests), (_, _, _, inputs)) = sorted(
            usage.by_day(session, usage.Period(0, 10**5), organisation_id="default"),
            key=lambda row: row[3],
        )
    assert (requests, inputs) == (2, 6)


def test_days_are_those_that_are_asked_for(service: Service, client: httpx.Client) -> None:
    sessions = service.services.sessions
    note(sessions, "embedded_images", "", 10, days=40)
    note(sessions, "embedded_texts", "", 20, days=3)
    note(sessions, "worker_seconds", "fine_tune", 1.25)
    note(sessions, "worker_seconds", "embed", 2.5)
    recent = client.get(USAGE).json()
    assert (recent["total"]["embedded_images"], recent["total"]["embedded_texts"]) == (0, 20)
    assert (recent["total"]["job_seconds"], recent["total"]["worker_seconds"]) == (1.25, 3.75)
    assert recent["from"] == str(TODAY - timedelta(days=29))
    period = {"from": str(TODAY - timedelta(days=40)), "to": str(TODAY - timedelta(days=3))}
    past = client.get(USAGE, params=period).json()
    assert [(day["embedded_images"], day["embedded_texts"]) for day in past["days"]] == [
        (10, 0),
        (0, 20),
    ]
    assert past["total"]["worker_seconds"] == 0


@pytest.mark.parametrize(
    ("period", "why"),
    [
        ({"from": "2026-02-02", "to": "2026-02-01"}, "invalid_value"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "invalid_value"),
        ({"from": "yesterday"}, "invalid_request"),
        ({"to": "0001-01-01"}, "invalid_value"),
        ({"from": "9999-12-31"}, "invalid_value"),
    ],
)
def test_periods_that_make_no_sense_are_refused(
    client: httpx.Client, period: dict[str, str], why: str
) -> None:
    assert code(client.get(USAGE, params=period)) == (422, why)


def test_stored_bytes_are_the_most_of_the_day(service: Service, client: httpx.Client) -> None:
    dataset = made(client)
    stored.record(service.services.sessions)
    assert client.delete(f"{DATASETS}/{dataset['id']}").status_code == 200
    stored.record(service.services.sessions)
    told = client.get(USAGE).json()
    assert told["total"]["stored_bytes"] == told["days"][0]["stored_bytes"] == len(small())


def test_others_are_told_to_the_operator_alone(
    service: Service, client: httpx.Client, other_client: httpx.Client, operator: httpx.Client
) -> None:
    note(service.services.sessions, "predictions", "one", 7)
    everyone = f"{USAGE}/organizations"
    assert code(client.get(everyone)) == (403, "forbidden")
    assert code(other_client.get(USAGE, params={"organization": "default"})) == (403, "forbidden")
    assert other_client.get(USAGE).json()["total"]["predictions"] == 0
    mine = operator.get(USAGE, params={"organization": "default"}).json()
    assert (mine["organization_id"], mine["total"]["predictions"]) == ("default", 7)
    told = operator.get(everyone).json()
    assert [one["organization_id"] for one in told["data"]] == ["default"]
    assert told["data"][0]["total"]["predictions"] == 7
    assert operator.get(everyone, params={"after": "default"}).json()["data"] == []


def test_old_usage_is_dropped(service: Service, tmp_path: Path) -> None:
    sessions = service.services.sessions
    note(sessions, "embedded_images", "", 10, days=40)
    note(sessions, "embedded_texts", "", 20, days=3)
    with transaction(sessions) as session:
        assert usage.prune(session, days=0, limit=5) == 0
        assert usage.prune(session, days=30, limit=5) == 1
        left = list(usage.by_day(session, usage.Period(0, 10**5), organisation_id="default"))
    assert [(kind, amount) for _, kind, _, amount in left] == [("embedded_texts", 20)]
    assert DAY_SECONDS == 24 * 3600
