"""The dashboard and the alert rules name only what the service tells Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest

from app.infra.repositories.live import buffer
from app.operations import metrics
from worker.predictor.metrics import Metrics

FOLDER = Path(__file__).resolve().parents[2] / "deploy/observability"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
SOURCES = "".join(
    path.read_text()
    for folder in ("app", "worker")
    for path in (FOLDER.parents[1] / folder).rglob("*.py")
)
TOLD = re.compile(r"\bheadstart_\w+")


def expressions() -> list[str]:
    told = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return told + [rule["expr"] for rule in RULES]


def known() -> Iterator[str]:
    """The names of the samples and families of every process, and of those made when scraped."""
    assert metrics
    assert buffer
    both = (generate_latest(REGISTRY) + Metrics().text()).decode()
    for name, kind in re.findall(r"^# TYPE (headstart_\w+) (\w+)$", both, re.M):
        yield name
        if kind == "histogram":
            yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))
    yield from re.findall(r'GaugeMetricFamily\(\s*"(headstart_\w+)"', SOURCES)
    for name in re.findall(r'metrics\.watch\("(\w+)"', SOURCES):
        yield f"headstart_predictor_{name}"


def test_every_metric_that_is_named_is_told() -> None:
    named = {name for expression in expressions() for name in TOLD.findall(expression)}
    assert len(named) > 15
    assert named <= set(known())


def test_outcomes_and_labels_that_rules_choose_are_ones_that_there_are() -> None:
    chosen = {
        value
        for expression in expressions()
        for value in re.findall(r'(?:outcome|state)="(\w+)"', expression)
    }
    assert chosen == {"dropped", "queued", "running"}
    assert all(f'"{value}"' in SOURCES for value in chosen)


def test_every_rule_says_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "action"}


def test_panels_have_places_of_their_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_promtool_takes_the_rules_and_every_expression(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus): rules were not checked by it")
    panels = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions())
    ]
    (tmp_path / "panels.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "panels", "rules": panels}]})
    )
    for path in (FOLDER / "alerts.yml", tmp_path / "panels.yml"):
        done = subprocess.run(
            ["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
