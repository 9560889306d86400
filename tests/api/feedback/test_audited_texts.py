"""Which words on a text hold, where a dataset takes texts for one that differ in what is unseen."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, register
from tests.api.service import Service
from tests.factories import make_key

TEXTS = "text,label\n" + "".join(f"text {n},{('card', 'password')[n % 2]}\n" for n in range(12))
AUDITED = "where is\nthe card"
LIKE = ["where is\r\nthe card", " where is\nthe card ", "where is\rthe card"]


@pytest.fixture(scope="module")
def intents(serving: Serving, service: Service) -> str:
    target = kit.store_text_model(serving.settings, organisation="default", name="t-audited")
    register(service.services.sessions, target, name=target.model, modality="text")
    return target.model


def give(client: httpx.Client, model: str, text: str, label: str, **more: Any) -> httpx.Response:
    body = {"input": {"text": text}, "label": label, **more}
    answer = client.post(f"/v1/models/{model}/feedback", json=body)
    assert answer.is_success, answer.text
    return answer


def test_an_audited_text_holds_however_it_is_written(
    client: httpx.Client, service: Service, intents: str
) -> None:
    key = make_key(service.services.sessions, scopes=["predict"])
    with service.client(key) as camera:
        audited = give(client, intents, AUDITED, "card", audited=True).json()
        for text in LIKE:
            said = give(camera, intents, text, "password").json()
            assert said["id"] == audited["id"], text
            assert "audited label is here already" in said["notes"][0]
    assert client.get(f"/v1/models/{intents}/feedback/{audited['id']}").json()["label"] == "card"


def test_an_audited_text_holds_against_words_on_other_predictions_of_it(
    client: httpx.Client, intents: str
) -> None:
    """Those are feedback of their own: what holds is told as they are applied."""
    alias = "intents@audited"
    client.put(f"/v1/aliases/{alias}", json={"model": intents}).raise_for_status()
    client.patch(f"/v1/aliases/{alias}", json={"prediction_log": {}}).raise_for_status()
    told = client.post("/v1/datasets", files={"file": ("texts.csv", TEXTS.encode())})
    dataset = told.raise_for_status().json()["id"]
    give(client, alias, AUDITED, "card", audited=True)
    asked = client.post(f"/v1/models/{alias}/predictions", json={"inputs": [{"text": LIKE[0]}]})
    report = {"prediction_id": asked.raise_for_status().json()["id"], "label": "password"}
    answer = client.post(f"/v1/models/{alias}/feedback", json=report)
    assert answer.status_code == 201, answer.text
    applied = client.post(f"/v1/models/{alias}/feedback/apply", json={"dataset": dataset})
    made = applied.raise_for_status().json()["feedback"]
    assert (made["added"], made["relabelled"]) == (1, 0)
    assert [one["code"] for one in made["left_out"]] == ["superseded"]
    examples = client.get(f"/v1/datasets/{dataset}/examples?limit=100").json()["data"]
    assert sum(one["label"] == "card" for one in examples) == 7
    client.delete(f"/v1/aliases/{alias}").raise_for_status()
