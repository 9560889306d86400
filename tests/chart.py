"""The Helm chart as tests see it: its values, what it renders, what it knows of settings."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from app.infra.lanes import WORK_KINDS
from app.infra.repositories.picking import demand_sql
from app.infra.settings import Settings
from tests.servers import missing

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy/helm/headstart"
SCHEMA = CHART / "values.schema.json"
WAITING = CHART / "files/waiting.json"
OWN = ROOT / "data/helm/helm"
"""Where `make helm` puts the program."""


def settings_schema() -> dict[str, Any]:
    """What values may say of settings: each by its name and kind, and nothing else."""
    fields = Settings.model_json_schema()["properties"]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _kind(fields[name]) for name in sorted(fields)},
    }


def _kind(field: dict[str, Any]) -> dict[str, Any]:
    options = field.get("anyOf", [field])
    kinds = [option["type"] for option in options if option.get("type") != "null"]
    told: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    return told | ({"enum": field["enum"]} if "enum" in field else {})


def waiting() -> dict[str, Any]:
    """The parts of the query by which KEDA counts the work that waits for a pool of trainers."""
    usual = Settings.model_construct()
    names = ("worker_accelerator", "gpu_methods", "gpu_backbones")
    defaults = {name: getattr(usual, name) for name in names}
    clock = "extract(epoch FROM clock_timestamp())"
    return {
        "defaults": {"worker_kinds": ",".join(WORK_KINDS), **defaults},
        **demand_sql(clock=clock),
    }


def helm() -> str:
    """Where the program is; a skip without it, or a failure where CI promised it."""
    found = str(OWN) if OWN.is_file() else shutil.which("helm")
    if found is None:
        missing("helm (make helm)")
    assert found is not None
    return found


def run_helm(*arguments: str | Path, values: dict[str, Any] | None = None) -> tuple[int, str, str]:
    """The status, what it printed, and what it complained of."""
    given = ["--values", "-"] if values is not None else []
    done = subprocess.run(
        [helm(), *map(str, arguments), *given],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def render(**values: Any) -> list[dict[str, Any]]:
    """Every object of a release `prod` with these values."""
    status, printed, complaint = run_helm("template", "prod", CHART, values=values)
    assert status == 0, complaint
    return [found for found in yaml.safe_load_all(printed) if found]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one object of this kind and name."""
    of_kind = {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}
    assert name in of_kind, f"{kind} {name} is not among {sorted(of_kind)}"
    return of_kind[name]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pods that objects have made, by the name of their one container."""
    specs = [_pod(found) for found in objects]
    return {spec["containers"][0]["name"]: spec for spec in specs if spec}


def _pod(found: dict[str, Any]) -> dict[str, Any] | None:
    if found["kind"] == "Pod":
        return dict(found["spec"])
    if found["kind"] == "ScaledJob":
        return dict(found["spec"]["jobTargetRef"]["template"]["spec"])
    template = found.get("spec", {}).get("template")
    return dict(template["spec"]) if template else None


def environment(container: dict[str, Any]) -> dict[str, str | None]:
    """What a container's processes see; None: from the Secret."""
    return {one["name"]: one.get("value") for one in container["env"]}


def write_settings() -> None:
    """Have the chart know what settings there are, and how work waits (`make chart-settings`)."""
    text = SCHEMA.read_text()
    start = text.index('\n    "settings": {', text.index('"definitions"')) + 1
    told = settings_schema()
    lines = [f'        "{name}": {json.dumps(kind)}' for name, kind in told["properties"].items()]
    head = '    "settings": {\n      "type": "object",\n      "additionalProperties": false,\n'
    body = '      "properties": {\n' + ",\n".join(lines) + "\n      }\n    }\n  }\n}\n"
    SCHEMA.write_text(text[:start] + head + body)
    WAITING.write_text(json.dumps(waiting(), indent=1) + "\n")


if __name__ == "__main__":
    write_settings()
