"""What docker-compose.yml promises, as far as it can be told without docker."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from app.infra.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = ("api", "worker", "predictor", "worker-gpu", "predictor-gpu")
PREDICTORS = ("predictor", "predictor-gpu")


@pytest.mark.parametrize("name", OURS)
def test_every_setting_exists(name: str) -> None:
    prefix = "HEADSTART_"
    names = [key for key in SERVICES[name]["environment"] if key.startswith(prefix)]
    assert {key.removeprefix(prefix).lower() for key in names} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_listens_on_its_own_address_at_the_port_that_others_call(name: str) -> None:
    environment = SERVICES[name]["environment"]
    listen = urlsplit(environment["HEADSTART_PREDICTOR_LISTEN"])
    assert listen.hostname == "0.0.0.0"
    assert listen.port == urlsplit(environment["HEADSTART_PREDICTOR_URL"]).port
    assert f":{listen.port}/livez" in SERVICES[name]["healthcheck"]["test"][-1]
    assert SERVICES[name]["command"] == ["python", "-m", "worker.predictor"]


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_a_trainer_is_healthy_while_it_consumes(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"] == [
        "CMD",
        "python",
        "-m",
        "worker.trainer.liveness",
    ]
    assert "HEADSTART_PREDICTOR_LISTEN" not in SERVICES[name]["environment"]


@pytest.mark.parametrize("name", OURS)
def test_every_process_of_ours_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
