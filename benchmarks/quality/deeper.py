"""What each depth of tuning brings beside `auto` on the same draw, and how long it takes.

Each cell is one draw of a set: every method is fitted on it, with the seed of the draw, and answers
the whole test folder through the head as it is stored. Few draws: an indication, not an interval.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.core import hyperparameters
from app.core.backbones import Block
from app.core.modalities import PRIMARY, TUNED_VIEWS, Depth, mapped
from benchmarks.quality import image_sets, text_sets
from benchmarks.quality.draws import draw
from benchmarks.quality.partial import figures
from benchmarks.record import RESULTS, record, shared_data
from worker.ml import fit
from worker.ml.engines.readings import Asked, reading_of
from worker.ml.engines.stream import embed_stream
from worker.ml.engines.tunable import tunable
from worker.ml.heads import scoring
from worker.ml.tasks import Support, Task, Tuning

FROZEN_VIEWS = ("squish", "mirror")
METHOD = (
    "worker.ml.fit.fit of every method on the same draw, one thread at low priority beside other "
    "work (seconds are of the fit alone, and as long as that other work made them); answers of the "
    "stored head to the whole test folder. Pictures: efficientnet_lite0, frozen heads of the views "
    "squish and mirror; texts: all-MiniLM-L6-v2."
)


@dataclass(frozen=True)
class Drawn:
    """One draw and the whole test split, and what the task of a fit says of the backbone."""

    backbone: str
    layout: tuple[Block, ...]
    weights_sha256: str
    support: Callable[[str], Support]
    test: Callable[[Sequence[str]], dict[str, Tensor]]
    test_texts: Sequence[str] | None
    test_labels: Tensor
    names: Tensor | None = None


def of_pictures(name: str, shots: int, seed: int) -> Drawn:
    """Rows are made of the drawn pictures alone, and of the test folder."""
    folder, engine = shared_data() / name, image_sets.engine()
    classes = tuple(sorted(path.name for path in (folder / "train").iterdir()))
    train, labels = _files(name, "train", classes)
    test, test_labels = _files(name, "test", classes)
    rows = draw(labels, shots, seed)

    def support(method: str) -> Support:
        views = [*FROZEN_VIEWS, *_read_by(method)]
        return Support(
            features={view: _seen([train[row] for row in rows.tolist()], view) for view in views},
            labels=labels[rows],
            groups=torch.arange(len(rows)),
            ids=[f"ex_{row}" for row in rows.tolist()],
            classes=classes,
        )

    return Drawn(
        backbone=image_sets.BACKBONE,
        layout=engine.spec.layout,
        weights_sha256=engine.weights_sha256,
        support=support,
        test=lambda views: {view: _seen(test, view).float() for view in views},
        test_texts=None,
        test_labels=test_labels,
    )


def _read_by(method: str) -> list[str]:
    depth = hyperparameters.METHODS[method].depth
    return [] if depth is None else [mapped(view, depth) for view in TUNED_VIEWS]


def _files(name: str, split: str, classes: Sequence[str]) -> tuple[list[Any], Tensor]:
    own = [sorted((shared_data() / name / split / label).iterdir()) for label in classes]
    labels = torch.tensor([c for c, files in enumerate(own) for _ in files])
    return [path for files in own for path in files], labels


def _seen(files: Sequence[Any], view: str) -> Tensor:
    """[n, width]: fp16 of embeddings and activations, bytes of pixels."""
    engine, read = image_sets.engine(), (file.read_bytes() for file in files)
    if view.startswith("pixels:"):
        with reading_of(engine).rows(engine, read, Asked(view=view, threads=1)) as rows:
            return torch.from_numpy(np.stack([row.reshape(-1) for row in rows]))
    made = [row for _, row in embed_stream(engine, read, view=view, threads=1)]
    return torch.from_numpy(np.stack([np.asarray(row, np.float16) for row in made]))


def of_texts(name: str, shots: int, seed: int) -> Drawn:
    """From the cached embeddings of the whole set."""
    data = text_sets.load(name)
    rows = draw(data.train.labels, shots, seed)
    return Drawn(
        backbone=text_sets.BACKBONE,
        layout=text_sets.LAYOUT,
        weights_sha256=text_sets.engine().weights_sha256,
        support=lambda _method: data.train.support(rows),
        test=lambda _views: {PRIMARY["text"]: data.test.rows.float()},
        test_texts=data.test.texts,
        test_labels=data.test.labels,
        names=data.names.float(),
    )


def measured(method: str, data: Drawn, *, seed: int) -> dict[str, Any]:
    """A fit, and what its head says of the test folder."""
    depth = hyperparameters.METHODS[method].depth
    task = Task(
        method=method,
        hyperparameters=hyperparameters.validate(method, {}),
        support=data.support(method),
        layout=data.layout,
        backbone=data.backbone,
        weights_sha256=data.weights_sha256,
        seed=seed,
        label_embeddings=data.names,
        tuning=None if depth is None else Tuning(suffix=_suffix(data, depth), depth=depth),
    )
    started = time.perf_counter()
    fitted = fit.fit(task)
    seconds = time.perf_counter() - started
    with torch.inference_mode():
        said = scoring.probabilities(
            fitted.head,
            data.test(fitted.head.config.views),
            layout=data.layout,
            texts=data.test_texts,
            suffix=lambda deep: _suffix(data, deep),
        )
    told = {"seconds": round(seconds, 1), **figures(said, data.test_labels)}
    if depth is None:
        return told
    judged = fitted.evaluation["deeper"].get("log_loss")
    return {**told, "tuned": fitted.hyperparameters["tuned"], "out_of_fold": judged}


def _suffix(data: Drawn, depth: Depth) -> Any:
    return tunable(data.backbone, depth, None)


def main() -> None:
    """The cells that are asked for; those measured before are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="clothing")
    parser.add_argument("--shots", type=int, default=50)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--methods", nargs="*", default=["auto", "partial", "lora", "full"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    of = of_texts if options.set in text_sets.SETS else of_pictures
    for seed in options.seeds:
        data = of(options.set, options.shots, seed)
        for method in options.methods:
            note(f"{options.set}, {options.shots} a class", seed, method,
                 measured(method, data, seed=seed))  # fmt: skip


def note(cell: str, seed: int, method: str, told: dict[str, Any]) -> None:
    """Beside what is known of the cell: draws by seed, and mean gains over those of `auto`."""
    path = RESULTS / "deeper.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    draws = results.setdefault(cell, {}).setdefault("draws", {})
    draws.setdefault(str(seed), {})[method] = told
    results[cell]["gain"] = gains(list(draws.values()))
    record(
        "deeper",
        figure="balanced test accuracy (%) of methods that tune the network beside auto's",
        method=METHOD,
        results=results,
    )


def gains(draws: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of each method the mean gain in points over `auto`, and of how many draws."""
    told: dict[str, Any] = {}
    for method in ("partial", "lora", "full"):
        both = [one for one in draws if method in one and "auto" in one]
        if both:
            each = [one[method]["balanced_accuracy"] - one["auto"]["balanced_accuracy"]
                    for one in both]  # fmt: skip
            told[method] = {"points": round(mean(each), 2), "draws": len(both)}
    return told


if __name__ == "__main__":
    main()
