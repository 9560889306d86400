"""How long predictions take, as the histogram of requests has it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Histogram

from app.operations import metrics

ROUTE = "/v1/models/{model}/predictions"


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> Histogram:
    """What requests are written to: a histogram of the test's own."""
    own = CollectorRegistry()
    monkeypatch.setattr(metrics, "_own", lambda: own)
    return Histogram(
        "headstart_http_seconds",
        "as the service's",
        ["method", "route", "status"],
        buckets=(0.01, 0.1, 1),
        registry=own,
    )


def test_nothing_is_told_before_the_first_prediction(observed: Histogram) -> None:
    observed.labels("GET", "/v1/models", 200).observe(0.5)
    observed.labels("POST", ROUTE, 503).observe(0.5)
    assert metrics.prediction_seconds(0.5) is None


def test_shares_lie_linearly_in_their_bucket(observed: Histogram) -> None:
    for seconds in (0.005, 0.005, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.5):
        observed.labels("POST", ROUTE, 200).observe(seconds)
    observed.labels("GET", "/v1/models", 200).observe(0.001)
    found = metrics.prediction_seconds(0.1, 0.2, 0.55, 0.9, 1)
    assert found == pytest.approx([0.005, 0.01, 0.055, 0.1, 1])


def test_both_ways_to_predict_count_together(observed: Histogram) -> None:
    observed.labels("POST", ROUTE, 200).observe(0.005)
    observed.labels("POST", "/v1/predictions", 200).observe(0.05)
    assert metrics.prediction_seconds(0.5, 1) == pytest.approx([0.01, 0.1])


def test_beyond_the_last_bucket_its_lower_end_is_told(observed: Histogram) -> None:
    observed.labels("POST", ROUTE, 200).observe(7)
    assert metrics.prediction_seconds(0.5, 0.99) == [1, 1]
