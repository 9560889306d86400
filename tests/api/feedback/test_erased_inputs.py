"""An erased content goes from the log, from feedback and from what drift is held against."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from threading import Event
from typing import Any

import httpx
import pytest

from app.feedback import recording
from app.infra.database import reading, transaction
from app.infra.orm import DriftReferenceRow, DriftWindowRow, FeedbackRow, LoggedPredictionRow
from tests.api.feedback.conftest import ALIAS, DIGITS, Logged, ask, switch_on
from tests.api.hooks.conftest import until
from tests.api.service import Service
from tests.api.uploading import DATASETS, finish, made
from tests.archives import zipped

PICTURES = [data for data, _ in DIGITS]
"""Each test erases others: for a minute, what was erased stays out of every log."""


def dataset(service: Service, client: httpx.Client, picture: bytes) -> str:
    members = {"a/1.png": picture, "a/2.png": PICTURES[5], "b/1.png": PICTURES[6]}
    name = str(made(client, zipped(members))["id"])
    finish(service, name)
    return name


def kept(service: Service, *, beside: Collection[str]) -> bytes:
    """What was stored since: the predictor's storage has what other tests have sent, too."""
    held = service.services.storage
    return b"".join(held.fetch(key).read_bytes() for key in held.keys("") if key not in beside)


def test_logged_inputs_go_and_those_beside_them_stay(
    service: Service, client: httpx.Client, logged: Logged
) -> None:
    before = set(service.services.storage.keys(""))
    switch_on(client, rate=1.0, retention_days=30, content="keep")
    answers = [ask(client, PICTURES[at]).json()["id"] for at in range(4)]
    rows = logged(4)
    assert PICTURES[0] in kept(service, beside=before)
    for prediction, label in ((answers[0], "7"), (answers[1], "3")):
        told = client.post(
            f"/v1/models/{ALIAS}/feedback", json={"prediction_id": prediction, "label": label}
        )
        assert told.status_code == 201, told.text
    remember_drift(service, rows[0])
    name = dataset(service, client, PICTURES[0])
    digest = hashlib.sha256(PICTURES[0]).hexdigest()
    answer = client.post(f"{DATASETS}/{name}/erasures", json={"sha256": digest})
    assert answer.status_code == 201, answer.text
    removed = answer.json()["deletion"]["removed"]
    assert (removed["logged_predictions"], removed["feedback"]) == (1, 1)
    assert removed["drift_references"] == 1
    here = f"{DATASETS}/{name}/erasures/{answer.json()['id']}"
    until(lambda: client.get(here).json()["status"] == "done")
    assert PICTURES[0] not in kept(service, beside=before)
    left = logged(3)
    for row, data in zip(left, PICTURES[1:4], strict=True):
        path = service.services.storage.fetch(str(row.content_key))
        content = path.read_bytes()[row.content_start : row.content_start + row.content_length]
        assert content == data
    with reading(service.services.sessions) as session:
        assert session.query(FeedbackRow).count() == 1
        assert session.query(DriftReferenceRow).count() == 0
        assert session.query(DriftWindowRow).count() == 0
        of = LoggedPredictionRow
        assert session.query(of).filter(of.sha256 == digest).count() == 0


def test_what_was_answered_before_and_is_written_after_stays_out(
    service: Service,
    client: httpx.Client,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log is written beside the requests: an erasure may come between."""
    switch_on(client, rate=1.0, retention_days=30, content="keep")
    name = dataset(service, client, PICTURES[10])
    before, goes_on = set(service.services.storage.keys("")), Event()
    write = recording._write

    def later(*told: Any) -> None:
        goes_on.wait(30)
        write(*told)

    monkeypatch.setattr(recording, "_write", later)
    for at in (10, 11):
        ask(client, PICTURES[at])
    digest = hashlib.sha256(PICTURES[10]).hexdigest()
    answer = client.post(f"{DATASETS}/{name}/erasures", json={"sha256": digest})
    assert answer.status_code == 201, answer.text
    goes_on.set()
    (row,) = logged(1)
    assert row.sha256 == hashlib.sha256(PICTURES[11]).hexdigest()
    here = f"{DATASETS}/{name}/erasures/{answer.json()['id']}"
    until(lambda: client.get(here).json()["status"] == "done")
    until(lambda: len(service.services.prediction_log) == 0)
    logged(1)
    assert PICTURES[11] in kept(service, beside=before)
    assert PICTURES[10] not in kept(service, beside=before)


def remember_drift(service: Service, row: LoggedPredictionRow) -> None:
    """A reference that has the input's embedding, as the `drift` work makes it."""
    assert row.embedding is not None
    whose = {"organisation_id": row.organisation_id, "alias": ALIAS, "model_id": row.model_id}
    times = {"first_at": 1.0, "last_at": 2.0, "created_at": 3.0, "last_id": row.id}
    with transaction(service.services.sessions) as session:
        session.add(
            DriftReferenceRow(
                **whose, **times, size=2, embeddings=bytes(len(row.embedding)) + row.embedding,
                answers=[{}, {}], labels=[None, None],
            )
        )  # fmt: skip
        session.add(
            DriftWindowRow(
                **whose, **times, id="drift_1", number=1, size=1, drifted=False, result={}
            )
        )


def test_feedback_on_an_erased_input_is_left_out_and_holds_nothing_up(
    service: Service, client: httpx.Client
) -> None:
    name = dataset(service, client, PICTURES[20])
    digest = hashlib.sha256(PICTURES[20]).hexdigest()
    client.post(f"{DATASETS}/{name}/erasures", json={"sha256": digest}).raise_for_status()
    sent = {"input": {"image": base64.b64encode(PICTURES[20]).decode()}, "label": "a"}
    client.post(f"/v1/models/{ALIAS}/feedback", json=sent).raise_for_status()
    apply = f"/v1/models/{ALIAS}/feedback/apply"
    told = client.post(apply, json={"dataset": name})
    assert told.status_code in (200, 201), told.text
    counts = told.json()["feedback"]
    assert (counts["added"], [one["code"] for one in counts["left_out"]]) == (
        0,
        ["example_erased"],
    )
    again = client.post(apply, json={"dataset": name}).json()["feedback"]
    assert again["left_out"] == [], "it is settled"
    assert client.get(f"{DATASETS}/{name}").json()["version"] == 1
