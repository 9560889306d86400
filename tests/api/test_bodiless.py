"""What an operation that takes no body is told in one is refused, and an empty one is none."""

from __future__ import annotations

import httpx
import pytest

EMPTY = [b"", b"{}", b" {} \n", b"null"]
SAYS = [b'{"secret": "mine"}', b'["mine"]', b"secret=mine", b"{}" * 40_000]


def hook_of(client: httpx.Client) -> str:
    made = client.post(
        "/v1/webhooks", json={"url": "https://example.com/in", "events": ["job.succeeded"]}
    )
    assert made.status_code == 201, made.text
    return f"/v1/webhooks/{made.json()['id']}/secret"


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("said", SAYS)
def test_a_wish_that_nobody_reads_is_refused(client: httpx.Client, said: bytes, kind: str) -> None:
    path = hook_of(client)
    answer = client.post(path, content=said, headers={"content-type": kind})
    wanted = "invalid_request" if said[-2:] in (b'"}', b'"]') else "invalid_json"
    assert (answer.status_code, answer.json()["code"]) == (422, wanted)


@pytest.mark.parametrize("said", EMPTY)
def test_a_body_that_says_nothing_is_none(client: httpx.Client, said: bytes) -> None:
    answer = client.post(
        hook_of(client), content=said, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
