"""What tuning will cost, told by a step of it on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from worker.ml.backbones.suffix import Suffix
from worker.ml.tuning.cross_tuned import AVERAGES, ROUNDS
from worker.ml.tuning.descent import Descent, TrainingPlan, logits
from worker.ml.tuning.rows import TuningRows

VISITS = 6000
"""Examples that a training sees in all, over its epochs."""
FEWEST_EPOCHS, MOST_EPOCHS = 3, 10


def planned_epochs(examples: int) -> int:
    """Of a training, at most."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(VISITS / examples)))


@dataclass(frozen=True, kw_only=True)
class TuningPace:
    """Seconds that an example takes to be learned from once, and to be judged."""

    learned: float
    judged: float

    def of_fit(self, examples: int) -> float:
        """Of all rounds run to their end, with their probes and the averages' out-of-fold rows."""
        seen, epochs = examples * (ROUNDS - 1), planned_epochs(examples)
        learned = epochs * seen * self.learned
        judged = seen + epochs * examples + len(AVERAGES) * examples
        return learned + judged * self.judged


def measured(suffix: Suffix, rows: TuningRows, device: torch.device) -> TuningPace:
    """By a step and a judgement of all `rows`, once warmed up; nothing of it is kept."""
    plan = TrainingPlan(epochs=2, learning_rate=1e-6, seed=0, classes=2, device=device)
    every, moved = torch.arange(len(rows)), suffix.on(device)
    descent = Descent(moved, rows, every, plan, number=0)
    descent.epoch(1)
    began = time.perf_counter()
    descent.epoch(2)
    learned = time.perf_counter() - began
    logits(moved, descent.average, rows, every)
    judged = time.perf_counter() - began - learned
    return TuningPace(learned=learned / len(rows), judged=judged / len(rows))
