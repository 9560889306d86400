"""What `setfit` brings beside `auto` and `lora` on the same few texts, and how long it takes.

Each cell is one draw of a set: every method is fitted on it, with the seed of the draw, and answers
texts of the test split through the head as it is stored. Few draws: an indication, no interval.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from app.core.modalities import PRIMARY
from benchmarks.quality import text_sets
from benchmarks.quality.deeper import Drawn, measured
from benchmarks.quality.draws import draw
from benchmarks.record import RESULTS, record
from worker.ml.features.label_names import readable
from worker.ml.tasks import Support

SETS = ("naijasenti_hau", "naijasenti_ibo", "banking77")
MOST_CLASSES = 10
"""Of a set: of more, as many from all over their alphabet."""
TESTED = 400
TUNING = ("lora", "setfit")
METHOD = (
    "worker.ml.fit.fit of every method on the same draw, one thread beside other work (seconds are "
    "of the fit alone, and as long as that other work made them); answers of the stored head to "
    f"{TESTED} texts of the test split, the same in every draw. Of a set of more than "
    f"{MOST_CLASSES} classes {MOST_CLASSES} are taken. `out_of_fold` is the gain in log loss by "
    "which the blend decides, with its 95% interval."
)


def drawn(name: str, backbone: str, shots: int, seed: int) -> Drawn:
    """A draw, and the texts that are answered; nothing else of the set is embedded."""
    engine = text_sets.engine(backbone)
    lines = {split: text_sets.lines_of(name, split) for split in ("train", "test")}
    classes = _classes({label for _, label in lines["train"]})
    train, test = ([one for one in lines[split] if one[1] in classes] for split in lines)
    train = [train[row] for row in draw(_labels(train, classes), shots, seed).tolist()]
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:TESTED]
    test = [test[row] for row in order.tolist()]

    def embedded(texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(engine.embed(texts)).half()

    support = Support(
        features={PRIMARY["text"]: embedded([text for text, _ in train])},
        labels=_labels(train, classes),
        groups=torch.arange(len(train)),
        ids=[f"ex_{place}" for place in range(len(train))],
        classes=classes,
        texts=[text for text, _ in train],
    )
    rows = embedded([text for text, _ in test]).float()
    return Drawn(
        backbone=backbone,
        layout=engine.spec.layout,
        weights_sha256=engine.weights_sha256,
        support=lambda _method: support,
        test=lambda _views: {PRIMARY["text"]: rows},
        test_texts=[text for text, _ in test],
        test_labels=_labels(test, classes),
        names=embedded([readable(label) for label in classes]).float(),
    )


def _classes(labels: set[str]) -> list[str]:
    every = max(1, len(labels) // MOST_CLASSES)
    return sorted(labels)[::every][:MOST_CLASSES]


def _labels(lines: Sequence[tuple[str, str]], classes: Sequence[str]) -> Tensor:
    return torch.tensor([classes.index(label) for _, label in lines])


def main() -> None:
    """The cells that are asked for; those measured before are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--backbone", default=text_sets.BACKBONE)
    parser.add_argument("--shots", nargs="*", type=int, default=[4, 8, 16])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="*", default=["auto", *TUNING])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in options.seeds:
        for shots in options.shots:
            for name in options.sets:
                data = drawn(name, options.backbone, shots, seed)
                for method in options.methods:
                    cell = f"{name}, {options.backbone}, {shots} a class"
                    note(cell, seed, method, measured(method, data, seed=seed))


def note(cell: str, seed: int, method: str, told: dict[str, Any]) -> None:
    """Beside what is known of the cell: draws by seed, and mean gains over those of `auto`."""
    path = RESULTS / "setfit.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    draws = results.setdefault(cell, {}).setdefault("draws", {})
    draws.setdefault(str(seed), {})[method] = told
    results[cell]["gain"] = {one: gains(list(draws.values()), one) for one in TUNING}
    record(
        "setfit",
        figure="balanced test accuracy (%) and log loss of methods that tune a text network by few "
        "examples, beside auto's",
        method=METHOD,
        results=results,
    )


def gains(draws: Sequence[dict[str, Any]], method: str) -> dict[str, Any] | None:
    """The mean gain of a method over `auto`, and of how many draws; None of none."""
    both = [(one[method], one["auto"]) for one in draws if {method, "auto"} <= one.keys()]
    if not both:
        return None
    points = mean(one["balanced_accuracy"] - other["balanced_accuracy"] for one, other in both)
    loss = mean(other["log_loss"] - one["log_loss"] for one, other in both)
    return {"points": round(points, 2), "log_loss": round(loss, 4), "draws": len(both)}


if __name__ == "__main__":
    main()
