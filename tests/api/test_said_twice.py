"""What a request says twice, with two values, is refused at every door: which one was meant?"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from app.core.errors import HeadstartError
from app.hooks.inbound import call_of
from tests.api.service import Service

pytestmark = pytest.mark.slow


def _json_operations(service: Service) -> list[tuple[str, str]]:
    """Method and path of every operation that reads JSON."""
    paths: dict[str, Any] = service.app.openapi()["paths"]
    return [
        (method.upper(), path)
        for path, told in paths.items()
        for method, one in told.items()
        if "application/json" in one.get("requestBody", {}).get("content", {})
    ]


def test_every_body_of_json(service: Service, client: httpx.Client) -> None:
    operations = _json_operations(service)
    assert len(operations) > 30
    refused = 0
    for method, path in operations:
        there = re.sub(r"\{\w+\}", "m", path)
        headers = {"content-type": "application/json"}
        answer = client.request(method, there, content=b'{"q": 1, "q": 2}', headers=headers)
        told = answer.json()
        if answer.status_code == httpx.codes.NOT_FOUND:  # it was asked what there is, first
            continue
        assert answer.status_code == 422, (path, told)
        assert told["type"].endswith(":invalid_json"), (path, told)
        assert told["detail"] == '"q" is there twice, as 1 and as 2: leave one of them out'
        refused += 1
    assert refused > 30


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_nothing_is_made_of_it(client: httpx.Client, headers: dict[str, str]) -> None:
    told = {"content-type": "application/json", **headers}
    body = b'{"name": "one", "name": "two", "scopes": ["read"]}'
    assert client.post("/v1/api_keys", content=body, headers=told).status_code == 422
    names = [one["name"] for one in client.get("/v1/api_keys").json()["data"]]
    assert not {"one", "two"} & set(names)


def test_a_signed_call_of_a_hook() -> None:
    with pytest.raises(HeadstartError, match='"force" is there twice') as caught:
        call_of(b'{"force": false, "force": true}')
    assert caught.value.code == "invalid_json"
    assert call_of(b'{"force": true, "force": true}').force


def test_a_field_of_a_form(client: httpx.Client) -> None:
    parts = [("classes", (None, '["cat", "dog"]')), ("classes", (None, '["dog"]'))]
    answer = client.post("/v1/datasets", files=[*parts, ("modality", (None, "image"))])
    assert (answer.status_code, answer.json()["param"]) == (422, "classes")
    again = client.post("/v1/datasets", files=[parts[0], parts[0], ("modality", (None, "image"))])
    assert again.status_code == 201, again.text


def test_a_field_of_json_in_a_form(client: httpx.Client) -> None:
    fields = {"model": "m", "thresholds": '{"a": 0.1, "a": 0.2}'}
    answer = client.post("/v1/batch_predictions", data=fields, files={"file": b"text\na\n"})
    assert (answer.status_code, answer.json()["param"]) == (422, "thresholds")
    assert '"a" is there twice' in answer.json()["detail"]


def test_a_parameter_of_a_query(client: httpx.Client) -> None:
    answer = client.get("/v1/datasets?limit=1&limit=2")
    assert (answer.status_code, answer.json()["param"]) == (422, "limit")
    assert client.get("/v1/datasets?limit=2&limit=2").status_code == 200
    one_a_model = client.post("/v1/predictions?models=a&models=b", content=b"x").json()
    assert "twice" not in one_a_model["detail"]
