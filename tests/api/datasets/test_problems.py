"""What was rejected or is doubtful is told by the page, and marks its examples."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.uploading import DATASETS, code, examples, made, send
from tests.archives import folders, png, zipped

pytestmark = pytest.mark.slow

NUMBER = 130


def doubled() -> bytes:
    """A picture under two labels as often as there are problems to be, and two that are fine."""
    many = {f"a/{at:04}.png": png(1) for at in range(NUMBER - 1)}
    return zipped({**many, "b/1.png": png(1), "b/2.png": png(2), "a/9.png": png(3)})


def listed(client: httpx.Client, dataset: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    """All problems, page by page."""
    told: list[dict[str, Any]] = []
    while True:
        after = {"after": told[-1]["id"]} if told else {}
        answer = client.get(
            f"{DATASETS}/{dataset}/problems", params={"limit": limit, **query, **after}
        )
        assert answer.status_code == 200, answer.text
        told += answer.json()["data"]
        if not answer.json()["has_more"]:
            return told


@pytest.mark.parametrize("limit", [1000, 65, 1])
def test_every_problem_is_listed_once_and_the_first_are_shown(
    client: httpx.Client, limit: int
) -> None:
    dataset = made(client, doubled())["id"]
    shown = client.get(f"{DATASETS}/{dataset}").json()
    assert (shown["num_problems"], len(shown["problems"])) == (NUMBER, 100)
    assert client.get(f"{DATASETS}/{dataset}/versions/1").json()["problems"] == shown["problems"]
    told = listed(client, dataset, limit)
    assert [one["code"] for one in told] == ["label_conflict"] * NUMBER
    assert len({one["example_id"] for one in told}) == len({one["id"] for one in told}) == NUMBER
    bare = [{name: one[name] for name in shown["problems"][0]} for one in told]
    assert bare[:100] == shown["problems"]


def test_examples_say_that_they_are_excluded_and_files_leave_them_out(
    client: httpx.Client,
) -> None:
    dataset = made(client, doubled())["id"]
    told = examples(client, dataset)
    assert sorted(one["path"] for one in told if not one["excluded"]) == ["a/9.png", "b/2.png"]
    bad = next(one for one in told if one["excluded"])
    path = f"{DATASETS}/{dataset}/examples/{bad['id']}"
    assert client.get(path).json()["excluded"] is True
    content = client.get(f"/v1/files/{dataset}/content").content
    assert content.count(b"PNG") == 2


def test_problems_of_a_version_that_has_none_and_of_nothing(client: httpx.Client) -> None:
    dataset = made(client, zipped(folders({"a": 2, "b": 2})))["id"]
    path = f"{DATASETS}/{dataset}/problems"
    assert client.get(path).json() == {"object": "list", "data": [], "has_more": False}
    assert client.get(path, params={"after": "problem_000000099"}).json()["data"] == []
    assert code(client.get(path, params={"after": "problem_x"})) == (422, "invalid_request")
    assert code(client.get(path, params={"version": 2})) == (404, "not_found")
    assert code(client.get(f"{DATASETS}/ds_{'0' * 26}/problems")) == (404, "not_found")


def test_a_replay_shows_as_much(client: httpx.Client) -> None:
    headers = {"idempotency-key": "k"}
    data = doubled()
    first = send(client, data, headers=headers)
    again = send(client, data, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(first.json()["problems"]) == 100


def test_a_cursor_of_another_dataset_tells_nothing(client: httpx.Client) -> None:
    """A version's id that is somebody else's is no place in this list, whatever its number."""
    first, second = made(client)["id"], made(client)["id"]
    client.patch(
        f"{DATASETS}/{second}/examples/{examples(client, second)[0]['id']}", json={"label": "b"}
    )
    versions = client.get(f"{DATASETS}/{second}/versions").json()["data"]
    for foreign in (versions[0]["id"], "dsv_" + "0" * 26):
        found = client.get(f"{DATASETS}/{first}/versions", params={"after": foreign}).json()
        assert found == {"object": "list", "data": [], "has_more": False}
