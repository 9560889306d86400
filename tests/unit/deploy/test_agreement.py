"""docker-compose.yml, the Dockerfile and the chart say the same of the same processes."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from app.infra.settings import Settings
from tests.chart import ROOT, environment, named, pods, render
from worker.predictor.networks.room import BESIDE

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SAME = {"api": "api", "predictor": "predictor", "trainer": "worker"}
"""The chart's name and compose's."""
WEIGHTS = {"weightsVolume": {"hostPath": {"path": "/srv/weights"}}}


@pytest.fixture(scope="module")
def rendered() -> dict[str, dict[str, Any]]:
    return pods(render(**WEIGHTS))


def _target(name: str) -> str:
    """The Dockerfile's part that makes an image."""
    return re.split(r"^FROM .* AS ", DOCKERFILE, flags=re.M)[_stages().index(name) + 1]


def _stages() -> list[str]:
    return re.findall(r"^FROM .* AS (\w+)$", DOCKERFILE, re.M)


def _words(command: str) -> list[str]:
    return re.findall(r'"([^"]*)"', command)


def test_trainers_and_predictors_are_started_alike(rendered: dict[str, dict[str, Any]]) -> None:
    usual = _words(re.findall(r"^CMD (.*)$", _target("worker"), re.M)[0])
    assert rendered["trainer"]["containers"][0]["command"] == usual
    assert "command" not in SERVICES["worker"]
    told = rendered["predictor"]["containers"][0]["command"]
    assert told == SERVICES["predictor"]["command"]


def test_the_app_is_prepared_and_started_alike(rendered: dict[str, dict[str, Any]]) -> None:
    usual = _words(re.findall(r"^CMD (\[.*)$", _target("api"), re.M)[0])[-1]
    prepared, started = usual.split(" && exec ")
    assert rendered["api"]["containers"][0]["command"] == started.split()
    assert rendered["migrate"]["containers"][0]["command"] == [*prepared.split(), "--no-key"]


@pytest.mark.parametrize("name", SAME)
def test_images_are_of_the_same_targets(name: str, rendered: dict[str, dict[str, Any]]) -> None:
    target = SERVICES[SAME[name]]["build"]["target"]
    assert rendered[name]["containers"][0]["image"].startswith(f"headstart-{target}:")
    assert target in _stages()


@pytest.mark.parametrize("name", SAME)
def test_settings_that_compose_makes_the_chart_makes(
    name: str, rendered: dict[str, dict[str, Any]]
) -> None:
    container = rendered[name]["containers"][0]
    own, other = environment(container), SERVICES[SAME[name]]["environment"]
    elsewhere = {"HEADSTART_STORAGE_ENDPOINT", "PGPASSWORD"}
    elsewhere |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # the Secret's to say
    elsewhere |= {"HEADSTART_SECRETS_KEY"}
    assert set(other) - elsewhere == set(own) - elsewhere
    for same in ("HOME", "HEADSTART_DATA_DIR", "HEADSTART_WEIGHTS_DIR", "HEADSTART_STORAGE_URL"):
        assert own[same] == other[same]
    assert own.get("HEADSTART_PREDICTOR_LISTEN") == other.get("HEADSTART_PREDICTOR_LISTEN")


@pytest.mark.parametrize("name", SAME)
def test_volumes_have_the_same_places(name: str, rendered: dict[str, dict[str, Any]]) -> None:
    mounts = {
        one["mountPath"]: bool(one.get("readOnly"))
        for one in rendered[name]["containers"][0]["volumeMounts"]
    }
    assert mounts.pop("/tmp") is False
    parts = [volume.split(":") for volume in SERVICES[SAME[name]]["volumes"]]
    others = {(part[1] if len(part) > 1 else part[0]): part[-1] == "ro" for part in parts}
    assert mounts == others


def test_ports_are_those_of_the_image_and_of_the_predictors_address(
    rendered: dict[str, dict[str, Any]],
) -> None:
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.M)
    ports = {
        name: rendered[name]["containers"][0]["ports"][0]["containerPort"]
        for name in ("api", "predictor")
    }
    assert ports["api"] == int(exposed)
    assert SERVICES["api"]["ports"][0].endswith(f":{exposed}")
    called = environment(rendered["api"]["containers"][0])["HEADSTART_PREDICTOR_URL"]
    assert called is not None
    assert ports["predictor"] == urlsplit(called).port
    service = named(render(), "Service", "prod-headstart-predictor")
    assert urlsplit(called).hostname == service["metadata"]["name"]
    assert service["spec"]["ports"][0]["port"] == ports["predictor"]


def test_the_user_is_the_images(rendered: dict[str, dict[str, Any]]) -> None:
    (uid,) = re.findall(r"useradd .*--uid (\d+)", DOCKERFILE)
    assert {pod["securityContext"]["runAsUser"] for pod in rendered.values()} == {int(uid)}
    assert all("USER headstart" in _target(name) for name in ("api", "worker"))


@pytest.mark.parametrize("name", SAME)
def test_both_are_sealed(name: str, rendered: dict[str, dict[str, Any]]) -> None:
    service = SERVICES[SAME[name]]
    sealed = rendered[name]["containers"][0]["securityContext"]
    assert service["read_only"] is sealed["readOnlyRootFilesystem"] is True
    assert service["cap_drop"] == sealed["capabilities"]["drop"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]


def _bytes(told: str) -> int:
    """Of a size as either of them writes it: 8g, 8Gi."""
    number, unit = re.fullmatch(r"(\d+)([gm])i?", told.lower()).groups()  # type: ignore[union-attr]
    return int(number) << {"g": 30, "m": 20}[unit]


@pytest.mark.parametrize("name", SAME)
def test_both_allow_as_much_memory(name: str) -> None:
    values = yaml.safe_load((ROOT / "deploy/helm/headstart/values.yaml").read_text())
    limit = values[name]["resources"]["limits"]["memory"]
    own = SERVICES[SAME[name]]["mem_limit"]
    assert _bytes(own) == _bytes(limit)
    said = (ROOT / "docs/deployment/containers.md").read_text()
    assert re.search(rf"\b{_bytes(own) >> 30}\b[^;]* `?{SAME[name]}\b", said)


def test_every_process_of_ours_has_a_limit() -> None:
    ours = {name: one for name, one in SERVICES.items() if "build" in one}
    assert {name for name, one in ours.items() if "mem_limit" not in one} == set()
    for name in ("worker", "predictor"):
        assert SERVICES[f"{name}-gpu"]["mem_limit"] == SERVICES[name]["mem_limit"]


@pytest.mark.parametrize("name", ["api", "predictor"])
def test_probes_ask_what_compose_asks(name: str, rendered: dict[str, dict[str, Any]]) -> None:
    container = rendered[name]["containers"][0]
    assert "/livez" in SERVICES[SAME[name]]["healthcheck"]["test"][-1]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_a_trainer_proves_itself_alike(rendered: dict[str, dict[str, Any]]) -> None:
    told = SERVICES["worker"]["healthcheck"]["test"]
    assert [
        "CMD",
        *rendered["trainer"]["containers"][0]["livenessProbe"]["exec"]["command"],
    ] == told


def test_trainers_are_given_as_long_to_drain(rendered: dict[str, dict[str, Any]]) -> None:
    usual = SERVICES["worker"]["stop_grace_period"]
    assert f"{rendered['trainer']['terminationGracePeriodSeconds']}s" == usual


def test_a_predictor_s_bound_fits_its_limit(rendered: dict[str, dict[str, Any]]) -> None:
    """What is beside it is pages of files, which the system may drop, and libraries'."""
    container = rendered["predictor"]["containers"][0]
    asked = [environment(container), SERVICES["predictor"]["environment"]]
    assert not any("HEADSTART_HEADS_CACHE_BYTES" in one for one in asked)
    bound = Settings.model_fields["heads_cache_bytes"].default + BESIDE
    limit = container["resources"]["limits"]["memory"]
    assert bound + 2**29 <= int(limit.removesuffix("Gi")) * 2**30
    measured = json.loads((ROOT / "benchmarks/results/tuned_memory.json").read_text())["results"]
    assert measured["bound_mib"] * 2**20 == bound
    assert measured["most_mib"] <= measured["bound_mib"]
