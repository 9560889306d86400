"""What a warm fit takes by its number of classes: what estimates of a job's time go by.

Processor time, which a busy machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from app.core import backbones
from app.core.backbones import BackboneSpec
from app.core.manifest import Modality
from app.core.modalities import PRIMARY
from benchmarks.record import record
from worker.ml import fit
from worker.ml.tasks import Support, Task
from worker.trainer import tensor_process

OF: dict[Modality, BackboneSpec] = {"image": backbones.EFFICIENTNET, "text": backbones.MINILM}
SIZES: dict[Modality, tuple[tuple[int, int], ...]] = {
    "image": ((10, 1200), (100, 1200), (300, 1200), (10, 4000), (1000, 4000), (3000, 6000)),
    "text": ((10, 1200), (100, 1200), (300, 1200), (10, 4000), (1000, 4000)),
}
WORDS = 5_000
METHOD = (
    "worker.ml.fit.fit with `auto`, once, in a process with the environment of a job's, two "
    "threads, on drawn embeddings as wide as efficientnet_lite0's (two views) and MiniLM's: a "
    "class is a point of 40 dimensions and its examples lie around it; texts are ten drawn words, "
    "two of them of the class."
)


@dataclass(frozen=True)
class ManyClasses:
    """What one process measures."""

    modality: Modality
    classes: int
    examples: int


def measured(case: ManyClasses) -> float:
    """Processor seconds of the case in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.figures.many_classes", json.dumps(asdict(case))],
        env=tensor_process.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    print(case, done.stdout, file=sys.stderr)
    return float(done.stdout)


def run_case(case: ManyClasses) -> float:
    """Processor seconds of the fit."""
    task = drawn(case)
    started = time.process_time()
    fit.fit(task)
    return round(time.process_time() - started, 2)


def drawn(case: ManyClasses) -> Task:
    """The task of a case."""
    spec, generator = OF[case.modality], torch.Generator().manual_seed(0)
    labels = torch.arange(case.classes).repeat(case.examples // case.classes)
    width = spec.layout[-1].stop
    means = torch.randn(case.classes, 40, generator=generator)
    wide = torch.randn(40, width, generator=generator) / 6

    def rows() -> Tensor:
        near = means[labels] + 0.5 * torch.randn(len(labels), 40, generator=generator)
        return (near @ wide + 0.05 * torch.randn(len(labels), width, generator=generator)).half()

    text = case.modality == "text"
    views = (PRIMARY["text"],) if text else (PRIMARY["image"], "mirror")
    support = Support(
        features={view: rows() for view in views},
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[f"ex_{row}" for row in range(len(labels))],
        classes=[f"class {number}" for number in range(case.classes)],
        texts=_texts(labels, case.classes) if text else None,
    )
    return Task(
        method="auto",
        hyperparameters={},
        support=support,
        layout=spec.layout,
        backbone=spec.name,
        label_embeddings=means @ wide if text else None,
    )


def _texts(labels: Tensor, classes: int) -> list[str]:
    draw = random.Random(0)
    words = [f"w{number:x}" for number in range(WORDS)]
    own = [draw.sample(words, 3) for _ in range(classes)]
    return [" ".join(draw.sample(own[c], 2) + draw.choices(words, k=8)) for c in labels.tolist()]


def main() -> None:
    """Every case, or in a process of its own the one that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="?", type=json.loads, help="one case as JSON, to be printed")
    asked = parser.parse_args().case
    if asked is not None:
        print(run_case(ManyClasses(**asked)))
        return
    cases = [ManyClasses(one, *size) for one, sizes in SIZES.items() for size in sizes]
    results = [asdict(case) | {"seconds": measured(case)} for case in cases]
    record(
        "many_classes",
        figure="processor seconds of a warm fit by its number of classes",
        method=METHOD,
        results={"fits": results},
    )


if __name__ == "__main__":
    main()
