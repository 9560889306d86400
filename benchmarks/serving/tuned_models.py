"""Many partly tuned models of one cut against one frozen model, from a JPEG to its scores.

The predictor's road without HTTP: decoding, the shared pass, each model's suffix, scores; every
picture of a batch is another model's. In pairs of turns, so that other work on the machine meets
both alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from app.core import hyperparameters
from app.core.modalities import TUNED_VIEWS, View, mapped
from benchmarks.record import record, shared_data, spread
from worker.answers.scoring import ServingHead, predict, serving_head
from worker.ml.artifact import HeadArtifact
from worker.ml.engines import load_engine
from worker.ml.engines.stream import embed_stream
from worker.ml.engines.tunable import tunable
from worker.ml.fit import fit
from worker.ml.heads import scoring
from worker.ml.images.views import decode_views
from worker.ml.tasks import Support, Task, Tuning

BACKBONE, SET = "efficientnet_lite0", "clothing"
PER_CLASS, CLASSES = 6, 4
METHOD = (
    "in one process with one thread for tensors: pictures of the set's test folder are decoded, "
    "embedded a batch at a time in the engine's usual precision and scored, each by another of N "
    "partly tuned models (whose tensors differ by noise), against the same pictures by one frozen "
    "model; turns alternate, and a ratio is of a pair of neighbours: seconds of CPU, which other "
    "work on the machine changes less than seconds of a clock"
)


class Road:
    """From a batch of JPEGs to scores."""

    def __init__(self, jpegs: Sequence[bytes]) -> None:
        self.engine: Any = load_engine(BACKBONE, None)
        self._jpegs, self._at = jpegs, 0

    def batch(self, heads: Sequence[ServingHead]) -> None:
        """One picture for each head."""
        views: Sequence[View] = ("squish",)
        side, width = self.engine.spec.input_size, self.engine.spec.width
        chosen = [self._jpegs[(self._at + n) % len(self._jpegs)] for n in range(len(heads))]
        self._at += len(heads)
        pixels = np.stack([decode_views(one, views, side)[0] for one in chosen])
        tuned = heads[0].live.tuned is not None
        rows = self.engine.embed_with_map(pixels) if tuned else self.engine.embed(pixels)
        features = {"squish": rows[:, :width], mapped("squish"): rows[:, width:]}
        read = {view: features[view] for view in heads[0].live.config.views}
        predict(read, heads, layout=self.engine.spec.layout)


def fitted(road: Road, method: str) -> HeadArtifact:
    """A head of a few pictures; of `partial` one whose network counts for half."""
    folder = shared_data() / SET / "train"
    classes = sorted(path.name for path in folder.iterdir())[:CLASSES]
    files = [sorted((folder / label).iterdir())[:PER_CLASS] for label in classes]
    blobs = [path.read_bytes() for own in files for path in own]
    depth = hyperparameters.METHODS[method].depth
    views = ["squish", *(map(mapped, TUNED_VIEWS) if depth else ())]
    rows = {view: _rows(road, blobs, view) for view in views}
    given = {"epochs": 1, "share": 0.5} if depth else {}
    task = Task(
        method=method,
        hyperparameters=hyperparameters.validate(method, given),
        support=Support(
            features=rows,
            labels=torch.arange(CLASSES).repeat_interleave(PER_CLASS),
            groups=torch.arange(CLASSES * PER_CLASS),
            ids=[f"ex_{row}" for row in range(CLASSES * PER_CLASS)],
            classes=classes,
        ),
        layout=road.engine.spec.layout,
        backbone=BACKBONE,
        tuning=Tuning(suffix=tunable(BACKBONE, "partial", None)) if depth else None,
    )
    return fit(task).head


def _rows(road: Road, blobs: Sequence[bytes], view: str) -> torch.Tensor:
    """[n, width] fp16."""
    made = [np.asarray(row, np.float16) for _, row in embed_stream(road.engine, blobs, view=view)]
    return torch.from_numpy(np.stack(made))


def like(artifact: HeadArtifact, seed: int) -> ServingHead:
    """A model of its own: the same but for noise in what is tuned."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {
        name: (value.float() + 1e-3 * torch.randn(value.shape, generator=draw)).half()
        if name.startswith("tuned.")
        else value
        for name, value in artifact.tensors.items()
    }
    live = scoring.load(
        replace(artifact, tensors=tensors), lambda depth: tunable(BACKBONE, depth, None)
    )
    return serving_head(live, weights_sha256="")


def seconds(work: Callable[[], None], batches: int) -> float:
    """Of CPU."""
    began = time.process_time()
    for _ in range(batches):
        work()
    return time.process_time() - began


def main() -> None:
    """As many models and pairs as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", type=int, default=[20, 100])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--batches", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted((shared_data() / SET / "test").glob("*/*"))[:200]
    road = Road([path.read_bytes() for path in files])
    size = road.engine.best_batch
    frozen = [serving_head(scoring.load(fitted(road, "auto")), weights_sha256="")] * size
    tuned = fitted(road, "partial")
    results: dict[str, Any] = {"precision": road.engine.precision, "batch": size}
    for count in options.models:
        models = [like(tuned, seed) for seed in range(count)]
        results[f"{count} models"] = _pairs(road, frozen, models, options)
    record(
        "tuned_models",
        figure="pictures a second of many partly tuned models over those of one frozen model",
        method=METHOD,
        results=results,
    )


@torch.inference_mode()
def _pairs(
    road: Road,
    frozen: Sequence[ServingHead],
    models: Sequence[ServingHead],
    options: argparse.Namespace,
) -> dict[str, Any]:
    turn, size = 0, len(frozen)

    def many() -> None:
        nonlocal turn
        turn += size
        road.batch([models[(turn + n) % len(models)] for n in range(size)])

    one = partial(road.batch, frozen)
    seconds(one, 1), seconds(many, 2)  # warm
    alone, shared = [], []
    for _ in range(options.pairs):
        alone.append(seconds(one, options.batches))
        shared.append(seconds(many, options.batches))
    pictures = size * options.batches
    return {
        "one_frozen_ms": spread([1000 * each / pictures for each in alone]),
        "many_tuned_ms": spread([1000 * each / pictures for each in shared]),
        "over_one_frozen": spread([a / b for a, b in zip(alone, shared, strict=True)]),
        "memory_mb_a_model": round(models[0].nbytes / 1e6, 1),
    }


if __name__ == "__main__":
    main()
