"""Tuned once for each part of the folds that is left out, and the weights of all averaged.

Each training learns nothing from what it is judged by but when to end, so that the numbers are only
a little kind; all begin at the same pretrained weights, so that their mean is one network (model
soups, Wortsman et al. 2022). Averaged with the start as well (WiSE-FT, likewise
2022) it keeps more of what the pretrained network knows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from worker.ml.backbones.suffix import State, Suffix
from worker.ml.fitting import cross_fit
from worker.ml.folds import Folds
from worker.ml.tasks import Report, TuningBudget
from worker.ml.tuning.contrast import ContrastiveDescent
from worker.ml.tuning.descent import Descent, TrainingPlan, logits, probed
from worker.ml.tuning.rows import TuningRows

ROUNDS = 3
PATIENCE = 2
"""Epochs without a better one before a training ends."""
AVERAGES = (0.5, 1.0)
"""How far from the pretrained weights to the tuned ones."""

Keep = Callable[[State], None]


@dataclass(frozen=True, kw_only=True)
class CrossTuned:
    """Of each average the tensors, and logits [n, k] of trainings that had not seen the row."""

    tensors: Mapping[float, State]
    out_of_fold: Mapping[float, Tensor]
    epochs: list[int]
    seconds: float = 0.0
    """All that it took, tries that were killed and what came before the fit included."""
    cut_short: bool = False
    """Whether a training ended because its time was over."""


@dataclass
class _TuningState:
    """What is finished, and the state of the training under way."""

    finished: list[State] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    best: State = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = math.inf
    epoch: int = 0
    seconds: float = 0.0
    cut_short: bool = False
    descent: State = field(default_factory=dict)

    def packed(self) -> State:
        """As named tensors."""
        told = {
            "epochs": torch.tensor([len(self.finished), *self.epochs, self.epoch, self.best_epoch]),
            "best_loss": torch.tensor(self.best_loss, dtype=torch.double),
            "time": torch.tensor([self.seconds, self.cut_short], dtype=torch.double),
        }
        for place, one in enumerate(self.finished):
            told |= {f"finished/{place}/{name}": value for name, value in one.items()}
        told |= {f"best/{name}": value for name, value in self.best.items()}
        return told | {f"descent/{name}": value for name, value in self.descent.items()}

    @classmethod
    def unpacked(cls, told: Mapping[str, Tensor]) -> _TuningState:
        """Of what `packed` gave."""
        count, *epochs, epoch, best_epoch = told["epochs"].tolist()
        seconds, cut_short = told["time"].tolist() if "time" in told else (0.0, 0.0)
        return cls(
            finished=[_under(told, f"finished/{place}/") for place in range(count)],
            epochs=epochs,
            best=_under(told, "best/"),
            best_epoch=best_epoch,
            best_loss=float(told["best_loss"]),
            epoch=epoch,
            seconds=seconds,
            cut_short=bool(cut_short),
            descent=_under(told, "descent/"),
        )


def _under(told: Mapping[str, Tensor], prefix: str) -> State:
    return {
        name.removeprefix(prefix): value for name, value in told.items() if name.startswith(prefix)
    }


class CrossTuning:
    """Tunes a suffix on rows in folds; `keep` is handed what a later try can go on from."""

    def __init__(
        self,
        suffix: Suffix,
        rows: TuningRows,
        folds: Folds,
        plan: TrainingPlan,
        *,
        report: Report,
        keep: Keep,
        kept: Mapping[str, Tensor] | None = None,
        budget: TuningBudget | None = None,
    ) -> None:
        self._suffix, self._rows, self._plan = suffix.on(plan.device), rows, plan
        self._report, self._keep = report, keep
        self._rounds = min(ROUNDS, folds.count)
        self._round = folds.fold * self._rounds // folds.count
        self._progress = _TuningState() if kept is None else _TuningState.unpacked(kept)
        self._began, self._resumed_at = time.monotonic(), self._done
        bounds = TuningBudget(seconds=math.inf) if budget is None else budget
        self._before, self._most = self._progress.seconds + bounds.spent, bounds.seconds
        self._judging = 0.0

    def run(self) -> CrossTuned:
        """Every round, then the averages. Raises diverged."""
        while len(self._progress.finished) < self._rounds:
            self._train(len(self._progress.finished))
        return self._averaged()

    def _train(self, number: int) -> None:
        held_out = self._round == number
        seen, judged = (torch.nonzero(rows)[:, 0] for rows in (~held_out, held_out))
        kind = ContrastiveDescent if self._plan.contrastive else Descent
        descent = kind(self._suffix, self._rows, seen, self._plan, number=number)
        now, until = self._progress, self._until(number)
        if now.descent:
            descent.resume(now.descent)
        while now.epoch < self._plan.epochs and now.epoch - now.best_epoch < PATIENCE:
            if self._is_over(until):
                break
            loss = descent.epoch(now.epoch + 1, over=lambda: self._is_over(until))
            now.epoch += 1
            self._judge(descent, judged, loss)
            now.descent = descent.state()
            self._keep_all()
        self._finish(descent.start)

    @property
    def _seconds(self) -> float:
        """Since the first try began."""
        return self._before + time.monotonic() - self._began

    def _until(self, number: int) -> float:
        """When a round has to end, so that those after it have as long."""
        ending = len(AVERAGES) * len(self._rows) * self._judging
        left = self._most - ending - self._seconds
        return self._seconds + left / (self._rounds - number)

    def _is_over(self, until: float) -> bool:
        """Whether a round's time is over, which is remembered."""
        over = self._seconds > until
        self._progress.cut_short |= over
        return over

    def _keep_all(self) -> None:
        self._progress.seconds = self._seconds
        self._keep(self._progress.packed())

    def _judge(self, descent: Descent, judged: Tensor, loss: float) -> None:
        """Remember the epoch if it is the best so far, and tell of it."""
        now, own = self._progress, descent.average
        began = time.monotonic()
        said = logits(self._suffix, own, self._rows, judged)
        self._judging = (time.monotonic() - began) / len(judged)
        held_out = abs(cross_fit.loss(said, self._rows.labels[judged]))  # a perfect one is -0.0
        right = (said.argmax(1) == self._rows.labels[judged]).float().mean()
        if held_out < now.best_loss:
            now.best = {name: value.detach().cpu().clone() for name, value in own.items()}
            now.best_loss, now.best_epoch = held_out, now.epoch
        self._report({"type": "metrics", "step": self._done, "data": {
            "round": len(now.finished) + 1,
            "epoch": now.epoch,
            "train_loss": loss,
            "valid_loss": held_out,
            "valid_accuracy": float(right),
            "steps": self._rounds * self._plan.epochs,
            "seconds_left": self._left(),
        }})  # fmt: skip

    @property
    def _done(self) -> int:
        """Epochs, those that ended early counted as run."""
        return len(self._progress.finished) * self._plan.epochs + self._progress.epoch

    def _left(self) -> float:
        """Seconds, if every round runs to its end."""
        done = self._done - self._resumed_at
        pace = (time.monotonic() - self._began) / max(1, done)
        return round(pace * (self._rounds * self._plan.epochs - self._done), 1)

    def _finish(self, start: State) -> None:
        now = self._progress
        self._progress = _TuningState(
            finished=[*now.finished, now.best or {k: v.cpu() for k, v in start.items()}],
            epochs=[*now.epochs, now.best_epoch],
            cut_short=now.cut_short,
        )
        self._keep_all()

    def _averaged(self) -> CrossTuned:
        mean = self._suffix.mean(self._progress.finished)
        every = torch.arange(len(self._rows))
        out_of_fold = {share: self._out_of_fold(share) for share in AVERAGES}
        return CrossTuned(
            tensors={share: self._averaged_to(mean, share, seen=every) for share in AVERAGES},
            out_of_fold=out_of_fold,
            epochs=self._progress.epochs,
            seconds=self._seconds,
            cut_short=self._progress.cut_short,
        )

    def _out_of_fold(self, share: float) -> Tensor:
        out_of_fold = torch.zeros(len(self._rows), self._plan.classes)
        for number, one in enumerate(self._progress.finished):
            held_out = self._round == number
            seen, judged = (torch.nonzero(rows)[:, 0] for rows in (~held_out, held_out))
            own = self._there(self._averaged_to(one, share, seen=seen))
            out_of_fold[judged] = logits(self._suffix, own, self._rows, judged)
        return out_of_fold

    def _averaged_to(self, tuned: State, share: float, *, seen: Tensor) -> State:
        """On the CPU; a new layer that is fitted to embeddings is fitted to these."""
        own = self._suffix.towards(tuned, share)
        if not self._plan.contrastive:
            return own
        there, classes = self._there(own), self._plan.classes
        return own | probed(self._suffix, there, self._rows, seen, classes=classes)

    def _there(self, own: State) -> State:
        return {name: value.to(self._plan.device) for name, value in own.items()}
