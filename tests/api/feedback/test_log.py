"""The prediction log: opt-in, sampled, its retention, and what it never keeps."""

from __future__ import annotations

import base64
import threading
import time
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.core.errors import HeadstartError
from app.core.image_formats.dicom import picture_alone
from app.core.live.vectors import unpacked
from app.feedback import recording
from app.feedback.retention import remove_logged
from app.infra import erasure
from app.infra.database import reading, transaction
from app.infra.orm import FeedbackRow, LoggedPredictionRow
from app.infra.repositories.live import log
from tests.api.feedback.conftest import ALIAS, DIGITS, URL, Kept, Logged, ask, switch_on
from tests.api.hooks.conftest import until
from tests.api.service import Service
from tests.factories import make_key
from tests.unit.dicoms import CANARY, dicom, grey


def test_it_is_off_until_it_is_asked_for(client: httpx.Client, logged: Logged) -> None:
    assert client.get(f"/v1/aliases/{ALIAS}").json()["prediction_log"] is None
    ask(client, DIGITS[0][0])
    time.sleep(0.5)
    assert logged(0) == []


def test_what_it_writes_is_what_was_answered(
    client: httpx.Client, service: Service, model: str, logged: Logged
) -> None:
    told = switch_on(client)["prediction_log"]
    assert (told["rate"], told["retention_days"], told["content"]) == (1.0, 30.0, "keep")
    image = DIGITS[0][0]
    answer = ask(client, image)
    (row,) = logged(1)
    assert answer.headers["x-headstart-prediction-id"] == answer.json()["id"] == row.prediction_id
    (item,) = answer.json()["data"]
    assert (row.answer["label"], row.model_id, row.place) == (item["label"], model, 0)
    assert row.answer["scores"] == {one["label"]: one["probability"] for one in item["predictions"]}
    assert row.sha256 == sha256(image).hexdigest()
    assert row.content_key is not None
    assert service.services.storage.fetch(row.content_key).read_bytes() == image
    asked = {"model": model, "input": base64.b64encode(image).decode()}
    said = client.post("/v1/embeddings", json=asked).json()["data"][0]["embedding"]
    assert row.embedding is not None
    halves = unpacked(row.embedding)
    assert len(halves) == len(said)
    assert max(abs(a - b) for a, b in zip(halves, said, strict=True)) < 1e-3
    assert 29 < (row.expires_at - row.created_at) / 86_400 <= 30


def test_every_input_of_a_list_is_a_row_and_bad_ones_are_none(
    client: httpx.Client, logged: Logged
) -> None:
    switch_on(client)
    images = [{"image": base64.b64encode(data).decode()} for data, _ in DIGITS[:3]]
    body = {"inputs": [images[0], {"image": "bm90aGluZw=="}, images[2]]}
    told = client.post(URL + "?top_k=1", json=body).raise_for_status().json()
    rows = logged(2)
    assert [row.place for row in rows] == [0, 2]
    assert {row.prediction_id for row in rows} == {told["id"]}
    assert all(len(row.answer["scores"]) == 3 for row in rows), "top_k hides classes from no log"


def test_no_store_is_never_written(client: httpx.Client, logged: Logged) -> None:
    switch_on(client)
    ask(client, DIGITS[0][0], **{"cache-control": "private, No-Store"})
    chat = {
        "model": ALIAS,
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {
                            "url": "data:image/png;base64,"
                            + base64.b64encode(DIGITS[1][0]).decode()
                        },
                    }
                ],
            }
        ],
    }
    refused = client.post("/v1/chat/completions", json={**chat, "store": False})
    assert refused.status_code == 200, refused.text
    ask(client, DIGITS[2][0])
    (row,) = logged(1)
    assert row.sha256 == sha256(DIGITS[2][0]).hexdigest()
    assert client.post("/v1/chat/completions", json=chat).status_code == 200
    assert logged(2)[1].sha256 == sha256(DIGITS[1][0]).hexdigest()


def test_hash_keeps_no_content(
    client: httpx.Client, service: Service, logged: Logged, kept: Kept
) -> None:
    switch_on(client, content="hash")
    ask(client, DIGITS[0][0])
    (row,) = logged(1)
    assert row.content_key is None
    assert row.embedding is not None
    assert kept() == []


def test_a_rate_draws(client: httpx.Client, logged: Logged) -> None:
    switch_on(client, rate=0)
    for image, _ in DIGITS[:5]:
        ask(client, image)
    time.sleep(0.6)
    assert logged(0) == []


def test_retention_deletes_rows_and_files(
    client: httpx.Client, service: Service, logged: Logged, kept: Kept
) -> None:
    switch_on(client)
    ask(client, DIGITS[0][0])
    (row,) = logged(1)
    assert remove_logged(service.services) == 0
    with transaction(service.services.sessions) as session:
        session.execute(
            update(LoggedPredictionRow).where(LoggedPredictionRow.id == row.id).values(expires_at=1)
        )
    assert remove_logged(service.services) == 1
    assert logged(0) == []
    assert kept() == []


def test_its_end_and_the_aliass_delete_it(
    client: httpx.Client, service: Service, model: str, logged: Logged, kept: Kept
) -> None:
    switch_on(client)
    ask(client, DIGITS[0][0])
    logged(1)
    ended = client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": None})
    assert ended.json()["prediction_log"] is None
    assert logged(0) == []
    assert kept() == []
    switch_on(client)
    ask(client, DIGITS[0][0])
    logged(1)
    client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()
    assert logged(0) == []
    client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()
    assert client.get(f"/v1/aliases/{ALIAS}").json()["prediction_log"] is None


@pytest.mark.parametrize("way", ["ended", "deleted"])
def test_what_waits_for_a_log_that_ends_does_not_come_into_the_next(
    client: httpx.Client, model: str, logged: Logged, way: str
) -> None:
    switch_on(client)
    for image, _ in DIGITS[:8]:
        ask(client, image)
    if way == "ended":
        client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": None}).raise_for_status()
    else:
        client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()
        client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()
    switch_on(client)
    later = ask(client, DIGITS[9][0]).json()["id"]
    assert [row.prediction_id for row in logged(1)] == [later]


def test_what_waits_when_a_log_becomes_one_of_hashes_keeps_no_content(
    client: httpx.Client, service: Service, logged: Logged, kept: Kept
) -> None:
    switch_on(client)
    ask(client, DIGITS[0][0])
    switch_on(client, content="hash")
    ask(client, DIGITS[1][0])
    assert logged(2)[1].content_key is None
    named = [row.content_key for row in logged(2) if row.content_key is not None]
    until(lambda: kept() == named)


def test_kept_inputs_count_as_stored_and_none_is_kept_beyond_the_bound(
    client: httpx.Client, service: Service, logged: Logged
) -> None:
    switch_on(client)
    image = DIGITS[0][0]
    ask(client, image)
    logged(1)
    own = "/v1/organizations/me"
    assert client.get(own).json()["usage"]["stored_bytes"] == len(image)
    operator = make_key(service.services.sessions, "operators", scopes=("admin", "operator"))
    with service.client(operator) as other:
        for most in (len(image) + 1, 0):
            quotas = {"quotas": {"stored_bytes": most}}
            other.patch("/v1/organizations/default", json=quotas).raise_for_status()
            if most:
                ask(client, DIGITS[1][0])
                client.get(f"/v1/models/{ALIAS}/audit").raise_for_status()
                assert len(logged(1)) == 1
                said = {"input": {"image": base64.b64encode(DIGITS[2][0]).decode()}, "label": "3"}
                refused = client.post(f"/v1/models/{ALIAS}/feedback", json=said)
                assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    told = client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": None})
    assert told.status_code == 200
    assert client.get(own).json()["usage"]["stored_bytes"] == 0
    ended = next(
        one
        for one in client.get("/v1/deletions").json()["data"]
        if one["subject"] == {"object": "prediction_log", "id": ALIAS}
        and one["removed"]["logged_predictions"]
    )
    assert (ended["status"], ended["removed"]) == ("done", {"logged_predictions": 1, "files": 1})


@pytest.mark.parametrize("way", ["alias", "log"])
def test_a_long_log_goes_some_at_a_time(
    client: httpx.Client,
    service: Service,
    model: str,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """On SQLite nobody else writes while a transaction deletes."""
    monkeypatch.setattr(erasure, "_AT_ONCE", 2)
    dropped, drop = list[int](), log.drop

    def counted(*given: Any, **named: Any) -> tuple[int, list[str]]:
        gone = drop(*given, **named)
        dropped.extend(gone[:1] if gone[0] else ())  # what is over is looked for meanwhile
        return gone

    monkeypatch.setattr(log, "drop", counted)
    switch_on(client)
    for image, _ in DIGITS[:7]:
        ask(client, image)
    keys = {row.content_key for row in logged(7)}
    if way == "alias":
        deletion = client.delete(f"/v1/aliases/{ALIAS}").json()["deletion"]
    else:
        client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": None}).raise_for_status()
        deletion = client.get("/v1/deletions").json()["data"][0]
    assert (deletion["status"], deletion["removed"]["logged_predictions"]) == ("done", 7)
    assert deletion["removed"]["files"] == len(keys)
    assert dropped == [2, 2, 2, 1]
    assert logged(0) == []
    for key in keys:
        with pytest.raises(FileNotFoundError):
            service.services.storage.fetch(str(key))
    if way == "alias":
        client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()


def test_traffic_and_the_end_of_a_log_are_one_commit(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_on(client)
    whole = {"shadow": None, "split": [], "prediction_log": None}
    before = client.get(f"/v1/aliases/{ALIAS}/history").json()["data"]

    def busy(*_: Any) -> None:
        raise HeadstartError("database_busy", "others write", retry_after=1)

    with monkeypatch.context() as patched:
        patched.setattr("app.models.traffic._end_log", busy)
        refused = client.patch(f"/v1/aliases/{ALIAS}", json=whole)
    assert (refused.status_code, refused.json()["code"]) == (503, "database_busy")
    assert client.get(f"/v1/aliases/{ALIAS}/history").json()["data"] == before
    assert client.get(f"/v1/aliases/{ALIAS}").json()["prediction_log"] is not None
    client.patch(f"/v1/aliases/{ALIAS}", json=whole).raise_for_status()
    after = client.get(f"/v1/aliases/{ALIAS}/history").json()["data"]
    assert [one["id"] for one in after[1:]] == [one["id"] for one in before][: len(after) - 1]
    assert after[0]["id"] not in {one["id"] for one in before}
    assert client.get(f"/v1/aliases/{ALIAS}").json()["prediction_log"] is None


def test_what_is_answered_is_in_the_usage_records(
    client: httpx.Client, service: Service, model: str
) -> None:
    def used() -> dict[str, Any]:
        service.services.usage.flush(service.services.sessions)
        told = client.get("/v1/usage", params={"model": model}).json()["total"]
        return {name: told[name] for name in ("requests", "predictions")}

    before = used()
    ask(client, DIGITS[0][0])
    images = [{"image": base64.b64encode(data).decode()} for data, _ in DIGITS[:3]]
    client.post(URL, json={"inputs": images}).raise_for_status()
    assert client.post(URL, content=b"no image", headers={"content-type": "image/png"}).is_error
    assert used() == {
        "requests": before["requests"] + 2,
        "predictions": before["predictions"] + 4,
    }


def test_a_promotion_or_put_leaves_the_log_on(client: httpx.Client, model: str) -> None:
    switch_on(client, rate=0.5)
    client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()
    assert client.get(f"/v1/aliases/{ALIAS}").json()["prediction_log"]["rate"] == 0.5


def test_bad_rules_are_refused(client: httpx.Client) -> None:
    for rule in ({"rate": 1.1}, {"retention_days": 0}, {"content": "some"}, {"sample": 1}):
        refused = client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": rule})
        assert refused.status_code == 422, rule


def test_what_can_never_be_written_keeps_nothing_else(
    client: httpx.Client, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_on(client)
    written, tried = recording._written, threading.Event()

    async def stumbling(*given: Any) -> None:
        if not tried.is_set():
            tried.set()
            raise KeyError("data")
        await written(*given)

    monkeypatch.setattr(recording, "_written", stumbling)
    ask(client, DIGITS[0][0])
    assert tried.wait(30)
    second = ask(client, DIGITS[1][0]).json()["id"]
    assert [row.prediction_id for row in logged(1)] == [second]


def test_a_change_of_one_part_keeps_the_others(client: httpx.Client) -> None:
    switch_on(client, rate=0.2, content="hash")
    told = switch_on(client, retention_days=10)["prediction_log"]
    assert (told["rate"], told["content"], told["retention_days"]) == (0.2, "hash", 10)
    client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": None}).raise_for_status()
    assert switch_on(client)["prediction_log"]["content"] == "keep", "a new log begins anew"


def test_of_a_dicom_the_picture_alone_is_kept(
    client: httpx.Client, service: Service, logged: Logged
) -> None:
    switch_on(client)
    told = {"PatientName": f"{CANARY}^Jane", "PatientID": CANARY}
    one, other = (dicom(grey(top=top), **told) for top in (3000, 2000))
    ask(client, one)
    said = {"input": {"image": base64.b64encode(other).decode()}, "label": "1"}
    given = client.post(f"/v1/models/{ALIAS}/feedback", json=said)
    assert given.status_code == 201, given.text
    (row,) = logged(1)
    with reading(service.services.sessions) as session:
        feedback = session.get_one(FeedbackRow, given.json()["id"])
    for kept, sent in ((row, one), (feedback, other)):
        assert CANARY.encode() in sent
        assert kept.content_key is not None
        stored = service.services.storage.fetch(kept.content_key).read_bytes()
        assert stored == picture_alone(sent)
        assert CANARY.encode() not in stored
        assert kept.sha256 == sha256(stored).hexdigest()
    client.delete(f"/v1/models/{ALIAS}/feedback/{given.json()['id']}").raise_for_status()
