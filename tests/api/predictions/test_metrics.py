"""What Prometheus reads of predictions."""

from __future__ import annotations

import httpx

from tests import serving_kit as kit
from tests.api.service import Service
from tests.factories import make_key


def test_the_predictors_metrics_follow_the_apps(
    client: httpx.Client, service: Service, url: str
) -> None:
    png = kit.digit_pngs(1, skip=90)[0][0]
    client.post(url, content=png, headers={"content-type": "image/png"}).raise_for_status()
    operator = make_key(service.services.sessions, "operators", ["operator"])
    with service.client(operator) as reader:
        text = reader.get("/metrics").text
    for name in ("queue_seconds", "batch_size", "forward_seconds", "heads", "cache_total"):
        assert f"headstart_predictor_{name}" in text
    assert 'route="/v1/models/{model}/predictions"' in text


def test_the_system_tells_how_long_predictions_take(client: httpx.Client, url: str) -> None:
    png = kit.digit_pngs(1, skip=91)[0][0]
    client.post(url, content=png, headers={"content-type": "image/png"}).raise_for_status()
    told = client.get("/v1/system").json()["latency"]
    assert 0 < told["p50_seconds"] <= told["p95_seconds"] <= told["p99_seconds"]
