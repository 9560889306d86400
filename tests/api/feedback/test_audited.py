"""Who may say what of a prediction, what holds, and under which names it is found."""

from __future__ import annotations

from functools import partial
from hashlib import sha256

import httpx
from sqlalchemy import select

from app.infra.database import reading, transaction
from app.infra.orm import DriftWindowRow, HookRow, WorkRow
from app.infra.repositories.live import drift
from app.infra.repositories.live import feedback as rows
from tests.api.feedback.conftest import ALIAS, DIGITS, Logged, ask, switch_on
from tests.api.feedback.test_feedback import HERE, give, image, upload
from tests.api.service import Service
from tests.factories import make_key


def test_only_who_may_write_says_that_it_was_audited(
    client: httpx.Client, service: Service
) -> None:
    switch_on(client)
    told = ask(client, DIGITS[0][0]).json()["id"]
    said = {"prediction_id": told, "label": "1"}
    key = make_key(service.services.sessions, scopes=["predict"])
    with service.client(key) as camera:
        refused = camera.post(f"{HERE}/feedback", json=said | {"audited": True})
        assert (refused.status_code, refused.json()["param"]) == (403, "audited")
        assert "'write'" in refused.json()["message"]
        assert camera.post(f"{HERE}/feedback", json=said).status_code == 201
    assert client.get(f"{HERE}/accuracy").json()["audited"] == 0


def test_a_report_takes_no_audited_label_away(client: httpx.Client, logged: Logged) -> None:
    switch_on(client)
    told = ask(client, DIGITS[0][0]).json()["id"]
    (row,) = logged(1)
    report = {"prediction_id": told, "label": "0"}
    give(client, **report)
    audited = give(client, prediction_id=told, label="1", audited=True)
    again = client.post(f"{HERE}/feedback", json=report)
    assert again.status_code == 200
    assert "audited label is here already" in again.json()["notes"][0]
    assert {**again.json(), "notes": []} == audited
    assert client.get(f"{HERE}/feedback/{audited['id']}").json() == audited
    assert client.get(f"{HERE}/accuracy").json()["audited"] == 1
    assert client.get(f"{HERE}/audit").json()["data"] == []
    content = client.get(f"{HERE}/logged/{row.id}/content")
    assert content.content == DIGITS[0][0]
    corrected = give(client, prediction_id=told, label="2", audited=True)
    assert (corrected["id"], corrected["label"], corrected["notes"]) == (audited["id"], "2", [])


def test_applied_is_what_was_audited_not_what_was_reported_of_the_same_input(
    client: httpx.Client, service: Service
) -> None:
    dataset = upload(client)
    apply = partial(client.post, f"{HERE}/feedback/apply")
    switch_on(client)
    told = ask(client, DIGITS[1][0]).json()["id"]
    give(client, prediction_id=told, label="1", audited=True)
    report = give(client, input=image(DIGITS[1][0]), label="2")
    other = give(client, input=image(DIGITS[2][0]), label="2")
    only = apply(json={"dataset": dataset, "audited_only": True}).raise_for_status().json()
    assert only["feedback"] == {
        "added": 1,
        "relabelled": 0,
        "unchanged": 0,
        "left_out": [],
        "renamed": {},
    }
    whose = "default", ALIAS
    with reading(service.services.sessions) as session:
        counts = [rows.pending(session, *whose, audited) for audited in (True, False)]
    assert counts == [0, 2]
    hook = HookRow(organisation_id="default", alias=ALIAS, dataset_id=dataset, audited_only=True)
    service.services.apply_feedback(service.services, hook)
    assert client.get(f"/v1/datasets/{dataset}").json()["version"] == only["version"]
    late = give(client, input=image(DIGITS[1][0]), label="0")
    made = apply(json={"dataset": dataset}).raise_for_status().json()["feedback"]
    assert (made["added"], made["relabelled"]) == (1, 0)
    assert late["id"] == report["id"] != other["id"]
    assert [(one["feedback"], one["code"]) for one in made["left_out"]] == [
        (report["id"], "superseded")
    ]
    examples = client.get(f"/v1/datasets/{dataset}/examples?limit=100").json()["data"]
    labels = {one["sha256"]: one["label"] for one in examples}
    assert labels[sha256(DIGITS[1][0]).hexdigest()] == "1"


def test_feedback_and_logged_inputs_are_found_under_their_own_name(
    client: httpx.Client, model: str, logged: Logged
) -> None:
    switch_on(client)
    told = ask(client, DIGITS[0][0]).json()["id"]
    (row,) = logged(1)
    given = give(client, prediction_id=told, label="1")["id"]
    client.put("/v1/aliases/digits@other", json={"model": model}).raise_for_status()
    for path in (f"feedback/{given}", f"logged/{row.id}/content"):
        assert client.get(f"/v1/models/{model}/{path}").status_code == 200
        assert client.get(f"{HERE}/{path}").status_code == 200
        assert client.get(f"/v1/models/digits@other/{path}").status_code == 404
    assert client.delete(f"/v1/models/digits@other/feedback/{given}").status_code == 404
    client.delete("/v1/aliases/digits@other").raise_for_status()
    assert client.delete(f"{HERE}/feedback/{given}").status_code == 200


def test_two_predictions_of_one_request_id_are_two(client: httpx.Client, logged: Logged) -> None:
    switch_on(client)
    same = {"x-request-id": "req_01ke4c0f6v6z2k8m9q3w5x7y1t"}
    answers = [ask(client, DIGITS[n][0], **same) for n in range(2)]
    assert [one.headers["x-request-id"] for one in answers] == [same["x-request-id"]] * 2
    ids = [one.json()["id"] for one in answers]
    assert len(set(ids)) == 2
    logged(2)
    for one, label in zip(ids, "12", strict=True):
        assert give(client, prediction_id=one, label=label)["prediction_id"] == one
    assert len(client.get(f"{HERE}/feedback").json()["data"]) == 2


def test_an_audited_label_has_windows_looked_at_that_were_tested_before_it(
    client: httpx.Client, service: Service, logged: Logged
) -> None:
    def looks() -> list[str]:
        with reading(service.services.sessions) as session:
            of = WorkRow
            queued = select(of.payload).where(of.kind == drift.KIND, of.state == "queued")
            return [one["alias"] for one in session.scalars(queued)]

    switch_on(client)
    told = [ask(client, data).json()["id"] for data, _ in DIGITS[4:7]]
    rows_ = logged(3)
    give(client, prediction_id=told[0], label="1", audited=True)
    assert looks() == [], "there is no window yet"
    with transaction(service.services.sessions) as session:
        session.add(
            DriftWindowRow(
                organisation_id="default", alias=ALIAS, model_id=rows_[0].model_id, id="drift_2",
                number=1, size=3, drifted=True, result={}, first_at=1.0, last_at=2.0,
                created_at=3.0, last_id=rows_[-1].id,
            )
        )  # fmt: skip
    give(client, prediction_id=told[1], label="1")
    assert looks() == [], "what is volunteered is not counted"
    give(client, prediction_id=told[1], label="1", audited=True)
    give(client, prediction_id=told[2], label="1", audited=True)
    assert looks() == [ALIAS], "one look is enough"
