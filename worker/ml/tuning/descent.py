"""One training of a suffix and a new layer, an epoch at a time, so that it can be resumed.

AdamW, rates that fall towards the cut, a cosine, label smoothing, and an average of the weights on
the way, which is what is judged. Norms are folded or frozen, so that a small batch moves none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from app.core.errors import HeadstartError
from worker.ml.backbones.suffix import State, Suffix
from worker.ml.tuning.probe import probe
from worker.ml.tuning.rows import BATCH, TuningRows

WEIGHT, BIAS = "probe.weight", "probe.bias"
NEW_LAYER = 10.0
"""The new layer's rate, in those of the suffix's last stage."""
SMOOTHING, DECAY, CLIP, WARM = 0.1, 0.02, 1.0, 0.1
SLOWEST_AVERAGE = 0.98
_STATES = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How long, how fast, and by which seed."""

    epochs: int
    learning_rate: float
    seed: int
    classes: int
    device: torch.device
    contrastive: bool = False
    """Whether it learns by which examples have the same label, and the new layer afterwards."""


class Descent:
    """A training on the examples `seen` of `rows`; `number` tells it from others of the seed."""

    def __init__(
        self, suffix: Suffix, rows: TuningRows, seen: Tensor, plan: TrainingPlan, *, number: int
    ) -> None:
        self._suffix, self._rows, self._plan, self._number = suffix, rows, plan, number
        self._seen = seen
        self.start, length = _start(suffix, rows, seen, plan.classes)
        self.tensors = {
            name: value.detach().clone().to(plan.device).requires_grad_()
            for name, value in self.start.items()
        }
        self.average = {name: value.detach().clone() for name, value in self.tensors.items()}
        groups = _groups(self.tensors, suffix, plan, length=length)
        self._optimizer = torch.optim.AdamW(groups)
        self.step = 0

    @property
    def steps(self) -> int:
        """In an epoch."""
        return math.ceil(len(self._seen) / BATCH)

    def epoch(self, number: int, *, over: Callable[[], bool] = lambda: False) -> float:
        """The mean loss of one pass over the examples, which ends early where `over` says so.

        Raises diverged.
        """
        draw = torch.Generator().manual_seed(
            (self._plan.seed * 1009 + self._number) * 10_007 + number
        )
        total, visited = 0.0, 0
        for rows in self._batches(draw):
            if over():
                break
            total += len(rows) * self._one(rows, draw)
            visited += len(rows)
        if not math.isfinite(total):
            raise HeadstartError(
                "diverged",
                f"Tuning diverged in epoch {number}. Try a smaller learning_rate.",
                param="learning_rate",
            )
        return total / max(1, visited)

    def _batches(self, draw: torch.Generator) -> Sequence[Tensor]:
        """Rows of each step: every example once."""
        order = self._seen[torch.randperm(len(self._seen), generator=draw)]
        batches: Sequence[Tensor] = order.split(BATCH)
        return batches

    def _one(self, rows: Tensor, draw: torch.Generator) -> float:
        self._schedule()
        self._optimizer.zero_grad(set_to_none=True)
        total = self._backward(rows, draw)
        torch.nn.utils.clip_grad_norm_(self.tensors.values(), CLIP)
        self._optimizer.step()
        self.step += 1
        self._follow()
        return total

    def _backward(self, rows: Tensor, draw: torch.Generator) -> float:
        """The mean loss of a batch, and its gradients."""
        total = 0.0
        for places, inputs in self._rows.drawn(rows, draw):
            with torch.enable_grad():
                loss = self._loss(rows[places], inputs) / len(rows)
                loss.backward()
            total += float(loss.detach())
        return total

    def _embed(self, inputs: Tensor) -> Tensor:
        """[m, d] float32, by the tensors as they are now."""
        device = self._plan.device
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            x = self._suffix.embed(behind(self.tensors), inputs.to(device))
        return x.float()

    def _loss(self, rows: Tensor, inputs: Tensor) -> Tensor:
        """Summed over the examples `rows`, of which the network reads `inputs`."""
        device = self._plan.device
        logits = self._embed(inputs) @ self.tensors[WEIGHT].T + self.tensors[BIAS]
        labels, weights = self._rows.labels[rows], self._rows.weights[rows].float()
        each = cross_entropy(logits, labels.to(device), reduction="none", label_smoothing=SMOOTHING)
        return (each * weights.to(device)).sum()

    def _schedule(self) -> None:
        """A short rise, then a cosine down to nothing."""
        done = self.step / max(1, self.steps * self._plan.epochs)
        share = min(1.0, (done + 1e-3) / WARM) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        for group in self._optimizer.param_groups:
            group["lr"] = share * group["peak"]

    @torch.no_grad()
    def _follow(self) -> None:
        """An average over the steps, early ones soon forgotten."""
        kept = min(SLOWEST_AVERAGE, self.step / (self.step + 9))
        for name, value in self.tensors.items():
            self.average[name].lerp_(value, 1 - kept)

    def state(self) -> State:
        """All that a further epoch depends on, by name."""
        told = {"step": torch.tensor(self.step)}
        for name, value in self.tensors.items():
            told[f"now/{name}"], told[f"average/{name}"] = value.detach(), self.average[name]
            for part, kept in self._optimizer.state.get(value, {}).items():
                told[f"{part}/{name}"] = kept
        return {key: value.cpu().contiguous() for key, value in told.items()}

    @torch.no_grad()
    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.step = int(state["step"])
        for name, value in self.tensors.items():
            value.copy_(state[f"now/{name}"])
            self.average[name].copy_(state[f"average/{name}"])
            if f"exp_avg/{name}" in state:
                kept = {part: state[f"{part}/{name}"].clone() for part in _STATES}
                moved = {
                    part: one if part == "step" else one.to(value.device)
                    for part, one in kept.items()
                }
                self._optimizer.state[value] = moved


def _start(suffix: Suffix, rows: TuningRows, seen: Tensor, classes: int) -> tuple[State, float]:
    """The pretrained tensors and a probe of what they embed, whose mean length is told, too."""
    x = embedded(suffix, suffix.start, rows, seen).cpu()
    return {**suffix.start, **_layer(x, rows, seen, classes)}, float(x.norm(dim=1).mean())


def probed(
    suffix: Suffix, tensors: Mapping[str, Tensor], rows: TuningRows, seen: Tensor, *, classes: int
) -> State:
    """A new layer, fitted to the examples `seen` as `tensors` embed them; on the CPU."""
    return _layer(embedded(suffix, behind(tensors), rows, seen).cpu(), rows, seen, classes)


def _layer(x: Tensor, rows: TuningRows, seen: Tensor, classes: int) -> State:
    weight, bias = probe(x, rows.labels[seen], rows.weights[seen], classes=classes)
    return {WEIGHT: weight, BIAS: bias}


def behind(tensors: Mapping[str, Tensor]) -> State:
    """Those of the suffix."""
    return {name: value for name, value in tensors.items() if name not in (WEIGHT, BIAS)}


@torch.no_grad()
def embedded(
    suffix: Suffix, tensors: Mapping[str, Tensor], rows: TuningRows, places: Tensor
) -> Tensor:
    """[m, d] float32 of the examples `places`, as `tensors` embed them."""
    device = next(iter(tensors.values())).device
    return rows.embedded(places, lambda inputs: suffix.embed(tensors, inputs.to(device)))


def logits(
    suffix: Suffix, tensors: Mapping[str, Tensor], rows: TuningRows, places: Tensor
) -> Tensor:
    """[m, k] of the examples `places`."""
    weight, bias = (tensors[name].detach() for name in (WEIGHT, BIAS))
    x = embedded(suffix, behind(tensors), rows, places).to(weight.device)
    return (x @ weight.T + bias).cpu()


def _groups(
    tensors: Mapping[str, Tensor], suffix: Suffix, plan: TrainingPlan, *, length: float
) -> list[dict[str, object]]:
    """A group a tensor: rates fall with each stage towards the cut, smoothly.

    The new layer's rate is meant for embeddings of length one; these are of `length`.
    """
    own = list(behind(tensors))
    rates = {WEIGHT: NEW_LAYER / max(length, 1e-6), BIAS: NEW_LAYER} | {
        name: suffix.decay ** ((suffix.stages - 1) * (1 - place / max(1, len(own) - 1)))
        for place, name in enumerate(own)
    }
    return [
        {
            "params": [value],
            "lr": 0.0,
            "peak": plan.learning_rate * rates[name],
            "weight_decay": DECAY if value.dim() > 1 else 0.0,
        }
        for name, value in tensors.items()
    ]
