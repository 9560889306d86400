"""`reptile` says beforehand that it will take long, where it will."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from app.core.backbones import BACKBONES
from app.core.errors import HeadstartError
from worker.ml import fit
from worker.ml.methods import reptile
from worker.ml.solvers.reptile import ReptileSettings
from worker.ml.tasks import Support, Task

SPEC = BACKBONES["squeezenet1_1"]


def support(seed: int, examples: int = 12, classes: int = 3) -> Support:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(examples) % classes
    centres = torch.randn(classes, SPEC.width, generator=generator)
    noise = torch.randn(examples, SPEC.width, generator=generator)
    return Support(
        features={"squish": centres[labels] + noise},
        labels=labels,
        groups=torch.arange(examples),
        ids=[f"ex_{place}" for place in range(examples)],
        classes=[f"{seed}-{place}" for place in range(classes)],
    )


def told(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[dict[str, Any]]:
    monkeypatch.setattr(reptile, "LONG_SECONDS", seconds)
    events: list[dict[str, Any]] = []
    fit.fit(
        Task(
            method="reptile",
            hyperparameters={"meta_iterations": 3, "inner_steps": 4},
            support=support(1),
            others=[support(2)],
            layout=SPEC.layout,
            backbone=SPEC.name,
            report=events.append,
        )
    )
    return events


def test_a_long_one_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (event,) = told(monkeypatch, 0.0)
    assert (event["type"], event["level"]) == ("message", "warn")
    assert "3 tasks of 4 steps" in event["message"]


def test_a_short_one_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, 3600.0) == []


FAR = 1e9
"""A rate that diverges where no step is the last, as the usual one does on some numbers."""


def contradicting() -> Support:
    """A set in which equal rows have different labels, so that no weights are ever right."""
    other = support(2)
    pairs = torch.arange(len(other)) % 5 < 2
    return replace(
        other, features={name: rows[pairs.long()] for name, rows in other.features.items()}
    )


def rate(monkeypatch: pytest.MonkeyPatch, hyperparameters: dict[str, Any]) -> float:
    """What was fitted with, were that the usual rate."""
    monkeypatch.setattr(
        reptile, "ReptileSettings", partial(ReptileSettings, inner_learning_rate=FAR)
    )
    found = fit.fit(
        Task(
            method="reptile",
            hyperparameters={"meta_iterations": 5} | hyperparameters,
            support=support(1),
            others=[contradicting()],
            layout=SPEC.layout,
            backbone=SPEC.name,
        )
    )
    return float(found.hyperparameters["inner_learning_rate"])


def test_where_nobody_gave_a_rate_one_is_found_that_does_not_diverge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = rate(monkeypatch, {})
    assert 0 < found < FAR
    assert rate(monkeypatch, {"inner_learning_rate": found}) == found
    for given in (FAR, 4 * found):
        with pytest.raises(HeadstartError) as raised:
            rate(monkeypatch, {"inner_learning_rate": given})
        assert (raised.value.code, raised.value.param) == ("diverged", "inner_learning_rate")
