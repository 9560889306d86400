"""`auto` with `depth` "auto": the tuned network where it is better, else the very same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.core import hyperparameters
from tests.unit.worker.ml import tiny_encoder
from tests.unit.worker.ml.methods.test_deeper import told
from tests.unit.worker.ml.tiny_network import SPEC, seen, tiny_suffix
from worker.ml.artifact import TUNED_FORMAT, Fit, HeadArtifact, HeadConfig
from worker.ml.assess.intervals import standard_error
from worker.ml.engines import load_engine
from worker.ml.engines.tunable import tunable
from worker.ml.fit import fit
from worker.ml.heads import scoring
from worker.ml.methods import deeper
from worker.ml.tasks import Support, Task, Tuning, TuningBudget

pytestmark = pytest.mark.slow

PER_CLASS = 16


def task(support: Support, *, seconds: float = 600.0, **given: Any) -> Task:
    tuning = Tuning(suffix=tiny_suffix(), budget=TuningBudget(seconds=seconds, spent=1.0))
    return Task(
        method="auto",
        hyperparameters=hyperparameters.validate("auto", {"depth": "auto"} | given),
        support=support,
        layout=SPEC.layout,
        backbone=SPEC.name,
        tuning=tuning,
    )


def plain(asked: Task) -> Task:
    return replace(asked, hyperparameters=hyperparameters.validate("auto"), tuning=None)


def mixed_up(support: Support) -> Support:
    """Labels that nothing tells."""
    draw = torch.Generator().manual_seed(1)
    return replace(support, labels=support.labels[torch.randperm(len(support), generator=draw)])


def assert_same_model(one: Fit, other: Fit) -> None:
    assert one.head.config == other.head.config
    assert one.head.tensors.keys() == other.head.tensors.keys()
    for name, value in one.head.tensors.items():
        assert torch.equal(value, other.head.tensors[name]), name
    assert one.evaluation.keys() - {"deeper"} == other.evaluation.keys()
    assert all(one.evaluation[name] == value for name, value in other.evaluation.items())


@pytest.fixture(scope="module")
def taken() -> tuple[Task, Fit]:
    """Fitted where the vectors say little, and what is at the cut says much."""
    with pytest.MonkeyPatch.context() as patch:  # the tiny network's own rate
        patch.setitem(deeper.LEARNING_RATES, ("partial", "image"), 3e-3)  # type: ignore[arg-type]
        asked = task(seen(PER_CLASS, blur=3.0))
        return asked, fit(replace(asked, validation=seen(20, seed=5, blur=3.0)))


def test_a_gain_beyond_its_interval_is_taken_and_told(taken: tuple[Task, Fit]) -> None:
    _, made = taken
    told = made.evaluation["deeper"]
    assert (told["tried"], told["taken"], told["max_seconds"]) == ("partial", True, 600.0)
    gain = told["log_loss"]["gain"]
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert told["log_loss"]["tuned"] < told["log_loss"]["frozen"]
    assert told["seconds"] >= 1.0, "with what came before the fit"
    assert made.hyperparameters["tuned"]["depth"] == "partial"
    assert made.hyperparameters["depth"] == "auto"


def test_it_is_a_model_as_partial_makes_it_and_not_worse(taken: tuple[Task, Fit]) -> None:
    asked, made = taken
    assert made.head.config.as_json()["format"] == TUNED_FORMAT
    assert made.head.config.method == "auto"
    frozen = fit(replace(plain(asked), validation=seen(20, seed=5, blur=3.0)))
    loss = [one.evaluation["log_loss"]["value"] for one in (made, frozen)]
    assert loss[0] < loss[1]


def test_what_is_served_is_what_was_judged(taken: tuple[Task, Fit]) -> None:
    _, made = taken
    config = HeadConfig.from_json(made.head.config.as_json())
    live = scoring.load(HeadArtifact(made.head.tensors, config), tiny_suffix)
    validation = seen(20, seed=5, blur=3.0)
    rows = {view: validation.features[view].float() for view in live.config.views}
    served = scoring.predict(rows, [live] * len(validation), layout=SPEC.layout)
    assert made.answers is not None
    said = torch.stack([one.probabilities for one in served])
    torch.testing.assert_close(said, made.answers.probabilities, rtol=1e-3, atol=1e-4)


def test_where_it_is_no_better_the_model_is_that_of_plain_auto() -> None:
    asked = task(mixed_up(seen(PER_CLASS)))
    made = fit(asked)
    assert_same_model(made, fit(plain(asked)))
    told = made.evaluation["deeper"]
    assert not told["taken"]
    assert told["log_loss"]["gain"]["low"] <= 0
    assert "no better" in told["why"]


def test_where_it_is_not_tried_the_model_is_that_of_plain_auto() -> None:
    asked = replace(task(seen(PER_CLASS)), tuning=None, not_tried="there is no time")
    made = fit(asked)
    assert_same_model(made, fit(plain(asked)))
    assert made.evaluation["deeper"] == {
        "tried": None, "taken": False, "why": "there is no time",
    }  # fmt: skip


def test_a_training_that_diverges_leaves_the_frozen_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deeper.LEARNING_RATES, ("partial", "image"), 1e30)  # type: ignore[arg-type]
    asked = task(seen(PER_CLASS))
    made = fit(asked)
    assert_same_model(made, fit(plain(asked)))
    assert "diverged" in made.evaluation["deeper"]["why"]


def test_time_that_is_over_ends_the_trainings_not_the_job() -> None:
    events: list[dict[str, Any]] = []
    asked = replace(task(seen(PER_CLASS), seconds=0.5), report=events.append)
    made = fit(asked)
    assert made.evaluation["deeper"]["cut_short"]
    assert not [event for event in events if event["type"] == "metrics"], "1 s was spent before"
    if not made.evaluation["deeper"]["taken"]:
        assert_same_model(made, fit(plain(asked)))


def test_texts_get_adapters_or_the_same_model(tmp_path: Path) -> None:
    tiny_encoder.saved("bert", tmp_path)
    engine: Any = load_engine("bert", tmp_path, device="cpu", precision="f32")
    asked = Task(
        method="auto",
        hyperparameters=hyperparameters.validate("auto", {"depth": "auto"}),
        support=mixed_up(told(8, engine, seed=1)),
        layout=engine.spec.layout,
        backbone="bert",
        tuning=Tuning(suffix=tunable("bert", "lora", tmp_path), depth="lora"),
    )
    made = fit(asked)
    assert made.evaluation["deeper"]["tried"] == "lora"
    assert_same_model(made, fit(plain(asked)))


def test_examples_of_a_group_say_one_thing() -> None:
    gains = torch.tensor([0.1, -0.3, 0.5, 0.2])
    alone = standard_error(gains, torch.arange(4))
    assert alone == pytest.approx(float(gains.std() / 2))
    twice = standard_error(gains.repeat(2), torch.arange(4).repeat(2))
    assert twice == pytest.approx(alone)
    assert standard_error(gains, torch.zeros(4)) == float("inf")
