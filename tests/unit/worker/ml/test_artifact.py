"""A head's config as JSON and back, and as former releases wrote it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.core.hyperparameters import METHODS
from tests.unit.worker.ml.tasks import VIEWS, clouds, task
from worker.ml.artifact import HeadConfig
from worker.ml.fit import fit

FORMER = Path(__file__).resolve().parents[3] / "fixtures" / "data_folder_0.1.0.tar.xz"


def former_configs() -> list[dict[str, Any]]:
    """Of a model of every method, as 0.1.0 wrote them."""
    with tarfile.open(FORMER) as archive:
        cards = [one for one in archive if one.name.endswith("/model.json")]
        read = [archive.extractfile(one) for one in cards]
        return [json.load(one)["config"] for one in read if one is not None]


def of(method: str) -> HeadConfig:
    return fit(task(clouds([4, 4], views=VIEWS[:3]), method, prediction_views="all")).head.config


@pytest.mark.parametrize(
    "method",
    [name for name, of in METHODS.items() if name != "linear" and "image" in of.modalities],
)
def test_json_brings_a_config_back(method: str) -> None:
    config = of(method)
    assert HeadConfig.from_json(json.loads(json.dumps(config.as_json()))) == config


def test_configs_of_former_releases_are_read_whole() -> None:
    former = former_configs()
    assert {one["method"] for one in former} == {
        name for name, of in METHODS.items() if not of.depth
    }
    assert any("lexical_weight" in one for one in former)
    for one in former:
        assert json.loads(json.dumps(HeadConfig.from_json(one).as_json())) == one


def test_what_was_told_later_has_a_default() -> None:
    told = of("ridge").as_json()
    del told["unknown_false_alarm_rate"], told["exemplar_ids"], told["statistics"]
    config = HeadConfig.from_json(told)
    assert (config.false_alarm, config.exemplar_ids, config.statistics) == (0.05, (), None)


@pytest.mark.parametrize(
    "broken",
    [
        {"format": 3},
        {"classes": None},
        {"temperature": "hot"},
        {"unknown": {}},
        {"unknown": []},
        {"channels": [{}]},
        {"sharpness": 2.0},
        {"lexical_weight": 0.5, "folded": False, "familiarity": {"mean": 1.0}},
    ],
)
def test_a_config_that_is_none_or_newer_is_refused(broken: dict[str, Any]) -> None:
    told = of("ridge").as_json() | broken
    with pytest.raises(HeadstartError) as caught:
        HeadConfig.from_json(told)
    assert caught.value.code == "model_corrupt"


@pytest.mark.parametrize("missing", ["format", "method", "classes", "temperature", "unknown"])
def test_a_config_that_lacks_something_is_refused(missing: str) -> None:
    told = of("ridge").as_json()
    del told[missing]
    with pytest.raises(HeadstartError, match=missing):
        HeadConfig.from_json(told)
