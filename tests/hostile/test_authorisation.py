"""Promise 16: every operation by every kind of key, by the table in `placed`.

Foreign ids within bodies are asked for, too, and so are lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from sqlalchemy import update

from app.core.identity import SCOPES
from app.infra.database import now, transaction
from app.infra.orm import ApiKeyRow
from app.infra.settings import Settings
from app.main import ROOMS
from tests.api.service import Service, serve
from tests.api.uploading import made
from tests.factories import make_key, migrated
from tests.hostile.operations import CUSTOM_VISION, MISSING, Operation, operations
from tests.hostile.placed import HIDDEN, opens, placed
from tests.hostile.tenant import endow

pytestmark = pytest.mark.promise(16)
OTHERS_WORDS = ("/customvision/", "/tei/", "/mlflow/", "/models/", "/label-studio/", "/v2/")
"""Where problems have other services' shapes."""
EVERYBODYS = {
    f"GET {CUSTOM_VISION}training/domains",
    f"GET {CUSTOM_VISION}training/domains/{{domain}}",
    f"GET {CUSTOM_VISION}training/projects",
    f"POST {CUSTOM_VISION}training/projects",
}
"""Of their path nothing is anybody's."""
MAKES = {"PUT /v1/aliases/{name}", "POST /v1/aliases/{name}/promotions"}
"""What a path names they make, under a name that others may have, too."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    migrated(folder)
    with serve(Settings(data_dir=folder)) as running:
        yield running


@pytest.fixture(scope="module")
def everything(service: Service) -> list[Operation]:
    with service.client(None) as anybody:
        return operations(anybody.get("/openapi.json").json())


@pytest.fixture(scope="module")
def owned(service: Service) -> dict[str, str]:
    return endow(service)


def told(answer: httpx.Response) -> tuple[int, Any]:
    """Status and body, but for the request's id."""
    if not answer.content or "json" not in answer.headers["content-type"]:
        return answer.status_code, answer.content
    said = answer.json()
    if isinstance(said, dict):
        said.pop("request_id", None)
    return answer.status_code, said


def spoil(service: Service, key: str, **fields: Any) -> str:
    """The key, after its row was changed."""
    with transaction(service.services.sessions) as session:
        mine = update(ApiKeyRow).where(ApiKeyRow.prefix == key[:15])
        session.execute(mine.values(**{name: now(session) for name in fields}))
    return key


def hidden(router: APIRouter) -> Iterator[str]:
    """Operations that the document does not list."""
    for route in router.routes:
        if isinstance(route, APIRoute) and not route.include_in_schema:
            yield from (f"{method} {route.path}" for method in route.methods)


def test_every_operation_has_its_place(everything: list[Operation]) -> None:
    """One that is new is put into `tests/hostile/placed.py`: under what a key must have for it."""
    outside = {one for room in ROOMS for one in hidden(room)} | {"GET /openapi.json"}
    table = placed()
    assert {str(one) for one in everything} | outside == table.keys()
    assert {name for name, need in table.items() if need == HIDDEN} == outside


def test_only_what_is_open_answers_without_a_valid_key(
    service: Service, everything: list[Operation], owned: dict[str, str]
) -> None:
    sessions, table = service.services.sessions, placed()
    live = make_key(sessions)
    keys = {
        "none": None,
        "garbage": "hs_" + "0" * 40,
        "another secret": live[:-1] + ("x" if live[-1] != "x" else "y"),
        "short": "hs_short",
        "of elsewhere": "sk-proj-0000",
        "revoked": spoil(service, make_key(sessions), revoked_at=True),
        "expired": spoil(service, make_key(sessions), expires_at=True),
    }
    for kind, key in keys.items():
        with service.client(key) as client:
            for one in everything:
                got = one.ask(client, **owned)
                if table[str(one)] == "open":
                    assert got.status_code in (200, 503), (kind, str(one))
                    continue
                assert got.status_code == 401, (kind, str(one))
                assert got.headers["www-authenticate"].startswith("Bearer")
                if not one.path.startswith(OTHERS_WORDS) and "code" in got.json():
                    assert got.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_opens_what_it_is_for_and_nothing_else(
    service: Service, everything: list[Operation], owned: dict[str, str], scope: str
) -> None:
    """What is refused is asked about the tenant's own things, what is allowed about nobody's."""
    table = placed()
    with service.client(make_key(service.services.sessions, scopes=[scope])) as client:
        for one in everything:
            if opens(table[str(one)], [scope]):
                status = one.ask(client, organization="me").status_code
                assert status not in (401, 403), (str(one), status)
                assert status < 500 or status == 503, (str(one), status)
                continue
            status, said = told(one.ask(client, **owned))
            assert status == 403, (str(one), status, said)
            if not one.path.startswith(OTHERS_WORDS) and "code" in said:
                assert said["code"] == "forbidden", str(one)


@pytest.mark.parametrize("scopes", [["admin"], ["admin", "operator"]], ids="-".join)
def test_somebody_elses_things_look_like_none(
    service: Service, everything: list[Operation], owned: dict[str, str], scopes: list[str]
) -> None:
    """Operators see other tenants' keys and bounds, which they are there for, and nothing else."""
    name = f"other-{len(scopes)}"
    wrong, checked = [], 0
    with service.client(make_key(service.services.sessions, name, scopes)) as stranger:
        for one in everything:
            if not one.names or placed()[str(one)] == "open" or str(one) in EVERYBODYS | MAKES:
                continue
            account = one.path.startswith(("/v1/api_keys", "/v1/organizations"))
            if account and "operator" in scopes:
                continue
            theirs, nobodys = told(one.ask(stranger, **owned)), told(one.ask(stranger))
            refused = 403 if one.path.startswith("/v1/organizations") else 404
            if theirs != nobodys or theirs[0] != refused:
                wrong.append((str(one), theirs, nobodys))
            checked += 1
    assert wrong == []
    assert checked >= 120


def test_a_stranger_cannot_name_what_is_not_his(service: Service, owned: dict[str, str]) -> None:
    """Ids within bodies: of datasets, of models to grow from or to give an alias."""
    jobs, mine = "/v1/fine_tuning/jobs", "efficientnet_lite0"
    with service.client(make_key(service.services.sessions, "other")) as stranger:
        own = made(stranger)["id"]

        def tries(ids: dict[str, str]) -> list[tuple[int, Any]]:
            grow = {"type": "auto", "auto": {"from_model": ids["model"]}}
            bodies = [
                {"model": mine, "training_file": ids["dataset_id"]},
                {"model": mine, "training_file": own, "validation_file": ids["dataset_id"]},
                {"model": mine, "training_file": own, "method": grow},
                {"model": ids["model"], "training_file": own},
            ]
            found = [told(stranger.post(jobs, json=body)) for body in bodies]
            batch = {"model": ids["model"], "dataset": ids["dataset_id"]}
            found.append(told(stranger.post("/v1/batch_predictions", json=batch)))
            alias = {"model": ids["model"]}
            found.append(told(stranger.put("/v1/aliases/mine", json=alias)))
            hook = {"name": "x", "dataset": ids["dataset_id"], "alias": "mine"}
            hook |= {"job": {"model": mine}, "triggers": [{"type": "inbound"}]}
            return [*found, told(stranger.post("/v1/hooks", json=hook))]

        assert tries(owned) == (nobodys := tries(MISSING))
        assert {status for status, _ in nobodys} == {404}


def test_lists_show_only_ones_own(
    service: Service, everything: list[Operation], owned: dict[str, str]
) -> None:
    mine = set(owned.values()) - {"default", "production"}
    with service.client(make_key(service.services.sessions, "third")) as stranger:
        for one in everything:
            if one.method == "GET" and not set(one.names) - {"version"}:
                listed = one.ask(stranger)
                expected = 403 if "operator" in placed()[str(one)] else 200
                without_predictor = one.path in ("/health", "/info", "/ping", "/v2/health/ready")
                allowed = (503, 404) if without_predictor else ()
                assert listed.status_code in (expected, *allowed), (str(one), listed.text)
                assert not [name for name in mine if name in listed.text], str(one)


def test_a_cursor_of_somebody_elses_tells_nothing(
    service: Service, everything: list[Operation], owned: dict[str, str]
) -> None:
    """`?after=` with a foreign id answers as with one that nobody has."""
    asked = 0
    with service.client(make_key(service.services.sessions, "fourth")) as stranger:
        for one in everything:
            if one.method != "GET" or one.names or not one.path.startswith("/v1/"):
                continue
            for name, foreign in owned.items():
                theirs = told(stranger.get(one.path, params={"after": foreign}))
                nobodys = told(stranger.get(one.path, params={"after": MISSING[name]}))
                if theirs[0] != 422 or nobodys[0] != 422:
                    assert theirs == nobodys, (one.path, name)
                    asked += 1
    assert asked >= 8
