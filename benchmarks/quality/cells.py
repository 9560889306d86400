"""What one few-shot draw gives: each head fitted once, every figure taken from its answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from app.core import backbones
from app.infra import weights
from benchmarks.quality import image_sets
from benchmarks.quality.draws import draw
from benchmarks.quality.image_sets import ImageSet, Part
from worker import ml
from worker.ml import fit
from worker.ml.artifact import Fit
from worker.ml.assess import calibration
from worker.ml.features import spaces
from worker.ml.heads import scoring
from worker.ml.tasks import Support, Task

SINGLE = ("logistic", "ridge", "lda", "prototypical", "matching")
REFERENCE = "logistic regression, C=10, last layer, squish"
TEXTBOOK = "textbook"
ALL_VIEWS = "auto, all views at prediction"
LAYOUT = backbones.EFFICIENTNET.layout
BINS = 15
COLD = ("squish",)
"""The only view that is there when a job follows its upload at once."""
VIEWS = {"full": image_sets.VIEWS, "cold": COLD}

_CACHE = image_sets.CACHE / "quality"
_OF_TEXT = ("text.py", "text_", "ngrams.py", "label_names.py")
_OWN = ("cells", "image_sets", "draws")


@dataclass(frozen=True)
class Cell:
    """One draw and what is asked of it: `compare` every method, `interval`, or `unknown`."""

    kind: str
    name: str
    shots: int
    seed: int

    def path(self, key: str) -> Path:
        """Where its result is kept."""
        return _CACHE / key / f"{self.kind}.{self.name}.{self.shots}.{self.seed}.json"

    def kept(self, key: str) -> dict[str, Any] | None:
        """Its result, if it was measured with the same sources."""
        path = self.path(key)
        if not path.is_file():
            return None
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def measure(self, key: str) -> None:
        """Measure and keep the result."""
        result = _MEASURES[self.kind](self)
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self) | {"result": result}))


def cells(names: list[str], seeds: int, draws: int) -> Iterator[Cell]:
    """Every cell of the figure. A set that has just K examples a class allows one draw of K."""
    for name in names:
        for shots in _loaded(name).shots:
            yield from (
                Cell("compare", name, shots, s) for s in range(_distinct(name, shots, seeds))
            )
    for shots in (5, 10, 20):
        able = [name for name in names if _distinct(name, shots, 2) == 2]
        each = -(-draws // max(1, len(able)))
        yield from (Cell("interval", name, shots, s) for name in able for s in range(seeds, each))
    for shots in (5, 20):
        able = [name for name in names if shots in _loaded(name).shots]
        yield from (Cell("unknown", name, shots, s) for name in able for s in range(seeds))


def key_of_sources() -> str:
    """A hash of all that an image fit reads and of the measuring itself."""
    root = Path(ml.__path__[0])
    files = [path for path in root.rglob("*.py") if not path.name.startswith(_OF_TEXT)]
    digest = hashlib.sha256(weights_sha256().encode())
    measuring = [Path(__file__).with_name(f"{own}.py") for own in _OWN]
    for path in [*sorted(files), *sorted(root.rglob("*.safetensors")), *measuring]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def weights_sha256() -> str:
    """Of the installed weights, which the generic statistics belong to."""
    found = weights.find(image_sets.BACKBONE, None)
    assert found is not None
    return weights.sha256(found.path)


def fitted(support: Support, method: str = "auto", **given: Any) -> Fit:
    """A fit as a job makes it."""
    return fit.fit(
        Task(
            method=method,
            hyperparameters=given,
            support=support,
            layout=LAYOUT,
            backbone=image_sets.BACKBONE,
            weights_sha256=weights_sha256(),
        )
    )


def balanced_accuracy(scores: Tensor, labels: Tensor) -> float:
    """The mean over classes of the share that is right."""
    hits = (scores.argmax(1) == labels).double()
    return float(torch.stack([hits[labels == c].mean() for c in labels.unique()]).mean())


def reference(support: Support, test: Part) -> Tensor:
    """What everybody would do first."""
    head = LogisticRegression(C=10, max_iter=5000)
    head.fit(spaces.last(support.features["squish"], LAYOUT), support.labels)
    return torch.from_numpy(head.predict_proba(spaces.last(test.features["squish"], LAYOUT)))


@cache
def _loaded(name: str) -> ImageSet:
    return image_sets.load(name)


def _distinct(name: str, shots: int, seeds: int) -> int:
    least = int(torch.bincount(_loaded(name).train.labels).min())
    return seeds if shots < least else 1


def _support(cell: Cell, views: tuple[str, ...]) -> Support:
    train = _loaded(cell.name).train
    return train.support(draw(train.labels, cell.shots, cell.seed), views)


def _judged(found: Fit, test: Part) -> dict[str, Any]:
    """Accuracy, the stated interval, and each bin's count and sum of confidence - accuracy."""
    p = scoring.probabilities(found.head, test.features, layout=LAYOUT)
    gaps, shares = calibration.calibration_gaps(p, test.labels, bins=BINS)
    counts = shares * len(test.labels)
    said = found.evaluation["accuracy"]
    return {
        "accuracy": balanced_accuracy(p, test.labels),
        "interval": [said["low"], said["high"]],
        "counts": counts.tolist(),
        "excess": (gaps * counts).tolist(),
    }


def _compare(cell: Cell) -> dict[str, Any]:
    """Everything there is to compare, with every view cached and with only the first."""
    test = _loaded(cell.name).test
    bare = _support(cell, COLD)
    found: dict[str, Any] = {REFERENCE: balanced_accuracy(reference(bare, test), test.labels)}
    for mode, views in VIEWS.items():
        support = _support(cell, views)
        found[mode] = {"auto": _judged(fitted(support), test)} | {
            method: _judged(fitted(support, method), test)["accuracy"] for method in SINGLE
        }
    everything = fitted(_support(cell, image_sets.VIEWS), prediction_views="all")
    found["full"][ALL_VIEWS] = _judged(everything, test)
    if cell.shots == 5:
        found[TEXTBOOK] = _judged(fitted(bare, "linear", patience=None), test)["accuracy"]
    return found


def _interval(cell: Cell) -> dict[str, Any]:
    """The stated interval and the truth."""
    test = _loaded(cell.name).test
    return {mode: {"auto": _judged(fitted(_support(cell, v)), test)} for mode, v in VIEWS.items()}


def _unknown(cell: Cell) -> dict[str, Any]:
    """Half of the classes (one of three) are kept from training; other sets are far."""
    one = _loaded(cell.name)
    classes = len(one.train.classes)
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(cell.seed))
    hidden = order[: 1 if classes == 3 else classes // 2]
    return {mode: _strangers(cell, one, hidden, views) for mode, views in VIEWS.items()}


def _strangers(cell: Cell, one: ImageSet, hidden: Tensor, views: tuple[str, ...]) -> dict[str, Any]:
    rows = draw(one.train.labels, cell.shots, cell.seed)
    rows = rows[~torch.isin(one.train.labels[rows], hidden)]
    head = scoring.load(fitted(_without(one.train.support(rows, views), hidden)).head)
    own = _scores(head, one.test)
    strange = torch.isin(one.test.labels, hidden)
    known = own[~strange]
    others = [_scores(head, _loaded(n).test) for n in image_sets.SETS if n != cell.name]
    return {
        "near": float(roc_auc_score((~strange).numpy(), own)),
        "far": [_auroc(known, other) for other in others],
        "alarm": float((known < head.config.novelty.threshold()).double().mean()),
    }


def _auroc(known: Tensor, strange: Tensor) -> float:
    truth = [1] * len(known) + [0] * len(strange)
    return float(roc_auc_score(truth, torch.cat([known, strange])))


def _without(support: Support, hidden: Tensor) -> Support:
    kept = [c for c in range(len(support.classes)) if c not in hidden.tolist()]
    number = torch.full((len(support.classes),), -1)
    number[kept] = torch.arange(len(kept))
    return Support(
        features=support.features,
        labels=number[support.labels],
        groups=support.groups,
        ids=support.ids,
        classes=[support.classes[c] for c in kept],
    )


def _scores(head: scoring.LiveHead, part: Part) -> Tensor:
    found = scoring.predict(part.features, [head] * len(part.labels), layout=LAYOUT)
    return torch.tensor([one.score for one in found])


_MEASURES = {"compare": _compare, "interval": _interval, "unknown": _unknown}
