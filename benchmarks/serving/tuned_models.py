"""Many partly tuned models of one cut against one frozen model, from a JPEG to its scores.

The predictor's road without HTTP: decoding, the shared pass, each model's suffix, scores; every
picture of a batch is another model's, as far as there are so many. All have their turn in every
round, so that other work on the machine meets them alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
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
    "model; in each round the frozen model and every N have a turn, and a ratio is of turns of one "
    "round: seconds of CPU, which other work on the machine changes less than seconds of a clock"
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
    """As many models and rounds as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", type=int, default=[1, 20, 100])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batches", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted((shared_data() / SET / "test").glob("*/*"))[:200]
    road = Road([path.read_bytes() for path in files])
    size = road.engine.best_batch
    frozen = [serving_head(scoring.load(fitted(road, "auto")), weights_sha256="")] * size
    tuned = fitted(road, "partial")
    models = [like(tuned, seed) for seed in range(max(options.models))]
    results: dict[str, Any] = {
        "precision": road.engine.precision,
        "batch": size,
        "memory_mb_a_model": round(models[0].nbytes / 1e6, 1),
        **_rounds(road, frozen, {count: models[:count] for count in options.models}, options),
    }
    record(
        "tuned_models",
        figure="pictures a second of many partly tuned models over those of one frozen model",
        method=METHOD,
        results=results,
    )


@torch.inference_mode()
def _rounds(
    road: Road,
    frozen: Sequence[ServingHead],
    models: Mapping[int, Sequence[ServingHead]],
    options: argparse.Namespace,
) -> dict[str, Any]:
    one, pictures = partial(road.batch, frozen), len(frozen) * options.batches
    works = {count: _Turns(road, some, len(frozen)) for count, some in models.items()}
    every: list[Callable[[], None]] = [one, *works.values()]
    for work in every:
        seconds(work, 1)  # warm
    alone: list[float] = []
    many: dict[int, list[float]] = {count: [] for count in models}
    for _ in range(options.rounds):
        alone.append(seconds(one, options.batches))
        for count, turns in works.items():
            many[count].append(seconds(turns, options.batches))
    told: dict[str, Any] = {"one_frozen_ms": spread([1000 * each / pictures for each in alone])}
    for count, those in many.items():
        told[f"{count} models"] = {
            "tuned_ms": spread([1000 * each / pictures for each in those]),
            "over_one_frozen": spread([a / b for a, b in zip(alone, those, strict=True)]),
        }
    return told


class _Turns:
    """A batch of as many pictures as `size`, for the models whose turn it is."""

    def __init__(self, road: Road, models: Sequence[ServingHead], size: int) -> None:
        self._road, self._models, self._size, self._turn = road, models, size, 0

    def __call__(self) -> None:
        self._turn += self._size
        those = [self._models[(self._turn + n) % len(self._models)] for n in range(self._size)]
        self._road.batch(those)


if __name__ == "__main__":
    main()
