"""Jobs in lists: their order, pages and what narrows them."""

from __future__ import annotations

import httpx
import pytest

from tests.api.jobs.test_jobs import create, dataset
from tests.api.service import Service

JOBS = "/v1/fine_tuning/jobs"


def test_lists_go_newest_first_page_by_page(service: Service, client: httpx.Client) -> None:
    data = dataset(service)
    made = [create(client, data)["id"] for _ in range(5)]
    first = client.get(JOBS, params={"limit": 3}).json()
    assert first["object"] == "list"
    assert first["has_more"] is True
    rest = client.get(JOBS, params={"limit": 3, "after": first["data"][-1]["id"]}).json()
    assert rest["has_more"] is False
    seen = [job["id"] for job in first["data"] + rest["data"]]
    assert sorted(seen) == sorted(made)
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("count", [17, 1200])
def test_a_list_is_narrowed_by_as_many_as_a_job_can_have(client: httpx.Client, count: int) -> None:
    params = {f"metadata[{at}]": "x" for at in range(count)}
    answer = client.get(JOBS, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["param"] == "metadata"
    assert client.get(JOBS, params=dict(list(params.items())[:16])).json()["data"] == []


def test_lists_can_be_narrowed_by_metadata(service: Service, client: httpx.Client) -> None:
    data = dataset(service)
    create(client, data)
    wanted = create(client, data, metadata={'odd "key".$': "1", "stage": "prod"})["id"]
    create(client, data, metadata={"stage": "test"})
    for params in ({"metadata[stage]": "prod"}, {'metadata[odd "key".$]': "1"}):
        found = client.get(JOBS, params=params).json()["data"]
        assert [job["id"] for job in found] == [wanted]
    both = {"metadata[stage]": "prod", 'metadata[odd "key".$]': "2"}
    assert client.get(JOBS, params=both).json()["data"] == []


BAD_PAGES = [
    {"limit": "-1"},
    {"limit": "0"},
    {"limit": "101"},
    {"limit": "many"},
    {"limit": str(2**70)},
    {"after": "nonsense"},
    {"after": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3"},
    {"after": "x" * 300},
    {"after": "\0"},
]


@pytest.mark.parametrize("path", ["", "/{}/events", "/{}/checkpoints"])
def test_bad_cursors_and_limits_are_refused(
    service: Service, client: httpx.Client, path: str
) -> None:
    job = create(client, dataset(service))
    for params in BAD_PAGES if path else [*BAD_PAGES, {"metadata[a]": "\0"}]:
        answer = client.get(JOBS + path.format(job["id"]), params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), params
