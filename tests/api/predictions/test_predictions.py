"""Predictions over HTTP: raw, multipart and JSON, good and bad."""

from __future__ import annotations

import io
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.core.messages import Call, Options, WaitTooLongError
from tests import serving_kit as kit
from tests.api.predictions.conftest import Serving, register
from tests.api.service import Service
from tests.factories import make_key

pytestmark = pytest.mark.slow

PNG, LABEL = kit.digit_pngs(1, skip=30)[0]
RAW = {"content-type": "image/png"}
MULTI = "multipart/form-data"


def typed(kind: str) -> dict[str, Any]:
    return {"headers": {"content-type": kind}}


JSON = typed("application/json")


def post(client: httpx.Client, url: str, **request: Any) -> Any:
    answer = client.post(url, **request)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["code"]


def test_a_raw_image_is_predicted(client: httpx.Client, url: str, model: str) -> None:
    answer = client.post(url, content=PNG, headers=RAW)
    body = answer.json()
    assert (body["object"], body["model"]) == ("list", model)
    assert body["id"].startswith("pred_")
    (item,) = body["data"]
    assert (item["index"], item["label"], item["unknown"]) == (0, LABEL, False)
    assert item["predictions"][0] == {"label": item["label"], "probability": item["probability"]}
    assert sum(p["probability"] for p in item["predictions"]) == pytest.approx(1, abs=1e-4)
    assert "predictor;dur=" in answer.headers["server-timing"]


def test_the_three_ways_to_send_an_image_agree(client: httpx.Client, url: str) -> None:
    raw = post(client, url, content=PNG, headers=RAW)
    files = post(client, url, files=[("files", ("a.png", PNG)), ("files", ("b.png", PNG))])
    encoded = b64encode(PNG).decode()
    inputs = [{"image": encoded}, {"image": f"data:image/png;base64,{encoded}"}]
    json = post(client, url, json={"inputs": inputs})
    items = [{**item, "index": 0} for body in (raw, files, json) for item in body["data"]]
    assert len(items) == 5
    for item in items[1:]:
        assert item["probability"] == pytest.approx(items[0]["probability"], abs=1e-4)
        assert item["label"] == items[0]["label"]


def test_thirty_two_files_give_thirty_two_answers_in_order(client: httpx.Client, url: str) -> None:
    examples = kit.digit_pngs(11, skip=50)[:32]
    files = [("files", (f"{n}.png", data)) for n, (data, _) in enumerate(examples)]
    data = post(client, url, files=files)["data"]
    assert [item["index"] for item in data] == list(range(32))
    right = sum(item["label"] == label for item, (_, label) in zip(data, examples, strict=True))
    assert right >= 24


def test_one_bad_image_among_many_is_that_items_error(client: httpx.Client, url: str) -> None:
    files = [("files", ("a.png", PNG)), ("files", ("b.png", b"no image"))]
    good, bad = post(client, url, files=files)["data"]
    assert good["label"] == LABEL
    assert (bad["index"], set(bad)) == (1, {"index", "error"})
    inputs = [{"image": "%%%"}, {"image": b64encode(PNG).decode()}, {"text": "a text"}]
    first, second, third = post(client, url, json={"inputs": inputs})["data"]
    assert first["error"]["code"] == "image_invalid"
    assert second["label"] == LABEL
    assert third["error"]["code"] == "modality_mismatch"


def test_one_bad_raw_image_is_a_422(client: httpx.Client, url: str) -> None:
    truncated = client.post(url, content=PNG[: len(PNG) // 2], headers=RAW)
    assert problem(truncated)[0] == 422
    assert problem(client.post(url, content=b"", headers=RAW))[0] == 422
    assert problem(client.post(url, content=b"GIF89a", headers=RAW))[0] == 422


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"content": b"x", **typed("text/html")}, (415, "unsupported_media_type")),
        ({"content": b"x"}, (415, "unsupported_media_type")),
        ({"content": b"{", **JSON}, (422, "invalid_json")),
        ({"content": b"[" * 10_000, **JSON}, (422, "invalid_json")),
        ({"content": b'{"inputs":[NaN]}', **JSON}, (422, "invalid_json")),
        ({"json": {"inputs": []}}, (422, "invalid_request")),
        ({"json": {"inputs": [{"image": 3}]}}, (422, "invalid_request")),
        ({"json": {"inputs": [{"image": "", "text": ""}]}}, (422, "invalid_request")),
        ({"json": []}, (422, "invalid_request")),
        ({"json": {"inputs": [{"text": "x"}] * 257}}, (422, "invalid_request")),
        ({"content": b"x", **typed(MULTI)}, (400, "bad_request")),
        ({"content": b"x", **typed(MULTI + "; boundary=b")}, (400, "bad_request")),
        ({"files": [("files", ("a", b"x"))] * 1001}, (400, "bad_request")),
        ({"data": {"n": "x" * 2_000_000}, "files": [("files", ("a", PNG))]}, (400, "bad_request")),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(
    client: httpx.Client, url: str, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert problem(client.post(url, **request_)) == expected


@pytest.mark.parametrize(
    "query",
    [
        "top_k=0",
        "top_k=x",
        "unknown=2",
        "unknown=nan",
        "explain=poetry",
        "timeout=0",
        "timeout=1e9",
    ],
)
def test_options_out_of_range_are_named(client: httpx.Client, url: str, query: str) -> None:
    answer = client.post(f"{url}?{query}", content=PNG, headers=RAW)
    assert problem(answer) == (422, "invalid_request")
    assert answer.json()["param"] == query.split("=", maxsplit=1)[0]


def test_top_k_and_unknown_are_the_callers(client: httpx.Client, url: str) -> None:
    (item,) = post(client, f"{url}?top_k=1", content=PNG, headers=RAW)["data"]
    assert len(item["predictions"]) == 1
    assert item["familiarity"] > 0.05
    strange = kit.png(np.random.default_rng(0).integers(0, 256, (64, 64)))
    (item,) = post(client, url, content=strange, headers=RAW)["data"]
    assert (item["unknown"], item["familiarity"] < 0.05) == (True, True)
    (item,) = post(client, f"{url}?unknown=0", content=strange, headers=RAW)["data"]
    assert item["unknown"] is False


def test_a_header_turns_the_cache_off(client: httpx.Client, url: str) -> None:
    client.post(url, content=PNG, headers=RAW)
    cached = client.post(url, content=PNG, headers=RAW)
    assert 'cache;desc="1 of 1"' in cached.headers["server-timing"]
    computed = client.post(url, content=PNG, headers={**RAW, "x-headstart-cache": "off"})
    assert "forward;dur=" in computed.headers["server-timing"]


def test_no_key_unknown_model_and_foreign_model(
    client: httpx.Client, other_client: httpx.Client, anonymous: httpx.Client, url: str
) -> None:
    assert problem(anonymous.post(url, content=PNG, headers=RAW))[0] == 401
    missing = client.post("/v1/models/ft:x:y::z/predictions", content=PNG, headers=RAW)
    foreign = other_client.post(url, content=PNG, headers=RAW)
    assert problem(missing) == problem(foreign) == (404, "not_found")
    assert {**missing.json(), "request_id": ""} == {**foreign.json(), "request_id": ""}


def test_an_alias_means_its_model_from_the_next_request_on(
    client: httpx.Client, service: Service, serving: Serving, model: str
) -> None:
    second = kit.store_model(serving.settings, organisation="default", name="m2", seed=1).target
    register(service.services.sessions, second, name=second.model)
    for name in (model, second.model, model):
        client.put("/v1/aliases/digits@production", json={"model": name}).raise_for_status()
        body = post(client, "/v1/models/digits@production/predictions", content=PNG, headers=RAW)
        assert body["model"] == name


def test_a_pinned_alias_keeps_its_head_until_it_lets_go(
    client: httpx.Client, service: Service, model: str
) -> None:
    operator = make_key(service.services.sessions, "operators", ["operator"])

    def pins() -> float:
        with service.client(operator) as reader:
            lines = reader.get("/metrics").text.splitlines()
        return next(float(x.split()[1]) for x in lines if x.startswith("headstart_predictor_pins "))

    url = "/v1/aliases/held@production"
    counts = []
    for pinned in (True, False, True):
        client.put(url, json={"model": model, "pinned": pinned}).raise_for_status()
        counts.append(pins())
        post(client, "/v1/models/held@production/predictions", content=PNG, headers=RAW)
        counts.append(pins())
    client.delete(url).raise_for_status()
    assert [*counts, pins()] == [1, 1, 0, 0, 1, 1, 0]


def test_a_deleted_model_is_gone_from_the_next_request_on(
    client: httpx.Client, service: Service, serving: Serving
) -> None:
    target = kit.store_model(serving.settings, organisation="default", name="gone").target
    register(service.services.sessions, target, name=target.model)
    url = f"/v1/models/{target.model}/predictions"
    post(client, url, content=PNG, headers=RAW)
    client.delete(f"/v1/models/{target.model}").raise_for_status()
    assert problem(client.post(url, content=PNG, headers=RAW)) == (404, "not_found")


def test_a_corrupt_model_is_a_503(client: httpx.Client, service: Service, serving: Serving) -> None:
    target = replace(serving.target, sha256="0" * 64)
    register(service.services.sessions, target, name="ft:b:default::corrupt")
    answer = client.post("/v1/models/ft:b:default::corrupt/predictions", content=PNG, headers=RAW)
    assert problem(answer) == (503, "model_corrupt")
    assert int(answer.headers["retry-after"]) >= 1


def test_an_alias_never_moves_to_a_corrupt_model(
    client: httpx.Client, service: Service, serving: Serving, model: str
) -> None:
    target = kit.store_model(serving.settings, organisation="default", name="flipped").target
    register(service.services.sessions, target, name=target.model)
    path = serving.settings.data_dir / "storage" / target.artifact / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    client.put("/v1/aliases/steady", json={"model": model}).raise_for_status()
    refused = client.put("/v1/aliases/steady", json={"model": target.model})
    assert problem(refused) == (503, "model_corrupt")
    body = post(client, "/v1/models/steady/predictions", content=PNG, headers=RAW)
    assert body["model"] == model


def test_a_saliency_map_is_a_png(client: httpx.Client, url: str) -> None:
    body = post(client, f"{url}?explain=saliency", content=PNG, headers=RAW)
    (item,) = body["data"]
    assert item["label"] == LABEL
    kind, _, encoded = item["saliency"].partition(",")
    assert kind == "data:image/png;base64"
    layer = Image.open(io.BytesIO(b64decode(encoded)))
    assert (layer.mode, layer.size) == ("RGBA", (224, 224))
    assert np.array(layer)[..., 3].max() > 100


def test_the_nearest_training_examples_are_named(client: httpx.Client, url: str) -> None:
    training = kit.digit_pngs(10)[7][0]
    body = post(client, f"{url}?explain=neighbours", content=training, headers=RAW)
    (item,) = body["data"]
    first = item["neighbours"][0]
    assert first == {"example_id": "ex_7", "label": "0", "similarity": pytest.approx(1, abs=0.01)}
    similarities = [one["similarity"] for one in item["neighbours"]]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 5


def test_too_many_saliency_maps_are_refused(client: httpx.Client, url: str) -> None:
    files = [("files", (f"{n}.png", PNG)) for n in range(9)]
    answer = client.post(f"{url}?explain=saliency", files=files)
    assert problem(answer) == (422, "invalid_request")


def test_how_long_it_may_wait_is_the_callers(client: httpx.Client, url: str) -> None:
    applied = client.post(url, content=PNG, headers=RAW | {"prefer": "respond-async, wait=7"})
    assert (applied.status_code, applied.headers["preference-applied"]) == (200, "wait=7")
    bounded = client.post(url + "?timeout=3", content=PNG, headers=RAW | {"prefer": "wait=60"})
    assert bounded.headers["preference-applied"] == "wait=3"
    unsaid = client.post(url, content=PNG, headers=RAW | {"prefer": "handling=lenient"})
    assert (unsaid.status_code, "preference-applied" in unsaid.headers) == (200, False)


@pytest.mark.parametrize("path", ["/v2/models/{}/infer", "/v1/predictions?models={}", "/models/{}"])
def test_other_shapes_know_it_too(client: httpx.Client, model: str, path: str) -> None:
    encoded = b64encode(PNG).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded]}
    bodies = {"/v2": {"inputs": [tensor]}, "/v1": {"inputs": [{"image": encoded}]}}
    body = bodies.get(path[:3], {"inputs": encoded})
    answer = client.post(path.format(model), json=body, headers={"prefer": "wait=5"})
    assert (answer.status_code, answer.headers.get("preference-applied")) == (200, "wait=5"), (
        answer.text
    )


def test_who_asks_what_was_just_refused_is_told_so_unless_the_cache_may_know_it(
    service: Service, client: httpx.Client, url: str, serving: Serving
) -> None:
    post(client, url, content=PNG, headers=RAW)  # what the name means is known for a moment
    call = Call(id="p", tenant="default", target=serving.target, options=Options(), inputs=())
    said = WaitTooLongError("the wait", retry_after=2.5, stands=60, bears=1, unsaid=True, step=0.25)
    uncached = {**RAW, "x-headstart-cache": "off"}
    service.services.predictor._door.shut(call, said)
    files = [("files", ("a.png", PNG)), ("files", ("b.png", PNG))]
    off = {"x-headstart-cache": "off"}
    refused = [
        client.post(url, content=PNG, headers=uncached),
        client.post(url, files=files, headers=off),
        client.post(url, content=PNG, headers=uncached),
    ]
    assert [problem(one) for one in refused] == [(503, "overloaded")] * 3
    waits = [int(one.headers["retry-after-ms"]) for one in refused]
    assert waits[2] > waits[0]
    patient = client.post(url, content=PNG, headers={**uncached, "prefer": "wait=30"})
    assert patient.status_code == 200
    service.services.predictor._door.shut(call, said)
    assert client.post(url, content=PNG, headers=RAW).status_code == 200
    assert client.post(url, content=PNG, headers=uncached).status_code == 200, "it is over"
