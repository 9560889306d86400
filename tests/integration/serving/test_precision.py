"""Models of both precisions before predictors on CPUs with and without units for bf16."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.messages import Call, Input, Options, Target
from app.infra.precision import Precisions, precision_of
from app.infra.predictor_client import Answer, PredictorClient
from app.infra.settings import Settings
from tests import serving_kit as kit

ON = "tests.predictor_of_units"
ASKED = [data for data, _ in kit.digit_pngs(4, skip=40)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("precision"))


@pytest.fixture(scope="module")
def full(settings: Settings) -> Target:
    """A model that was fitted in f32."""
    return kit.store_model(settings, name="full", fitted_on="openvino-f32").target


@pytest.fixture(scope="module")
def half(settings: Settings) -> Target:
    """The same head, as if it had been fitted in bf16."""
    return kit.store_model(settings, name="half", fitted_on="openvino-bf16").target


def ask(settings: Settings, *targets: Target) -> tuple[list[Answer], Precisions, str]:
    """Each target's answer; what the predictor says it computes in, and its metrics."""

    async def run() -> tuple[list[Answer], Precisions, str]:
        client = PredictorClient(settings.predictor, limit=1024)
        inputs = tuple(Input("image", data) for data in ASKED)
        options = Options(cache=False)
        try:
            answers = [
                await client.predict(
                    Call(id="pred_1", tenant="org", target=one, options=options, inputs=inputs)
                )
                for one in targets
            ]
            return answers, await client.precisions(), (await client.metrics()).decode()
        finally:
            await client.close()

    return asyncio.run(run())


def probabilities(answer: Answer) -> Any:
    """[n, k], classes in the order of their names."""
    rows = [
        {one["label"]: one["probability"] for one in item["predictions"]}
        for item in json.loads(answer.body)["data"]
    ]
    return np.array([[row[label] for label in sorted(row)] for row in rows])


def test_with_units_each_model_is_answered_in_its_own(
    settings: Settings, full: Target, half: Target
) -> None:
    with kit.predictor(settings, module=ON, TEST_UNITS="bf16"):
        (first, second, again), machine, metrics = ask(settings, full, half, full)
    assert first.precision == again.precision == "openvino-f32"
    assert precision_of(second.precision) == "bf16"
    assert "fitted" not in second.precision
    assert machine.default == "openvino-bf16"
    np.testing.assert_allclose(probabilities(first), probabilities(again), atol=1e-4)
    assert 0 < np.abs(probabilities(first) - probabilities(second)).max() < 0.3
    assert metrics.count("headstart_predictor_networks{") == 2
    name = "headstart_predictor_precision_inputs_total"
    for precision, count in (("f32", 2 * len(ASKED)), ("bf16", len(ASKED))):
        assert f'{name}{{fitted="{precision}",served="{precision}"}} {count}.0' in metrics


def test_without_units_f32_answers_and_says_so(
    settings: Settings, full: Target, half: Target
) -> None:
    with kit.predictor(settings, module=ON, TEST_UNITS="f32"):
        (first, second), machine, metrics = ask(settings, full, half)
    assert first.precision == "openvino-f32"
    assert second.precision == "openvino-f32; fitted=openvino-bf16"
    assert machine == Precisions(default="openvino-f32", available=("openvino-f32",))
    np.testing.assert_allclose(probabilities(first), probabilities(second), atol=1e-4)
    assert metrics.count("headstart_predictor_networks{") == 1
    name = "headstart_predictor_precision_inputs_total"
    assert f'{name}{{fitted="bf16",served="f32"}} {len(ASKED)}.0' in metrics


def test_the_setting_is_what_is_loaded_first(settings: Settings, half: Target) -> None:
    units = {"TEST_UNITS": "bf16", "HEADSTART_PRECISION": "f32"}
    with kit.predictor(settings, module=ON, **units):
        (), machine, before = ask(settings)
        (answer,), _, after = ask(settings, half)
    assert machine.default == "openvino-f32"
    assert before.count("headstart_predictor_networks{") == 1
    assert 'engine="openvino-f32"' in before
    assert precision_of(answer.precision) == "bf16"
    assert after.count("headstart_predictor_networks{") == 2


def test_bf16_without_units_does_not_start(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", ON],
        env={
            "PATH": "/usr/bin:/bin",
            "TEST_UNITS": "f32",
            "HEADSTART_PRECISION": "bf16",
            "HEADSTART_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert told.returncode == 1
    assert "precision_unavailable" in told.stdout + told.stderr


def test_no_other_precision_can_be_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="precision"):
        Settings(data_dir=tmp_path, precision="f16")  # type: ignore[arg-type]
