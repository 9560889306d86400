"""What docker-compose.yml promises, as far as it can be told without docker."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from app.infra.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
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


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_may_write_its_data_and_nothing_else(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert [volume.rpartition(":")[2] for volume in writable] == ["/data"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"bucket"}))
def test_what_dies_comes_back(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_every_image_is_of_one_release() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    images.append(re.findall(r"^ARG BASE=(.*)$", (ROOT / "Dockerfile").read_text(), re.M)[0])
    released = re.compile(r"[a-z./]+:(\d+\.\d+(\.\d+)?(-[a-z-]+)?|RELEASE\.[0-9TZ-]+)")
    assert [image for image in images if not released.fullmatch(image)] == []


@pytest.mark.parametrize("name", sorted({*OURS} - {"api"}))
def test_each_replica_has_a_data_folder_of_its_own(name: str) -> None:
    assert "/data" in SERVICES[name]["volumes"]


def test_passwords_have_no_default_and_are_handed_on_as_they_are() -> None:
    """A password in a URL or a shell's line would be read as a part of it."""
    used = [
        line.strip() for line in TEXT.splitlines() if re.search(r"(?<!\$)\$\{[A-Z]+_PASSWORD", line)
    ]
    whole = re.compile(r"[A-Z_]+: \$\{[A-Z]+_PASSWORD:\?[a-z ]+\}")
    assert used
    assert [line for line in used if not whole.fullmatch(line)] == []


def test_secrets_are_drawn_once_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    make = ["make", "-f", str(ROOT / "Makefile"), "-C", str(tmp_path), "secrets"]
    subprocess.run(make, check=True, capture_output=True)
    first = (tmp_path / ".env").read_text()
    subprocess.run(make, check=True, capture_output=True)
    assert (tmp_path / ".env").read_text() == first
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    drawn = {line.partition("=")[0] for line in first.splitlines() if line}
    assert asked <= drawn <= set(re.findall(r"\$\{([A-Z_]+)", TEXT))
