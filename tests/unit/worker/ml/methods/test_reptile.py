"""`reptile` says beforehand that it will take long, where it will."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from app.core.backbones import BACKBONES
from worker.ml import fit
from worker.ml.methods import reptile
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
