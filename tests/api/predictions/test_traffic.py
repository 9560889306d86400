"""An alias that is split, and one with a shadow: who answers, and what nobody sees."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, register
from tests.api.predictions.test_predictions import post
from tests.api.service import Service
from tests.servers import wait_for

pytestmark = pytest.mark.slow

ALIAS = "digits@production"
URL = f"/v1/models/{ALIAS}/predictions"
IMAGES = [data for data, _ in kit.digit_pngs(40, skip=100)][:40]


@pytest.fixture(scope="module")
def other(serving: Serving, service: Service) -> str:
    target = kit.store_model(serving.settings, organisation="default", name="t1", seed=9).target
    register(service.services.sessions, target, name=target.model)
    return target.model


@pytest.fixture(autouse=True)
def alias(client: httpx.Client, model: str) -> Iterator[None]:
    client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()
    yield
    client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()


def asked(client: httpx.Client, image: bytes, **headers: str) -> str:
    answer = client.post(
        URL, content=image, headers={"content-type": "image/png", **headers}
    ).raise_for_status()
    return str(answer.json()["model"])


def change(client: httpx.Client, **body: object) -> None:
    client.patch(f"/v1/aliases/{ALIAS}", json=body).raise_for_status()


def test_a_split_is_sticky_by_content_and_by_key(
    client: httpx.Client, model: str, other: str
) -> None:
    change(client, split=[{"model": other, "weight": 0.5}])
    first = [asked(client, image) for image in IMAGES]
    assert [asked(client, image) for image in IMAGES] == first
    shares = Counter(first)
    assert set(shares) == {model, other}
    assert 8 <= shares[other] <= 32
    keyed = {asked(client, image, **{"x-headstart-key": "patient 7"}) for image in IMAGES}
    assert len(keyed) == 1
    keys = [asked(client, IMAGES[0], **{"x-headstart-key": str(n)}) for n in range(40)]
    assert 8 <= Counter(keys)[other] <= 32


def test_the_weights_are_shares(client: httpx.Client, model: str, other: str) -> None:
    change(client, split=[{"model": other, "weight": 1}])
    assert {asked(client, image) for image in IMAGES[:5]} == {other}
    change(client, split=[])
    assert {asked(client, image) for image in IMAGES[:5]} == {model}


def test_a_shadow_answers_unseen(client: httpx.Client, model: str, other: str) -> None:
    def answer(image: bytes) -> object:
        told = post(client, URL, content=image, headers={"content-type": "image/png"})
        return [told["model"], told["object"], told["data"]]

    alone = [answer(image) for image in IMAGES]
    change(client, shadow=other)
    before = client.get(f"/v1/aliases/{ALIAS}/shadow").json()
    assert [answer(image) for image in IMAGES] == alone
    deadline = time.monotonic() + 20
    while True:
        told = client.get(f"/v1/aliases/{ALIAS}/shadow").json()
        if told["compared"] >= before["compared"] + len(IMAGES):
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (told["model"], told["shadow"]) == (model, other)
    differing = sum(one["count"] for one in told["differences"])
    assert told["compared"] == before["compared"] + len(IMAGES) == told["agreed"] + differing


def test_a_shadow_stands_beside_the_alias_s_own_model_of_a_split(
    client: httpx.Client, model: str, other: str
) -> None:
    change(client, split=[{"model": other, "weight": 0.5}], shadow=other)
    before = client.get(f"/v1/aliases/{ALIAS}/shadow").json()["compared"]
    own = Counter(asked(client, image) for image in IMAGES)[model]
    assert 0 < own < len(IMAGES)

    def compared() -> int:
        return int(client.get(f"/v1/aliases/{ALIAS}/shadow").json()["compared"]) - before

    wait_for(lambda: compared() >= own, seconds=20)
    assert compared() == own


def test_what_is_wrong_with_an_input_is_told_as_ever(client: httpx.Client, other: str) -> None:
    headers = {"content-type": "image/png"}
    bad = client.post(URL, content=b"no picture", headers=headers)
    change(client, shadow=other)
    shadowed = client.post(URL, content=b"no picture", headers=headers)
    assert (shadowed.status_code, shadowed.json()["code"]) == (bad.status_code, bad.json()["code"])


@pytest.mark.parametrize("member", ["split", "shadow"])
def test_who_answers_beside_a_model_says_as_many_labels(
    client: httpx.Client, service: Service, serving: Serving, other: str, member: str
) -> None:
    several, target = f"{other}-{member}", serving.target
    register(service.services.sessions, target, name=several, label_mode="multi_label")
    value: object = several if member == "shadow" else [{"model": several, "weight": 0.1}]
    answer = client.patch(f"/v1/aliases/{ALIAS}", json={member: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "label_mode_mismatch")
    assert answer.json()["param"] == member
    told = client.get(f"/v1/aliases/{ALIAS}").json()
    assert (told["split"], told["shadow"]) == ([], None)
