"""Examples are erased from every version, and uploads do not bring them back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.infra.database import reading
from app.infra.orm import AuditEntryRow, ExampleErasureRow
from tests.api.datasets.test_examples import example_at
from tests.api.service import Service
from tests.api.uploading import DATASETS, appended, code, examples, finish, made, send
from tests.archives import png, zipped

pytestmark = pytest.mark.slow

ONE, OTHER, LEFT, LATER = (png(700 + number) for number in range(4))
OF_PATIENT_7 = {"a/one.png": ONE, "a/other.png": OTHER}


def grouped(members: dict[str, bytes], of_group: dict[str, str]) -> bytes:
    """An archive whose list says to which group a member belongs."""
    lines = [
        {"path": path, "label": path.partition("/")[0], "group": of_group.get(path, path)}
        for path in members
    ]
    listed = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return zipped({**members, "metadata.jsonl": listed})


def cells(service: Service, client: httpx.Client) -> str:
    """A ready dataset of two versions: two pictures of patient 7 among six."""
    members = {**OF_PATIENT_7, "a/left.png": LEFT, "b/1.png": png(1), "b/2.png": png(2)}
    of_group = dict.fromkeys(OF_PATIENT_7, "patient-7")
    name = str(made(client, grouped(members, of_group))["id"])
    finish(service, name)
    appended(client, name, {"b/later.png": LATER})
    finish(service, name)
    return name


def erase(client: httpx.Client, name: str, **body: Any) -> httpx.Response:
    return client.post(f"{DATASETS}/{name}/erasures", json=body)


def erased(client: httpx.Client, name: str, **body: Any) -> dict[str, Any]:
    answer = erase(client, name, **body)
    assert answer.status_code == 201, answer.text
    told = dict(answer.json())
    assert answer.headers["location"] == f"{DATASETS}/{name}/erasures/{told['id']}"
    return told


def stored_bytes(service: Service) -> bytes:
    """All that lies in storage."""
    held = service.services.storage
    return b"".join(held.fetch(key).read_bytes() for key in held.keys(""))


def test_a_group_is_gone_from_all_versions(service: Service, client: httpx.Client) -> None:
    name = cells(service, client)
    before = stored_bytes(service)
    assert ONE in before
    told = erased(client, name, group="patient-7")
    assert (told["contents"], told["elsewhere"], told["models_fitted_on_it"]) == (2, [], [])
    assert told["versions"] == [{"version": 1, "erased": 2}, {"version": 2, "erased": 2}]
    assert told["status"] == "done"
    assert told["deletion"]["removed"]["examples"] == 4
    for number, left in ((1, 3), (2, 4)):
        version = client.get(f"{DATASETS}/{name}/versions/{number}").json()
        assert (version["num_examples"], version["num_erased"]) == (left, 2)
        assert version["erased_at"] >= told["created_at"]
        assert sum(one["count"] for one in version["classes"]) == left
        listed = examples(client, name, version=number)
        assert len(listed) == left
        assert "patient-7" not in {one["group"] for one in listed}
        for one in listed:
            url = f"{DATASETS}/{name}/examples/{one['id']}/content"
            content = client.get(url, params={"version": number}).content
            assert content in (LEFT, LATER, png(1), png(2))
    after = stored_bytes(service)
    assert LEFT in after
    for gone in (ONE, OTHER, b"patient-7", b"a/one.png"):
        assert gone not in after
    url = f"{DATASETS}/{name}/erasures"
    assert client.get(f"{url}/{told['id']}").json() == told
    assert client.get(url).json()["data"] == [told]


def test_statistics_and_diffs_are_of_what_is_left(service: Service, client: httpx.Client) -> None:
    name = cells(service, client)
    url = f"{DATASETS}/{name}/versions"
    assert client.get(f"{url}/1/statistics").status_code == 200
    erased(client, name, examples=[example_at(client, name, "a/one.png")])
    counted = client.get(f"{url}/1/statistics").json()
    assert sum(one["num_examples"] for one in counted["splits"]) == 4
    diff = client.get(f"{url}/2/diff", params={"from": 1})
    assert diff.status_code == 200, diff.text
    assert "a/one.png" not in diff.text
    exported = client.get(f"{url}/1/export", params={"format": "folder"})
    assert ONE not in exported.content
    assert OTHER in exported.content


def test_what_a_later_upload_repeats_is_erased_too(service: Service, client: httpx.Client) -> None:
    """The pack of an upload has a copy of what was there, which no version names."""
    name = cells(service, client)
    appended(client, name, {"a/again.png": ONE, "b/new.png": png(9)})
    finish(service, name)
    assert stored_bytes(service).count(ONE) == 2
    erased(client, name, sha256=example_sha(client, name, "a/one.png"))
    assert ONE not in stored_bytes(service)
    assert png(9) in stored_bytes(service)


def example_sha(client: httpx.Client, name: str, path: str) -> str:
    return next(one["sha256"] for one in examples(client, name) if one["path"] == path)


def test_an_upload_does_not_bring_it_back(service: Service, client: httpx.Client) -> None:
    name = cells(service, client)
    erased(client, name, group="patient-7")
    again = appended(client, name, {"a/one.png": ONE, "b/new.png": png(9)})
    assert {one["code"] for one in again["problems"]} == {"example_erased"}
    assert "b/new.png" in {one["path"] for one in examples(client, name)}
    assert ONE not in stored_bytes(service)
    whole = zipped({"a/x.png": ONE, "a/y.png": OTHER})
    refused = send(client, whole, to=f"{DATASETS}/{name}/examples")
    assert code(refused) == (422, "example_erased")
    dry = client.post(
        f"{DATASETS}/{name}/examples", params={"validate_only": "true"},
        files={"file": ("set.zip", zipped({"a/one.png": ONE, "b/8.png": png(8)}))},
    )  # fmt: skip
    assert dry.status_code == 200, dry.text
    assert dry.json()["num_examples"] == 6
    anew = made(client, zipped({"a/one.png": ONE, "b/new.png": png(9)}))
    assert anew["num_examples"] == 2, "another dataset takes it"


def test_the_same_content_elsewhere_is_told(service: Service, client: httpx.Client) -> None:
    name = cells(service, client)
    other = made(client, zipped({"x/one.png": ONE, "y/1.png": png(50)}))["id"]
    told = erased(client, name, group="patient-7")
    assert told["elsewhere"] == [{"object": "dataset", "id": other, "contents": 1}]
    assert told["deletion"]["kept"]["contents"] == 1
    assert ONE in stored_bytes(service)


def test_a_dropped_example_is_found_in_older_versions(
    service: Service, client: httpx.Client
) -> None:
    name = cells(service, client)
    gone = example_at(client, name, "a/one.png")
    client.delete(f"{DATASETS}/{name}/examples/{gone}").raise_for_status()
    finish(service, name)
    told = erased(client, name, examples=[gone])
    assert [one["version"] for one in told["versions"]] == [1, 2]
    third = client.get(f"{DATASETS}/{name}/versions/3").json()
    assert (third["num_erased"], third["erased_at"]) == (0, None)
    assert len(examples(client, name)) == 5
    assert ONE not in stored_bytes(service)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"examples": []},
        {"group": "g", "sha256": "0" * 64},
        {"examples": ["ex_1"]},
        {"group": "g", "models": "perhaps"},
        {"sha256": "x"},
        {"group": "g", "more": 1},
    ],
)
def test_bad_requests_are_refused(
    service: Service, client: httpx.Client, body: dict[str, Any]
) -> None:
    name = cells(service, client)
    assert code(erase(client, name, **body)) == (422, "invalid_request")


def test_what_is_not_there_is_said(
    service: Service, client: httpx.Client, other_client: httpx.Client
) -> None:
    name = cells(service, client)
    for body in ({"group": "patient-8"}, {"sha256": "0" * 64}, {"examples": ["ex_" + "0" * 24]}):
        assert code(erase(client, name, **body)) == (404, "not_found")
    assert code(erase(client, "ds_none", group="g")) == (404, "not_found")
    assert code(erase(other_client, name, group="patient-7")) == (404, "not_found")
    told = erased(client, name, group="patient-7")
    url = f"{DATASETS}/{name}/erasures"
    assert other_client.get(url).status_code == 404
    assert other_client.get(f"{url}/{told['id']}").status_code == 404
    assert client.get(f"{url}/era_none").status_code == 404
    assert code(erase(client, name, group="patient-7")) == (404, "not_found")


def test_a_key_erases_once(service: Service, client: httpx.Client) -> None:
    name = cells(service, client)
    url, headers = f"{DATASETS}/{name}/erasures", {"Idempotency-Key": "once"}
    first = client.post(url, json={"group": "patient-7"}, headers=headers)
    again = client.post(url, json={"group": "patient-7"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    other = client.post(url, json={"group": "else"}, headers=headers)
    assert code(other) == (422, "idempotency_mismatch")
    assert len(client.get(url).json()["data"]) == 1


def test_while_a_version_is_in_the_making_it_is_refused(
    service: Service, client: httpx.Client
) -> None:
    name = cells(service, client)
    appended(client, name, {"b/next.png": png(30)})
    assert code(erase(client, name, group="patient-7")) == (409, "in_use")
    finish(service, name)
    erased(client, name, group="patient-7")


def test_it_is_told_of_without_what_it_was(service: Service, client: httpx.Client) -> None:
    name = cells(service, client)
    told = erased(client, name, group="patient-7")
    with reading(service.services.sessions) as session:
        (deed,) = session.query(AuditEntryRow).filter_by(action="erase_examples")
        receipt = session.get_one(ExampleErasureRow, told["id"])
    assert deed.object_id == name
    kept = json.dumps([receipt.marks, receipt.versions, receipt.models, receipt.elsewhere])
    assert "ex_" not in kept
    assert "patient-7" not in kept + json.dumps(told)
    assert len(receipt.marks) == 2


def test_a_dataset_goes_with_its_erasures(service: Service, client: httpx.Client) -> None:
    name = cells(service, client)
    told = erased(client, name, group="patient-7")
    client.delete(f"{DATASETS}/{name}").raise_for_status()
    with reading(service.services.sessions) as session:
        assert session.get(ExampleErasureRow, told["id"]) is None
    assert stored_bytes(service) == b""
