"""The Helm chart knows the settings that there are; `make chart-settings` tells it of new ones."""

from __future__ import annotations

import json
import tomllib

import yaml

from tests.chart import CHART, ROOT, SCHEMA, WAITING, settings_schema, waiting

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def test_every_setting_can_be_said_in_the_charts_values_and_nothing_else() -> None:
    told = json.loads(SCHEMA.read_text())["definitions"]["settings"]
    assert told == settings_schema(), "run `make chart-settings`"


def test_the_chart_counts_the_work_that_waits_as_trainers_claim_it() -> None:
    assert json.loads(WAITING.read_text()) == waiting(), "run `make chart-settings`"


def test_the_chart_is_of_this_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]
    assert chart["description"] == project["description"]


def test_every_value_has_a_place_in_the_schema() -> None:
    known = json.loads(SCHEMA.read_text())["properties"]
    assert set(VALUES) <= set(known)
    assert set(known) - set(VALUES) == {"global"}
