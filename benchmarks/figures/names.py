"""What names of classes are worth beside a few examples: alone, without, and as `auto` blends them.

On networks of two towers that are trained on the spot on drawn shapes, longer and shorter, so that
names know more or less (the one of the tests: no real one may be fetched).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import record, spread
from tests import tiny_clip
from worker.ml.artifact import Fit
from worker.ml.engines import load_engine
from worker.ml.features import label_names
from worker.ml.fit import fit
from worker.ml.heads import scoring
from worker.ml.tasks import Support, Task
from worker.tensors.label_embeddings import LabelEmbeddings, NameRows

TAUGHT = (60, 100, 160)
"""Steps of a training."""
PER_CLASS = (1, 2, 5)
NOISE, TESTED = 0.3, 40


class Shapes:
    """A network, what it makes of names, and pictures that it has not seen."""

    def __init__(self, folder: Path, steps: int) -> None:
        tiny_clip.save(tiny_clip.trained(steps=steps), folder / "clip")
        self.engine: Any = load_engine("clip", folder, device="cpu", precision="f32")
        prompts = label_names.PROMPTS["image"]
        found = LabelEmbeddings().of(self.engine, tiny_clip.NAMES, prompts, folder)
        assert found is not None
        self.names: NameRows = found
        self.test = self.support(TESTED, 77)

    def support(self, per_class: int, seed: int) -> Support:
        """So many pictures of each class."""
        labels = torch.arange(len(tiny_clip.NAMES)).repeat(per_class)
        pixels = tiny_clip.drawn(labels, seed, noise=NOISE).numpy()
        rows = self.engine.embed(pixels) if per_class else torch.zeros(0, self.engine.spec.width)
        return Support(
            features={"squish": torch.as_tensor(rows).half()},
            labels=labels,
            groups=torch.arange(len(labels)),
            ids=[f"ex_{seed}_{row}" for row in range(len(labels))],
            classes=list(tiny_clip.NAMES),
        )

    def accuracy(self, support: Support, **hyperparameters: Any) -> float:
        """Of a model of these examples, on the test set."""
        layout = self.engine.spec.layout
        task = Task(
            method="auto", hyperparameters=hyperparameters, support=support, layout=layout,
            backbone="clip", label_embeddings=self.names.rows, label_scale=self.names.scale,
        )  # fmt: skip
        made: Fit = fit(task)
        said = scoring.probabilities(made.head, self.test.features, layout=layout)
        return float((said.argmax(1) == self.test.labels).float().mean())


def measured(shapes: Shapes, per_class: int, draws: int) -> dict[str, Any]:
    """Over draws of the examples."""
    names = shapes.accuracy(shapes.support(0, 1))
    learned, blended = [], []
    for draw in range(draws):
        support = shapes.support(per_class, 10_000 * per_class + draw)
        learned.append(shapes.accuracy(support, label_names=False))
        blended.append(shapes.accuracy(support))
    best = max(names, sum(learned) / draws)
    return {
        "names_alone": round(names, 4),
        "examples_alone": spread(learned),
        "blend": spread(blended),
        "blend_over_the_better_of_both": round(sum(blended) / draws - best, 4),
    }


def main() -> None:
    """Every network at every number of examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws
    torch.set_num_threads(1)
    results: dict[str, Any] = {"other_load_on_the_machine": round(os.getloadavg()[0], 1)}
    for steps in TAUGHT:
        with tempfile.TemporaryDirectory() as folder:
            shapes = Shapes(Path(folder), steps)
            for per_class in PER_CLASS:
                name = f"taught {steps} steps, {per_class} a class"
                results[name] = measured(shapes, per_class, draws)
    record(
        "names",
        figure="accuracy of names alone, of examples alone and of their blend; the mean of the"
        " blend less the better of the two",
        method=f"9 classes of drawn shapes, {TESTED} test pictures each, {draws} draws of the"
        " examples; tiny CLIPs trained on the spot on other drawings of them",
        results=results,
    )


if __name__ == "__main__":
    main()
