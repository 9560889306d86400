"""The textbook recipe: a frozen backbone, one new fully connected layer, gradient descent.

minimise  mean cross-entropy(W x + b, y) + λ ‖W‖²   over W [C, D], b [C], by SGD or Adam.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from app.core.errors import HeadstartError
from worker.ml import threads

Report = Callable[[dict[str, Any]], None]

MOST_STEPS = 200_000
"""Some minutes of a worker that others wait for."""

CHECKPOINT_BYTES = 64 * 2**20
"""All checkpoints' heads stay below this; beyond it only every k-th epoch keeps its head."""


@dataclass(frozen=True, kw_only=True)
class DescentSettings:
    """What a user may choose; `patience` counts epochs without a better one, None never stops."""

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-4
    epochs: int = 10
    batch_size: int = 32
    l2: float = 1e-4
    momentum: float = 0.9
    patience: int | None = None


@dataclass(frozen=True, kw_only=True)
class Split:
    """Embeddings [n, D] and class numbers [n]."""

    features: Tensor
    labels: Tensor


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The head after `step` epochs: its metrics, and its tensors where they were kept."""

    step: int
    metrics: dict[str, float]
    tensors: dict[str, Tensor] | None


@dataclass(frozen=True, kw_only=True)
class LinearFit:
    """The best epoch's `weight` [C, D] and `bias` [C], and every epoch on the way there."""

    weight: Tensor
    bias: Tensor
    best_epoch: int
    stopped_early: bool
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def logits(self, features: Tensor) -> Tensor:
        """[n, C] from embeddings [n, D]."""
        return features.float() @ self.weight.T + self.bias


def fit(
    train: Split,
    *,
    classes: int,
    validation: Split | None = None,
    settings: DescentSettings | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> LinearFit:
    """Train on cached embeddings; the best epoch is the one of least validation loss.

    Without `validation` the training loss (penalty included) decides. The same seed gives the
    same head. Raises HeadstartError `diverged`, and `invalid_hyperparameter` for too many steps.
    """
    chosen = settings or DescentSettings()
    refuse_steps(chosen.epochs * math.ceil(len(train.labels) / chosen.batch_size), "epochs")
    with threads.enough(train.features.numel() * classes):
        run = _Run(train=_prepared(train), classes=classes, settings=chosen, seed=seed)
        held_out = _prepared(validation) if validation is not None else None
        return _train(run, held_out, report or _silent)


def refuse_steps(steps: int, param: str) -> None:
    """Raise invalid_hyperparameter for more steps of descent than a worker has time for."""
    if steps > MOST_STEPS:
        raise HeadstartError(
            "invalid_hyperparameter",
            f"that is {steps:,} steps of gradient descent; the most is {MOST_STEPS:,}",
            param=param,
        )


def objective(weight: Tensor, bias: Tensor, batch: Split, *, l2: float) -> Tensor:
    """Mean cross-entropy plus l2·‖W‖², a scalar; the bias is not penalised."""
    logits = batch.features @ weight.T + bias
    return nn.functional.cross_entropy(logits, batch.labels) + l2 * weight.square().sum()


def measure(weight: Tensor, bias: Tensor, split: Split) -> tuple[float, float]:
    """(mean cross-entropy in nats, accuracy) of a head on `split`."""
    logits = split.features @ weight.T + bias
    loss = nn.functional.cross_entropy(logits, split.labels)
    hits = (logits.argmax(1) == split.labels).float().mean()
    return float(loss), float(hits)


class _Run:
    """One training: the layer, its optimizer, the order of examples, the best epoch so far."""

    def __init__(self, *, train: Split, classes: int, settings: DescentSettings, seed: int) -> None:
        self.train = train
        self.settings = settings
        self.shuffle = torch.Generator().manual_seed(seed)
        self.weight, self.bias = _new_layer(train.features.shape[1], classes, self.shuffle)
        self.optimizer = _optimizer([self.weight, self.bias], settings)
        self.start = self._penalised(self._measured(train)[0])
        self.best: Checkpoint | None = None
        self.best_score = math.inf
        self.checkpoints: list[Checkpoint] = []

    def train_epoch(self) -> None:
        """One pass over the examples in a fresh order."""
        order = torch.randperm(len(self.train.labels), generator=self.shuffle)
        for chosen in torch.split(order, self.settings.batch_size):
            batch = Split(features=self.train.features[chosen], labels=self.train.labels[chosen])
            self.optimizer.zero_grad(set_to_none=True)
            objective(self.weight, self.bias, batch, l2=self.settings.l2).backward()
            self.optimizer.step()

    def record(self, epoch: int, validation: Split | None, report: Report) -> None:
        """Measure, report and remember the head as it is after `epoch`."""
        train_loss, train_accuracy = self._measured(self.train)
        metrics = {"train_loss": train_loss, "train_accuracy": train_accuracy}
        score = self._penalised(train_loss)
        if validation is not None:
            score, valid_accuracy = self._measured(validation)
            metrics |= {"valid_loss": score, "valid_accuracy": valid_accuracy}
        self._refuse_divergence(epoch, [train_loss, score])
        report({"type": "metrics", "step": epoch, "data": metrics})
        self._keep(epoch, metrics, score)

    def out_of_patience(self, epoch: int) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        assert self.best is not None
        patience = self.settings.patience
        return patience is not None and epoch - self.best.step >= patience

    def finish(self, last: int) -> LinearFit:
        """The best epoch as the result; raises `diverged` if training only made things worse."""
        assert self.best is not None
        assert self.best.tensors is not None
        losses = [checkpoint.metrics["train_loss"] for checkpoint in self.checkpoints]
        if min(losses) > 10 * self.start:
            raise _diverged(last, "the loss is more than ten times that of the untrained head")
        return LinearFit(
            **self.best.tensors,
            best_epoch=self.best.step,
            stopped_early=last < self.settings.epochs,
            checkpoints=self.checkpoints,
        )

    def _measured(self, split: Split) -> tuple[float, float]:
        with torch.no_grad():
            return measure(self.weight, self.bias, split)

    def _penalised(self, loss: float) -> float:
        return loss + self.settings.l2 * float(self.weight.detach().square().sum())

    def _refuse_divergence(self, epoch: int, losses: list[float]) -> None:
        if not all(math.isfinite(loss) for loss in losses):
            raise _diverged(epoch, "the loss is no longer a finite number")

    def _keep(self, epoch: int, metrics: dict[str, float], score: float) -> None:
        better = score < self.best_score
        tensors = self._tensors() if better or epoch % self._stride() == 0 else None
        checkpoint = Checkpoint(step=epoch, metrics=metrics, tensors=tensors)
        if better:
            self._drop_former_best()
            self.best, self.best_score = checkpoint, score
        self.checkpoints.append(checkpoint)

    def _drop_former_best(self) -> None:
        """The former best keeps its tensors only if its epoch is one that keeps them anyway."""
        if self.best is not None and self.best.step % self._stride():
            bare = Checkpoint(step=self.best.step, metrics=self.best.metrics, tensors=None)
            self.checkpoints[self.best.step - 1] = bare

    def _stride(self) -> int:
        size = 4 * (self.weight.numel() + self.bias.numel())
        return max(1, math.ceil(self.settings.epochs * size / CHECKPOINT_BYTES))

    def _tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight.detach().clone(), "bias": self.bias.detach().clone()}


def _train(run: _Run, held_out: Split | None, report: Report) -> LinearFit:
    for epoch in range(1, run.settings.epochs + 1):
        run.train_epoch()
        run.record(epoch, held_out, report)
        if run.out_of_patience(epoch):
            break
    return run.finish(epoch)


def _new_layer(width: int, classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`nn.Linear`'s own start, U(-1/√D, 1/√D), from our generator instead of the global one."""
    bound = 1 / math.sqrt(width)
    weight = torch.empty(classes, width).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(classes).uniform_(-bound, bound, generator=generator)
    return weight.requires_grad_(), bias.requires_grad_()


def _optimizer(parameters: list[Tensor], settings: DescentSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        rate, momentum = settings.learning_rate, settings.momentum
        return torch.optim.SGD(parameters, lr=rate, momentum=momentum)
    return torch.optim.Adam(parameters, lr=settings.learning_rate)


def _prepared(split: Split) -> Split:
    return Split(features=split.features.float(), labels=split.labels.long())


def _diverged(epoch: int, what: str) -> HeadstartError:
    return HeadstartError(
        "diverged",
        f"Training diverged in epoch {epoch}: {what}. Try a smaller learning_rate.",
        param="learning_rate",
    )


def _silent(_event: dict[str, Any]) -> None:
    """Report to nobody."""


def resolved(settings: DescentSettings) -> dict[str, Any]:
    """The settings as the JSON that a job stores."""
    return asdict(settings)
