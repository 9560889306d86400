"""Feedback by prediction or input, audits, suggestions, and the version that it makes."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import httpx
import pytest

from app.core.errors import HeadstartError
from app.feedback import giving
from app.http.dependencies import Services
from app.infra.database import reading
from app.infra.orm import FeedbackRow
from app.infra.repositories.live import feedback as rows
from tests.api.feedback.conftest import ALIAS, DIGITS, URL, Kept, Logged, ask, switch_on
from tests.api.hooks.conftest import until
from tests.api.service import Service
from tests.archives import zipped

pytestmark = pytest.mark.slow

HERE = f"/v1/models/{ALIAS}"


def give(client: httpx.Client, **body: Any) -> dict[str, Any]:
    told = client.post(f"{HERE}/feedback", json=body)
    assert told.status_code == 201, told.text
    found: dict[str, Any] = told.json()
    return found


def image(data: bytes) -> dict[str, str]:
    return {"image": base64.b64encode(data).decode()}


def pending(services: Services) -> int:
    with reading(services.sessions) as session:
        return rows.pending(session, "default", ALIAS)


def test_a_prediction_is_named_at_once_by_its_id(client: httpx.Client, service: Service) -> None:
    switch_on(client)
    data, right = DIGITS[0]
    answer = ask(client, data)
    said = answer.json()["data"][0]["label"]
    told = give(client, prediction_id=answer.headers["x-headstart-prediction-id"], label=right)
    assert (told["label"], told["correct"]) == (right, said == right)
    assert (told["alias"], told["audited"], told["content"]) == (ALIAS, False, True)
    assert client.get(f"{HERE}/feedback/{told['id']}").json() == told
    assert pending(service.services) == 1
    again = give(client, prediction_id=answer.json()["id"], correct=False)
    assert (again["id"], again["correct"], again["label"]) == (told["id"], False, None)
    assert pending(service.services) == 0
    listed = client.get(f"{HERE}/feedback").json()["data"]
    assert [one["id"] for one in listed] == [told["id"]]
    assert client.delete(f"{HERE}/feedback/{told['id']}").json()["deleted"] is True
    assert client.get(f"{HERE}/feedback").json()["data"] == []


def test_an_input_itself_needs_no_log(client: httpx.Client, model: str) -> None:
    data, right = DIGITS[0]
    told = give(client, input=image(data), label=right)
    assert told["predicted"]["label"] in {"0", "1", "2"}
    assert told["prediction_id"] is None
    new = give(client, input=image(data), label="seven")
    assert (new["id"], new["correct"]) == (told["id"], False)
    assert "no class 'seven'" in new["notes"][0]
    unknown = give(client, input=image(DIGITS[1][0]), unknown=True)
    assert unknown["correct"] is unknown["predicted"]["unknown"]
    by_id = client.post(f"/v1/models/{model}/feedback", json={"input": image(data), "label": "1"})
    assert by_id.json()["alias"] is None
    gone = client.delete(f"/v1/models/{model}/feedback/{by_id.json()['id']}")
    assert gone.json()["deleted"] is True


def test_what_says_nothing_or_two_things_is_refused(client: httpx.Client) -> None:
    data = image(DIGITS[0][0])
    said = client.post(f"{HERE}/predictions", json={"inputs": [data]}).json()["data"][0]["label"]
    bad: list[dict[str, Any]] = [
        {"input": data},
        {"label": "1"},
        {"input": data, "prediction_id": "pred_1", "label": "1"},
        {"input": data, "label": "1", "unknown": True},
        {"input": data, "label": ""},
        {"input": data, "label": "x" * 300},
        {"input": data, "label": said, "correct": False},
        {"input": data, "label": "1", "correct": True},
        {"input": data, "labels": ["1"]},
        {"input": {"text": "one"}, "label": "1"},
        {"input": {"image": "bm90aGluZw=="}, "label": "1"},
        {"input": data, "label": "1", "score": 3},
    ]
    for body in bad:
        assert client.post(f"{HERE}/feedback", json=body).status_code == 422, body


def test_what_the_log_has_not_is_not_found_and_says_why(
    client: httpx.Client, other_client: httpx.Client, service: Service
) -> None:
    old = "pred_01ke4e2b7c9d1f3g5h7j9k1m3n"
    missing = client.post(f"{HERE}/feedback", json={"prediction_id": old, "label": "1"})
    assert missing.status_code == 404
    assert "send the input itself" in missing.json()["message"]
    fresh = ask(client, DIGITS[0][0]).json()["id"]
    early = client.post(f"{HERE}/feedback", json={"prediction_id": fresh, "label": "1"})
    assert (early.status_code, early.json()["code"]) == (409, "in_flight")
    theirs = other_client.post(f"{HERE}/feedback", json={"prediction_id": fresh, "label": "1"})
    assert theirs.status_code == 404


def test_audits_draw_at_random_and_accuracy_is_of_them_alone(client: httpx.Client) -> None:
    switch_on(client)
    right = {}
    for data, label in DIGITS[:30]:
        right[ask(client, data).json()["id"]] = label
    volunteer = next(iter(right))
    give(client, prediction_id=volunteer, correct=False)
    empty = client.get(f"{HERE}/accuracy").json()
    assert (empty["audited"], empty["volunteered"]) == (0, 1)
    assert empty["accuracy"] == {"value": None, "low": None, "high": None}
    everything = client.get(f"{HERE}/audit?n=100").json()
    assert everything["logged"] == len(everything["data"]) == 30
    assert volunteer in {one["prediction_id"] for one in everything["data"]}
    drawn = client.get(f"{HERE}/audit?n=12").json()["data"]
    assert drawn == everything["data"][:12] == client.get(f"{HERE}/audit?n=12").json()["data"]
    hits = 0
    for one in drawn:
        label = right[one["prediction_id"]]
        hits += one["predicted"]["label"] == label
        give(client, prediction_id=one["prediction_id"], label=label, audited=True)
    told = client.get(f"{HERE}/accuracy").json()
    assert (told["audited"], told["correct"]) == (12, hits)
    assert told["accuracy"]["low"] < told["accuracy"]["value"] <= told["accuracy"]["high"]
    assert "12 audited" in told["basis"]
    assert len(client.get(f"{HERE}/audit?n=100").json()["data"]) == 18
    content = client.get(drawn[0]["content"])
    assert content.content in {data for data, _ in DIGITS}


def test_suggestions_are_unlike_each_other_and_leave_out_what_is_labelled(
    client: httpx.Client, logged: Logged
) -> None:
    switch_on(client)
    for data, _ in [*DIGITS[:10], DIGITS[0], DIGITS[0]]:
        ask(client, data)
    found = client.get(f"{HERE}/suggestions?limit=5").json()
    assert found["considered"] == 10
    assert len(found["data"]) == 5
    assert "k-centre" in found["method"]
    assert {one["because"] for one in found["data"]} <= {"uncertain", "novel"}
    first = found["data"][0]
    give(client, prediction_id=first["prediction_id"], label="1")
    after = client.get(f"{HERE}/suggestions?limit=100").json()
    assert first["id"] not in {one["id"] for one in after["data"]}
    assert after["considered"] == 9


def upload(client: httpx.Client) -> str:
    files = {f"{label}/{n}.png": data for n, (data, label) in enumerate(DIGITS[:40:4])}
    files |= {f"{label}/t{n}.png": data for n, (data, label) in enumerate(DIGITS[80:120:4])}
    made = client.post("/v1/datasets", files={"file": ("digits.zip", zipped(files))})
    assert made.status_code in (201, 202), made.text
    return str(made.json()["id"])


def test_applying_makes_one_version_and_nothing_twice(
    client: httpx.Client, service: Service
) -> None:
    dataset = upload(client)
    before = client.get(f"/v1/datasets/{dataset}").json()
    known, _ = DIGITS[0]
    give(client, input=image(known), label="1")
    give(client, input=image(DIGITS[1][0]), label="0")
    give(client, input=image(DIGITS[2][0]), label="0")
    give(client, input=image(DIGITS[2][0]), label="2")
    give(client, input=image(DIGITS[4][0]), label=DIGITS[4][1])
    give(client, input=image(DIGITS[3][0]), correct=False)
    assert pending(service.services) == 4
    made = client.post(f"{HERE}/feedback/apply", json={"dataset": dataset})
    assert made.status_code == 200, made.text
    told = made.json()
    assert told["version"] == before["version"] + 1
    assert told["object"] == "dataset.version"
    assert told["feedback"] == {
        "added": 2,
        "relabelled": 1,
        "unchanged": 1,
        "left_out": [],
        "renamed": {},
    }
    assert pending(service.services) == 0
    examples = client.get(f"/v1/datasets/{dataset}/examples?limit=100").json()["data"]
    by_sha = {one["sha256"]: one for one in examples}
    assert len(examples) == before["num_examples"] + 2
    counts = {one["label"] for one in by_sha.values()}
    assert counts == {"0", "1", "2"}
    again = client.post(f"{HERE}/feedback/apply", json={"dataset": dataset}).json()
    assert again["version"] == told["version"]
    assert again["feedback"] == {
        "added": 0,
        "relabelled": 0,
        "unchanged": 4,
        "left_out": [],
        "renamed": {},
    }
    given = client.get(f"{HERE}/feedback").json()["data"]
    applied = {"dataset": dataset, "version": told["version"], "reason": None}
    assert [one["applied"] for one in given if one["label"] is not None] == [applied] * 4


def test_what_was_corrected_or_deleted_in_the_dataset_since_stays_so(
    client: httpx.Client, service: Service
) -> None:
    dataset = upload(client)
    examples = f"/v1/datasets/{dataset}/examples"
    data, deleted = DIGITS[1][0], DIGITS[2][0]
    give(client, input=image(data), label="0")
    give(client, input=image(deleted), label="0")
    apply = partial(client.post, f"{HERE}/feedback/apply", json={"dataset": dataset})

    def by_sha() -> dict[str, dict[str, Any]]:
        found = client.get(f"{examples}?limit=100").json()["data"]
        return {one["sha256"]: one for one in found}

    def of(one: bytes) -> dict[str, Any] | None:
        return by_sha().get(sha256(one).hexdigest())

    apply().raise_for_status()
    first, second = of(data), of(deleted)
    assert first is not None
    assert second is not None
    client.patch(f"{examples}/{first['id']}", json={"label": "2"}).raise_for_status()
    client.delete(f"{examples}/{second['id']}").raise_for_status()
    again = apply().json()
    assert again["feedback"] == {
        "added": 0,
        "relabelled": 0,
        "unchanged": 2,
        "left_out": [],
        "renamed": {},
    }
    assert of(deleted) is None
    assert (of(data) or {})["label"] == "2"

    late = give(client, input=image(DIGITS[0][0]), label="1")
    known = of(DIGITS[0][0])
    assert known is not None
    client.patch(f"{examples}/{known['id']}", json={"label": "2"}).raise_for_status()
    told = apply().json()["feedback"]
    assert [(one["feedback"], one["code"]) for one in told["left_out"]] == [
        (late["id"], "superseded")
    ]
    assert (of(DIGITS[0][0]) or {})["label"] == "2"
    assert pending(service.services) == 0

    give(client, input=image(deleted), label="1")
    give(client, input=image(data), label="1")
    assert apply().json()["feedback"]["added"] == 1
    assert (of(deleted) or {})["label"] == "1"
    assert (of(data) or {})["label"] == "1"


def test_what_two_datasets_have_is_said_again_to_neither(client: httpx.Client) -> None:
    one, other = upload(client), upload(client)
    give(client, input=image(DIGITS[1][0]), label="0")
    for dataset, added in ((one, 1), (other, 1), (one, 0), (other, 0)):
        made = client.post(f"{HERE}/feedback/apply", json={"dataset": dataset}).json()
        assert made["feedback"]["added"] == added
        assert made["version"] == 2


def test_what_is_kept_as_a_hash_is_left_out_and_said(client: httpx.Client) -> None:
    dataset = upload(client)
    switch_on(client, content="hash")
    told = ask(client, DIGITS[1][0]).json()["id"]
    said = give(client, prediction_id=told, label="1")
    assert "send the input itself" in said["notes"][0]
    made = client.post(f"{HERE}/feedback/apply", json={"dataset": dataset}).json()
    assert [one["feedback"] for one in made["feedback"]["left_out"]] == [said["id"]]
    assert made["version"] == 1
    missing = client.post(
        f"{HERE}/feedback/apply", json={"dataset": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3"}
    )
    assert missing.status_code == 404


def test_a_hook_is_pulled_by_new_labels_and_by_a_fall_in_audited_quality(
    client: httpx.Client, service: Service
) -> None:
    dataset = upload(client)
    new = {
        "name": "from feedback",
        "dataset": dataset,
        "alias": ALIAS,
        "job": {"model": "efficientnet_lite0"},
        "triggers": [{"type": "labels", "count": 2}, {"type": "quality", "below": 0.9}],
        "debounce_seconds": 3600,
    }
    hook = client.post("/v1/hooks", json=new).raise_for_status().json()
    assert hook["notes"] == []

    def causes() -> list[dict[str, Any]]:
        runs = client.get(f"/v1/hooks/{hook['id']}/runs").raise_for_status().json()["data"]
        return [run["cause"] for run in runs]

    for data, _ in DIGITS[1:3]:
        give(client, input=image(data), label="1")
    labels = until(lambda: [one for one in causes() if one["type"] == "labels"])
    assert labels[0]["feedback"] == 2
    for audited_only in (True, False):
        change = {"audited_only": audited_only}
        told = client.patch(f"/v1/hooks/{hook['id']}", json=change).raise_for_status().json()
        assert told["audited_only"] is audited_only
    for data, _ in DIGITS[3:13]:
        give(client, input=image(data), correct=False, audited=True)
    quality = until(lambda: [one for one in causes() if one["type"] == "quality"])
    assert (quality[0]["accuracy"], quality[0]["below"]) == (0.0, 0.9)
    assert quality[0]["evidence"] >= 20
    client.delete(f"/v1/hooks/{hook['id']}").raise_for_status()


def test_of_several_inputs_one_is_named(client: httpx.Client, logged: Logged) -> None:
    switch_on(client)
    files = [("files", (f"{n}.png", DIGITS[n][0], "image/png")) for n in (0, 40)]
    answer = client.post(URL, files=files)
    assert answer.status_code == 200, answer.text
    logged(2)
    said = {"prediction_id": answer.json()["id"], "label": "1"}
    url = f"/v1/models/{ALIAS}/feedback"
    for index in (None, 9):
        told = client.post(url, json=said | ({} if index is None else {"index": index}))
        assert (told.status_code, told.json()["code"]) == (422, "invalid_value"), told.text
        assert told.json()["param"] == "index"
    assert client.post(url, json=said | {"index": 1}).json()["index"] == 1


def test_what_was_deleted_while_the_model_was_asked_comes_back_by_no_word_on_it(
    client: httpx.Client, service: Service, model: str, logged: Logged, kept: Kept
) -> None:
    switch_on(client)
    ask(client, DIGITS[0][0])
    (row,) = logged(1)
    client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": None}).raise_for_status()
    said = giving.Said(
        subject="x:0", model_id=model, prediction_id=None, place=0, sha256=row.sha256, answer={},
        data=DIGITS[0][0], logged=row.id,
    )  # fmt: skip
    values = {
        "label": "1", "labels": None, "correct": None, "unknown": False, "audited": False,
        "source": "api", "actor": "key_1",
    }  # fmt: skip
    others = [replace(said, logged=None, model_id="ft:gone"), replace(said, logged=None)]
    for alias, one in [(ALIAS, said), ("", others[0]), ("gone", others[1])]:
        with pytest.raises(HeadstartError, match="no such"):
            giving.keep(service.services, row.organisation_id, alias, one, values)
    assert kept() == []


def test_a_kept_input_that_is_damaged_is_not_taken(client: httpx.Client, service: Service) -> None:
    """It was learned from under the label of what had been asked."""
    dataset = upload(client)
    switch_on(client)
    told = ask(client, DIGITS[1][0]).json()["id"]
    said = give(client, prediction_id=told, label="1")
    with reading(service.services.sessions) as session:
        key = session.get_one(FeedbackRow, said["id"]).content_key
    path = service.services.storage.fetch(str(key))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    made = client.post(f"{HERE}/feedback/apply", json={"dataset": dataset}).json()
    assert [one["feedback"] for one in made["feedback"]["left_out"]] == [said["id"]]
    assert made["version"] == 1
