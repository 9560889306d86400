"""An engine is in memory once, for as long as a batcher reads it."""

from __future__ import annotations

from typing import Any

from worker.predictor.metrics import Metrics
from worker.predictor.networks.loading import _Engines


class Engine:
    precision = "openvino-f32"


def test_an_engine_is_shared_and_goes_with_its_last_reader() -> None:
    metrics, loads = Metrics(), list[str]()

    def load(name: str, _precision: str) -> Any:
        loads.append(name)
        return Engine()

    engines = _Engines(load, metrics)
    gauge = metrics.networks.labels("net", Engine.precision)
    one, other = (engines.get("net", "f32") for _ in range(2))
    assert (one is other, loads, gauge._value.get()) == (True, ["net"], 1)
    del one
    assert engines.get("net", "f32") is other
    del other
    assert gauge._value.get() == 0
    assert engines.get("net", "f32") is not None
    assert loads == ["net", "net"]
