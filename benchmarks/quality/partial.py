"""What tuning the last stages brings beside `auto` on the same examples, and how long it takes.

Each cell is one draw of a set: both methods are fitted on it, with the seed of the draw, and answer
the whole test folder through the head as it is stored.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core import hyperparameters
from app.core.modalities import PRIMARY, TUNED_VIEWS, mapped
from benchmarks.quality.draws import draw
from benchmarks.quality.image_sets import BACKBONE, CACHE, engine, spec
from benchmarks.record import RESULTS, record, shared_data
from worker.ml import fit
from worker.ml.backbones.suffix import Suffix
from worker.ml.engines.stream import embed_stream
from worker.ml.engines.tunable import tunable
from worker.ml.heads import scoring
from worker.ml.tasks import Support, Task, Tuning

TRAINED = ("squish", "mirror", *map(mapped, TUNED_VIEWS))
"""Of the frozen heads only the mirror beside the primary view: what a job has soon."""
TESTED = (PRIMARY["image"], mapped(PRIMARY["image"]))
METHODS = ("auto", "partial")
METHOD = (
    "worker.ml.fit.fit on the same draws of cached efficientnet_lite0 rows (views squish and "
    "mirror; for partial the activations of its four views, too), two threads, answers of the "
    "stored head to the whole test folder. Seconds are of the fit alone, other work on the same "
    "cores included."
)


@dataclass(frozen=True)
class TuningSet:
    """The rows of a set: `train[view]` and `test[view]` [n, width] fp16."""

    train: dict[str, Tensor]
    train_labels: Tensor
    test: dict[str, Tensor]
    test_labels: Tensor
    classes: tuple[str, ...]


def load(name: str) -> TuningSet:
    """Embed what is not cached yet."""
    classes = tuple(sorted(path.name for path in (shared_data() / name / "train").iterdir()))
    train, train_labels = _split(name, "train", classes, TRAINED)
    test, test_labels = _split(name, "test", classes, TESTED)
    return TuningSet(train, train_labels, test, test_labels, classes)


def _split(
    name: str, split: str, classes: Sequence[str], views: Sequence[str]
) -> tuple[dict[str, Tensor], Tensor]:
    own = [sorted((shared_data() / name / split / label).iterdir()) for label in classes]
    labels = torch.tensor([c for c, files in enumerate(own) for _ in files])
    flat = [path for files in own for path in files]
    return {view: _rows(flat, f"{BACKBONE}.{name}.{split}", view) for view in views}, labels


def _rows(files: Sequence[Path], key: str, view: str) -> Tensor:
    path = CACHE / f"{key}.{view.replace(':', '-')}.npy"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        read = (file.read_bytes() for file in files)
        rows = [row for _, row in embed_stream(engine(), read, view=view)]
        assert not any(isinstance(row, Exception) for row in rows)
        np.save(path, np.stack([np.asarray(row, np.float16) for row in rows]))
    return torch.from_numpy(np.load(path))


def cell(data: TuningSet, *, shots: int, seed: int) -> dict[str, Any]:
    """Both methods on one draw."""
    suffix = tunable(BACKBONE, "partial", None)
    rows = draw(data.train_labels, shots, seed)
    found = {method: _measured(method, data, rows, suffix, seed=seed) for method in METHODS}
    gain = found["partial"]["balanced_accuracy"] - found["auto"]["balanced_accuracy"]
    return {"seed": seed, **found, "gain": round(gain, 2)}


def _measured(
    method: str, data: TuningSet, rows: Tensor, suffix: Suffix, *, seed: int
) -> dict[str, Any]:
    views = TRAINED if method == "partial" else ("squish", "mirror")
    support = Support(
        features={view: data.train[view][rows] for view in views},
        labels=data.train_labels[rows],
        groups=torch.arange(len(rows)),
        ids=[f"ex_{row}" for row in rows.tolist()],
        classes=data.classes,
    )
    task = Task(
        method=method,
        hyperparameters=hyperparameters.validate(method, {}),
        support=support,
        layout=spec().layout,
        backbone=BACKBONE,
        weights_sha256=engine().weights_sha256,
        seed=seed,
        tuning=Tuning(suffix=suffix) if method == "partial" else None,
    )
    started = time.perf_counter()
    fitted = fit.fit(task)
    seconds = time.perf_counter() - started
    with torch.inference_mode():
        said = scoring.probabilities(
            fitted.head,
            {view: data.test[view].float() for view in fitted.head.config.views},
            layout=spec().layout,
            suffix=lambda depth: tunable(BACKBONE, depth, None),
        )
    told = {"seconds": round(seconds, 1), **figures(said, data.test_labels)}
    return told if method == "auto" else {**told, "tuned": fitted.hyperparameters["tuned"]}


def figures(said: Tensor, labels: Tensor) -> dict[str, float]:
    """Balanced accuracy in per cent, and mean log loss."""
    right = (said.argmax(1) == labels).double()
    each = [float(right[labels == c].mean()) for c in labels.unique().tolist()]
    loss = -said[torch.arange(len(labels)), labels].clamp(min=1e-12).log().mean()
    return {"balanced_accuracy": round(100 * mean(each), 2), "log_loss": round(float(loss), 4)}


def main() -> None:
    """The cells that are asked for; those measured before are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=["clothing", "sign_digits", "bccd_cells"])
    parser.add_argument("--shots", nargs="*", type=int, default=[20, 50])
    parser.add_argument("--draws", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(2)
    path = RESULTS / "partial.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    for name in options.sets:
        data = load(name)
        least = int(torch.bincount(data.train_labels).min())
        for shots in (one for one in options.shots if one <= least):
            cells = [cell(data, shots=shots, seed=seed) for seed in range(options.draws)]
            quality = results.setdefault("quality", {})
            quality[f"{name}, {shots} a class"] = {
                "mean_gain": round(mean(one["gain"] for one in cells), 2),
                "draws": cells,
            }
            write(results)


def write(results: dict[str, Any]) -> None:
    """What is known so far."""
    record(
        "partial",
        figure="balanced test accuracy (%) of method partial beside auto on the same examples",
        method=METHOD,
        results=results,
    )


if __name__ == "__main__":
    main()
