"""What the chart renders, as helm renders it: valid objects, sealed pods, refused mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.chart import (
    CHART,
    OWN,
    ROOT,
    environment,
    helm,
    named,
    pods,
    render,
    run_helm,
)
from tests.chart_parts import VERSIONS
from tests.servers import missing

pytestmark = pytest.mark.slow

SCHEMAS = OWN.parent / "schemas"
EVERYTHING: dict[str, Any] = {
    "api": {"autoscaling": {"enabled": True}, "podAnnotations": {"a/b": "c"}},
    "predictor": {
        "autoscaling": {"enabled": True},
        "runtimeClassName": "nvidia",
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    },
    "trainers": {
        "main": {"replicas": 3},
        "gpu": {
            "resources": {"limits": {"nvidia.com/gpu": 1}},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "nodeSelector": {"pool": "gpu"},
            "settings": {"worker_accelerator": "gpu"},
            "keda": {"enabled": True, "kind": "ScaledJob"},
        },
        "scaled": {"keda": {"enabled": True}},
    },
    "weightsVolume": {"persistentVolumeClaim": {"claimName": "weights", "readOnly": True}},
    "image": {"pullSecrets": [{"name": "registry"}]},
    "ingress": {"enabled": True, "tlsSecret": "tls"},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
    "networkPolicy": {
        "apiFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "monitoringFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egress": [{"ports": [{"port": 5432}, {"port": 6379}, {"port": 9000}]}],
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
    },
}
FOREIGN = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1", "keda.sh/v1alpha1")
"""Whose objects Kubernetes' own schemas do not know."""


@pytest.fixture(scope="module")
def everything() -> list[dict[str, Any]]:
    return render(**EVERYTHING)


def test_lint_finds_nothing() -> None:
    for values in ({}, EVERYTHING):
        status, printed, complaint = run_helm("lint", "--strict", CHART, values=values)
        assert status == 0, printed + complaint


@cache
def _validator(version: str, name: str) -> Draft202012Validator:
    folder = SCHEMAS / version
    shared = json.loads((folder / "_definitions.json").read_text())
    found = json.loads((folder / name).read_text())
    registry: Registry[Any] = Registry().with_resource(
        "/api/_definitions.json", Resource.from_contents(shared)
    )
    return Draft202012Validator(found, registry=registry)


def _complaints(version: str, found: dict[str, Any]) -> Iterator[str]:
    group, _, api = found["apiVersion"].rpartition("/")
    short = "-".join(filter(None, (group.split(".", maxsplit=1)[0], api)))
    name = f"{found['kind'].lower()}-{short}.json"
    for error in _validator(version, name).iter_errors(found):
        yield f"{found['kind']} {found['metadata']['name']} {error.json_path}: {error.message}"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_as_kubernetes_has_it(
    version: str, everything: list[dict[str, Any]]
) -> None:
    if not SCHEMAS.is_dir():
        missing("Kubernetes' schemas (make helm)")
    for objects in (render(), everything):
        own = [found for found in objects if found["apiVersion"] not in FOREIGN]
        assert [line for found in own for line in _complaints(version, found)] == []


def test_the_schemas_would_see_a_wrong_field() -> None:
    if not SCHEMAS.is_dir():
        missing("Kubernetes' schemas (make helm)")
    wrong = named(render(), "Deployment", "prod-headstart-api")
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert "readynessProbe" in "".join(_complaints(VERSIONS[-1], wrong))


def test_no_two_objects_are_one(everything: list[dict[str, Any]]) -> None:
    names = [(found["kind"], found["metadata"]["name"]) for found in everything]
    assert len(set(names)) == len(names)


def test_every_pod_is_sealed(everything: list[dict[str, Any]]) -> None:
    found = pods(everything)
    assert set(found) == {"api", "predictor", "trainer", "migrate", "ready"}
    for pod in found.values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {one["mountPath"] for one in container["volumeMounts"]} >= {"/data", "/tmp"}
        assert container["resources"]["requests"]["memory"]
        assert container["resources"]["limits"]["memory"]


def test_what_runs_before_the_chart_needs_nothing_of_it(
    everything: list[dict[str, Any]],
) -> None:
    job = named(everything, "Job", "prod-headstart-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in pod
    assert "configMap" not in json.dumps(pod)
    assert pod["containers"][0]["command"] == ["headstart", "prepare", "--no-key"]


def test_selectors_find_the_pods_that_they_mean(everything: list[dict[str, Any]]) -> None:
    labels = {
        found["metadata"]["name"]: template["metadata"]["labels"]
        for found in everything
        if (template := _template(found))
    }
    wanted = [
        (found["metadata"]["name"], selector)
        for found in everything
        if (selector := _selector(found))
    ]
    assert len(wanted) >= 8
    for name, selector in wanted:
        chosen = {one for one, has in labels.items() if selector.items() <= has.items()}
        assert chosen == {name}


def _template(found: dict[str, Any]) -> dict[str, Any] | None:
    spec = found.get("spec", {})
    return spec.get("jobTargetRef", spec).get("template")


def _selector(found: dict[str, Any]) -> dict[str, str]:
    spec = found.get("spec", {})
    if found["kind"] == "Service":
        return dict(spec["selector"])
    if found["kind"] in ("NetworkPolicy", "PodDisruptionBudget"):
        return dict(spec.get("podSelector", spec.get("selector"))["matchLabels"])
    return {}


def test_predictors_are_reached_by_the_release_alone_and_trainers_by_nobody(
    everything: list[dict[str, Any]],
) -> None:
    predictor = named(everything, "NetworkPolicy", "prod-headstart-predictor")["spec"]
    own = {"app.kubernetes.io/instance": "prod", "app.kubernetes.io/part-of": "headstart"}
    assert predictor["ingress"][0]["from"][0] == {"podSelector": {"matchLabels": own}}
    for pool in EVERYTHING["trainers"]:
        spec = named(everything, "NetworkPolicy", f"prod-headstart-trainer-{pool}")["spec"]
        assert spec["ingress"] == []
        assert spec["policyTypes"] == ["Ingress", "Egress"]
    plain = named(render(), "NetworkPolicy", "prod-headstart-api")["spec"]
    assert plain["policyTypes"] == ["Ingress"]


def test_numbers_stay_what_they_are() -> None:
    told = {"max_upload_bytes": 21474836480, "poll_seconds": 0.5, "allow_hub_code": True}
    api = pods(render(settings={"storage_url": "s3://b", **told}))["api"]["containers"][0]
    seen = environment(api)
    assert seen["HEADSTART_MAX_UPLOAD_BYTES"] == "21474836480"
    assert seen["HEADSTART_POLL_SECONDS"] == "0.5"
    assert seen["HEADSTART_ALLOW_HUB_CODE"] == "true"


def test_the_key_that_opens_secrets_is_the_apps_alone() -> None:
    for name, pod in pods(render()).items():
        seen = environment(pod["containers"][0])
        assert seen.get("HEADSTART_SECRETS_KEY", "the Secret's") == (
            "the Secret's" if name in ("api", "migrate", "ready") else ""
        )


def test_a_components_setting_goes_before_everybodys_and_a_pools_before_its_kinds() -> None:
    objects = render(
        settings={"storage_url": "s3://b", "log_level": "INFO", "drain_seconds": 100},
        trainer={"settings": {"log_level": "ERROR", "lease_seconds": 9}},
        trainers={"main": {"settings": {"log_level": "DEBUG"}}},
    )
    trainer = pods(objects)["trainer"]
    seen = environment(trainer["containers"][0])
    assert seen["HEADSTART_LOG_LEVEL"] == "DEBUG"
    assert seen["HEADSTART_LEASE_SECONDS"] == "9"
    assert trainer["terminationGracePeriodSeconds"] == 110
    assert environment(pods(objects)["api"]["containers"][0])["HEADSTART_LOG_LEVEL"] == "INFO"


def test_a_nought_and_a_no_are_said_as_well_as_anything() -> None:
    objects = render(
        settings={"storage_url": "s3://b", "quota_jobs": 7, "drain_seconds": 50,
                  "allow_hub_code": True},
        api={"settings": {"quota_jobs": 0, "allow_hub_code": False}},
        trainer={"replicas": 3},
        trainers={"main": {"replicas": 0, "settings": {"drain_seconds": 0}}},
    )  # fmt: skip
    seen = environment(pods(objects)["api"]["containers"][0])
    assert seen["HEADSTART_QUOTA_JOBS"] == "0"
    assert seen["HEADSTART_ALLOW_HUB_CODE"] == "false"
    assert pods(objects)["trainer"]["terminationGracePeriodSeconds"] == 10
    assert named(objects, "Deployment", "prod-headstart-trainer-main")["spec"]["replicas"] == 0


def test_a_pools_memory_goes_before_the_usual_one_and_leaves_the_rest() -> None:
    trainers = {"main": {"resources": {"limits": {"memory": "64Gi", "nvidia.com/gpu": 1}}}}
    (container,) = pods(render(trainers=trainers))["trainer"]["containers"]
    assert container["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": 1}
    assert container["resources"]["requests"]["cpu"] == "2"


def test_a_pod_without_a_database_of_everybodys_does_not_start() -> None:
    """It would take uploads into a folder that ends with it."""
    for pod in pods(render()).values():
        env = {one["name"]: one for one in pod["containers"][0]["env"]}
        for name in ("HEADSTART_DATABASE_URL", "HEADSTART_BROKER_URL"):
            assert env[name]["valueFrom"]["secretKeyRef"] == {"name": "headstart", "key": name}
        assert env["HEADSTART_STORAGE_URL"]["value"].startswith("s3://")
    told = {"storage_url": "s3://b", "database_url": "postgresql://h/d"}
    said = environment(pods(render(settings=told))["api"]["containers"][0])
    assert said["HEADSTART_DATABASE_URL"] == "postgresql://h/d"


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"storage_url": "s3://b", "max_uplaod_bytes": 1}},
        {"settings": {"storage_url": "s3://b", "max_upload_bytes": "much"}},
        {"settings": {"storage_url": None}},
        {"settings": {"storage_url": "/data"}},
        {"settings": {"storage_url": "s3://b", "precision": "int4"}},
        {"api": {"replica": 3}},
        {"existingSecret": ""},
        {"trainers": {"Main": {}}},
        {"trainers": {"main": {"keda": {"kind": "CronJob"}}}},
        {"httpRoute": {"enabled": True}},
        {"image": {"api": {"repository": "x", "digest": "latest"}}},
    ],
    ids=json.dumps,
)
def test_a_mistake_in_values_is_refused(values: dict[str, Any]) -> None:
    status, _, complaint = run_helm("template", "prod", CHART, values=values)
    assert status != 0
    assert complaint.strip()


def test_rules_and_dashboard_are_those_beside_the_chart(everything: list[dict[str, Any]]) -> None:
    folder = ROOT / "deploy/observability"
    rules = named(everything, "PrometheusRule", "prod-headstart")["spec"]
    assert rules == yaml.safe_load((folder / "alerts.yml").read_text())
    board = named(everything, "ConfigMap", "prod-headstart-dashboard")["data"]
    assert json.loads(board["headstart.json"]) == json.loads(
        (folder / "dashboard.json").read_text()
    )


def test_the_apps_metrics_are_asked_with_a_key_and_the_predictors_without(
    everything: list[dict[str, Any]],
) -> None:
    api = named(everything, "ServiceMonitor", "prod-headstart-api")["spec"]["endpoints"][0]
    assert api["authorization"]["credentials"] == {"name": "headstart", "key": "metrics-key"}
    predictor = named(everything, "ServiceMonitor", "prod-headstart-predictor")["spec"]
    assert "authorization" not in predictor["endpoints"][0]


def test_scaled_deployments_leave_the_number_to_who_scales_them(
    everything: list[dict[str, Any]],
) -> None:
    for name in ("api", "predictor"):
        assert "replicas" not in named(everything, "Deployment", f"prod-headstart-{name}")["spec"]
        found = named(everything, "HorizontalPodAutoscaler", f"prod-headstart-{name}")
        assert found["spec"]["scaleTargetRef"]["name"] == f"prod-headstart-{name}"


def test_a_trainer_that_is_a_job_ends_when_it_is_idle_and_is_not_scaled_away(
    everything: list[dict[str, Any]],
) -> None:
    spec = named(everything, "ScaledJob", "prod-headstart-trainer-gpu")["spec"]
    (container,) = spec["jobTargetRef"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "worker.trainer"]
    seen = environment(container)
    assert float(seen["HEADSTART_IDLE_EXIT_SECONDS"] or 0) > 0
    assert seen["HEADSTART_WORKER_ACCELERATOR"] == "gpu"
    names = {found["metadata"]["name"] for found in everything if found["kind"] == "Deployment"}
    assert "prod-headstart-trainer-gpu" not in names
    scaled = named(everything, "ScaledObject", "prod-headstart-trainer-scaled")["spec"]
    deployment = named(everything, "Deployment", scaled["scaleTargetRef"]["name"])
    assert "replicas" not in deployment["spec"]


def test_keda_reads_the_database_with_the_secret(everything: list[dict[str, Any]]) -> None:
    (trigger,) = named(everything, "ScaledObject", "prod-headstart-trainer-scaled")["spec"][
        "triggers"
    ]
    found = named(everything, "TriggerAuthentication", trigger["authenticationRef"]["name"])
    assert found["spec"]["secretTargetRef"] == [
        {"parameter": "connection", "name": "headstart", "key": "HEADSTART_DATABASE_URL"}
    ]
    assert trigger["metadata"]["targetQueryValue"] == "1"  # KEDA takes strings alone


def test_a_long_release_has_names_that_kubernetes_takes() -> None:
    status, printed, complaint = run_helm("template", "r" * 53, CHART, values=EVERYTHING)
    assert status == 0, complaint
    assert all(
        len(found["metadata"]["name"]) <= 63 for found in yaml.safe_load_all(printed) if found
    )


def test_the_chart_packs(tmp_path: Path) -> None:
    """The rules and the dashboard are links here, and files in what is pushed."""
    status, _, complaint = run_helm("package", CHART, "--destination", tmp_path)
    assert status == 0, complaint
    (packed,) = tmp_path.iterdir()
    status, printed, complaint = run_helm("template", "prod", packed, values=EVERYTHING)
    assert status == 0, complaint
    assert "HeadstartNothingRuns" in printed
    assert helm()
