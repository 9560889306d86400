"""Texts that Postgres keeps nowhere, in every place of a path or a query that takes one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.infra.settings import Settings
from tests.api.service import Service, serve
from tests.factories import make_key, migrated
from tests.hostile.operations import Operation, operations

NUL = "a\0b"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    migrated(folder)
    with serve(Settings(data_dir=folder)) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client(make_key(service.services.sessions)) as found:
        yield found


def test_no_query_parameter_takes_a_nul(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    asked = 0
    for one in operations(document):
        told = document["paths"][one.path][one.method.lower()].get("parameters", [])
        for name in [each["name"] for each in told if each["in"] == "query"]:
            answer = _ask(client, one, one.at({}), {name: NUL})
            assert answer.status_code == 422, (str(one), name, answer.text)
            asked += 1
    assert asked > 50


def test_no_path_takes_a_nul(client: httpx.Client) -> None:
    for one in operations(client.get("/openapi.json").json()):
        for name in one.names:
            answer = _ask(client, one, one.at({name: "a%00b"}), {})
            assert answer.status_code in (404, 422), (str(one), name, answer.text)


def _ask(client: httpx.Client, one: Operation, path: str, query: dict[str, str]) -> httpx.Response:
    sends = {**one.sends, "params": {**one.sends.get("params", {}), **query}}
    return client.request(one.method, path, **sends)
