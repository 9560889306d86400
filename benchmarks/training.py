"""How long a warm fit takes on cached embeddings, and how that grows with the examples.

Each case is a process of its own with the environment of a job's: time is of `fit` as the job calls
it, evaluation, calibration, learning curve and advice included.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.core import backbones
from app.infra import weights
from benchmarks.quality import image_sets, text_sets
from benchmarks.record import RESULTS, record, spread
from worker.ml import fit
from worker.ml.tasks import Support, Task
from worker.trainer import tensor_process

PARTS = ("fits", "growth", "text")
SIZES = (2_000, 5_000, 10_000, 20_000, 50_000)
TEXT_SIZES = (1_000, 2_000, 5_000, 10_000, 20_000)
METHOD = (
    "worker.ml.fit.fit with `auto` in a process with the environment of a job's, two threads, on "
    "cached efficientnet_lite0 embeddings of clothing pictures and MiniLM embeddings of banking77. "
    "More examples than there are: each is a mixture of two of the same class, a share "
    "drawn from 0 to 0.5 of the second, the same in every view; of two texts, the first words of "
    "one and the last of the other. Memory: the most resident during the fit over what was "
    "resident before it, inputs held."
)


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    modality: str
    examples: int
    classes: int
    views: tuple[str, ...]
    rounds: int


def fits() -> dict[str, Any]:
    """What users wait for: the usual sizes, with all views and with the first alone."""
    found = {}
    for examples, classes in ((1_000, 10), (100, 5)):
        for name, views in (("all views", image_sets.VIEWS), ("squish alone", ("squish",))):
            case = Case("image", examples, classes, views, rounds=15)
            found[f"{examples} examples, {classes} classes, {name}"] = _seconds(measured(case))
    return found


def growth(modality: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds and memory by size, and the exponent of time over examples (least squares, logs)."""
    views = image_sets.VIEWS if modality == "image" else ("text",)
    classes = 10 if modality == "image" else 77
    rounds = {size: 3 if size < 5_000 else 1 for size in sizes}
    cases = [Case(modality, size, classes, views, rounds[size]) for size in sizes]
    table = {case.examples: measured(case) for case in cases}
    middle = {size: sorted(row["seconds"])[len(row["seconds"]) // 2] for size, row in table.items()}
    return {
        "classes": classes,
        "views": list(views),
        "sizes": {
            str(size): {"seconds": round(middle[size], 2), "memory_mb": row["memory_mb"]}
            for size, row in table.items()
        },
        "exponent": round(_exponent(middle), 2),
        "times_as_long": round(middle[sizes[-1]] / middle[sizes[0]], 1),
        "times_as_many": round(sizes[-1] / sizes[0], 1),
    }


def _seconds(row: dict[str, Any]) -> dict[str, Any]:
    return {"seconds": spread(row["seconds"]), "rounds": len(row["seconds"])}


def _exponent(seconds: dict[int, float]) -> float:
    """The slope of ln seconds on ln examples."""
    x = torch.tensor([math.log(size) for size in seconds], dtype=torch.double)
    y = torch.tensor([math.log(value) for value in seconds.values()], dtype=torch.double)
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())


def measured(case: Case) -> dict[str, Any]:
    """The case in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", "--case", json.dumps(asdict(case))],
        env=tensor_process.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(case, found, file=sys.stderr)
    return found


def run_case(case: Case) -> dict[str, Any]:
    """Seconds of each round after one that is not counted (of many examples, a small one)."""
    task = tasks(case)
    fit.fit(tasks(replace(case, examples=min(case.examples, 1_000))))
    before = _reset_peak()
    seconds = []
    for _ in range(case.rounds):
        started = time.perf_counter()
        fit.fit(task)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "memory_mb": round(_status("VmHWM") - before)}


def tasks(case: Case) -> Task:
    """The task of a case."""
    if case.modality == "text":
        return _text_task(case)
    data = image_sets.load("clothing").train
    chosen = torch.nonzero(data.labels < case.classes)[:, 0]
    if case.examples <= len(chosen):
        support = data.support(_spread_out(data.labels, case), case.views)
    else:
        first, second, share = _pairs(data.labels, chosen, case.examples)
        features = {view: _mixed(data.features[view], first, second, share) for view in case.views}
        support = _support(features, data.labels[first], data.classes)
    return Task(
        method="auto",
        hyperparameters={},
        support=replace(support, classes=data.classes[: case.classes]),
        layout=backbones.EFFICIENTNET.layout,
        backbone=image_sets.BACKBONE,
        weights_sha256=_weights_sha256(),
    )


def _text_task(case: Case) -> Task:
    data = text_sets.load("banking77")
    train = data.train
    if case.examples <= len(train.labels):
        order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))
        support = train.support(order[: case.examples])
    else:
        every = torch.arange(len(train.labels))
        first, second, share = _pairs(train.labels, every, case.examples)
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        support = replace(
            _support(
                {"text": _mixed(train.rows, first, second, share)},
                train.labels[first],
                train.classes,
            ),
            texts=[_joined(train.texts[a], train.texts[b]) for a, b in pairs],
        )
    return Task(
        method="auto",
        hyperparameters={},
        support=support,
        layout=text_sets.LAYOUT,
        backbone=text_sets.BACKBONE,
        label_embeddings=data.names.float(),
    )


def _support(features: dict[str, Tensor], labels: Tensor, classes: Sequence[str]) -> Support:
    return Support(
        features=features,
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[f"ex_{row}" for row in range(len(labels))],
        classes=classes,
    )


def _spread_out(labels: Tensor, case: Case) -> Tensor:
    """As many rows of each class."""
    each = case.examples // case.classes
    return torch.cat([torch.nonzero(labels == c)[:each, 0] for c in range(case.classes)])


def _pairs(labels: Tensor, chosen: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """First and second row [count] of the same class, and the second's share [count, 1]."""
    generator = torch.Generator().manual_seed(0)
    first = chosen[torch.randint(len(chosen), (count,), generator=generator)]
    second = first.clone()
    for c in labels[chosen].unique().tolist():
        own, places = torch.nonzero(labels == c)[:, 0], torch.nonzero(labels[first] == c)[:, 0]
        second[places] = own[torch.randint(len(own), (len(places),), generator=generator)]
    return first, second, torch.rand(count, 1, generator=generator) / 2


def _mixed(rows: Tensor, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """[n, D] fp16, made a chunk at a time."""
    found = torch.empty(len(first), rows.shape[1], dtype=torch.float16)
    for start in range(0, len(first), 2_000):
        part = slice(start, start + 2_000)
        found[part] = torch.lerp(rows[first[part]].float(), rows[second[part]].float(), share[part])
    return found


def _joined(first: str, second: str) -> str:
    head, tail = first.split(), second.split()
    return " ".join([*head[: len(head) // 2 + 1], *tail[len(tail) // 2 :]])


@cache
def _weights_sha256() -> str:
    found = weights.find(image_sets.BACKBONE, None)
    assert found is not None
    return weights.sha256(found.path)


def _reset_peak() -> float:
    """Megabytes resident now, from which the peak is counted on."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> float:
    """A size in megabytes from the kernel's account of this process."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found is not None
    return int(found.group(1)) / 1000


def main() -> None:
    """The parts that are asked for; those measured before are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--case", type=json.loads)
    options = parser.parse_args()
    if options.case:
        found = run_case(Case(**options.case | {"views": tuple(options.case["views"])}))
        print(json.dumps(found))
        return
    path = RESULTS / "training.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    if "fits" in options.only:
        results["fits"] = fits()
    if "growth" in options.only:
        results["growth"] = growth("image", SIZES)
    if "text" in options.only:
        results["text"] = growth("text", TEXT_SIZES)
    record(
        "training",
        figure="seconds of a warm fit with method auto, on two cores",
        method=METHOD,
        results={part: results[part] for part in PARTS if part in results},
    )


if __name__ == "__main__":
    main()
