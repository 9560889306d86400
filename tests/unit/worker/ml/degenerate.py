"""Sets of examples that are hard on the numerics of a fit, and what must hold of any fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from app.core import hyperparameters
from app.core.backbones import MINILM
from app.core.modalities import TUNED_VIEWS, Depth, mapped
from tests.unit.worker.ml.tasks import LAYOUT, WIDTH, task
from tests.unit.worker.ml.tiny_encoder import tiny_texts
from tests.unit.worker.ml.tiny_network import tiny_suffix
from worker.ml.artifact import Fit
from worker.ml.heads import scoring
from worker.ml.tasks import Support, Task, Tuning

Rows = Callable[[Tensor, int], Tensor]


def normal(count: int, width: int, seed: int = 0) -> Tensor:
    """[count, width]."""
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def one_feature_huge(labels: Tensor, width: int) -> Tensor:
    rows = normal(len(labels), width)
    rows[:, width // 2] = 65504
    return rows


def one_feature_differs(labels: Tensor, width: int) -> Tensor:
    """By one part in a thousand, another feature in each row."""
    rows = normal(1, width).abs().repeat(len(labels), 1)
    at = torch.arange(len(labels))
    rows[at, at % width] *= 1.001
    return rows


def every_second_zero(labels: Tensor, width: int) -> Tensor:
    return normal(len(labels), width) * (torch.arange(len(labels)) % 2)[:, None]


def copies_in_bulk(labels: Tensor, width: int) -> Tensor:
    return normal(len(labels), width)[torch.arange(len(labels)) // 10]


KINDS: Mapping[str, Rows] = {
    "near-constant": lambda labels, width: (
        normal(1, width).abs() + 1e-3 * normal(len(labels), width, 1)
    ),
    "frames of fixed cameras": lambda labels, width: (
        normal(2, width)[labels % 2] + 2e-3 * normal(len(labels), width, 1)
    ),
    "rank one": lambda labels, width: normal(len(labels), 1) * normal(1, width, 1),
    "all equal within a class": lambda labels, width: normal(int(labels.max()) + 1, width)[labels],
    "all equal": lambda labels, width: torch.ones(len(labels), width),
    "all zero": lambda labels, width: torch.zeros(len(labels), width),
    "the least numbers": lambda labels, width: 6e-8 * normal(len(labels), width),
    "the largest numbers": lambda labels, width: 65504 * normal(len(labels), width).sign(),
    "one feature huge": one_feature_huge,
    "one feature differs": one_feature_differs,
    "every second zero": every_second_zero,
    "copies in bulk": copies_in_bulk,
}

TEXTS: Mapping[str, Callable[[int, int], str]] = {
    "a template": lambda row, label: (
        f"Dear customer {row}, your order {1000 + row} is {('late', 'lost', 'here')[label % 3]}."
    ),
    "numbered words": lambda row, label: f"word{row // 2} number {row // 2} v{row % 2}",
    "single letters": lambda row, label: chr(97 + row % 26),
    "one text": lambda row, label: "the same",
    "one text a class": lambda row, label: f"the same {label}",
    "nearly one long text": lambda row, label: f"{'lorem ipsum ' * 40}{row}",
}


def support_of(
    rows: Rows, count: int, classes: int, *, views: Sequence[str] = ("squish",)
) -> Support:
    """`count` examples dealt to the classes, seen alike in every view but for rounding."""
    labels = torch.arange(count) % classes
    made = rows(labels, WIDTH)
    return _support(labels, {view: (made * (1 + place / 64)).clamp(-65504, 65504).half()
                             for place, view in enumerate(views)})  # fmt: skip


def with_maps(support: Support, rows: Rows, depth: Depth) -> Support:
    """The same examples, as degenerate at the cut of the tiny network as in their vectors."""
    maps = rows(support.labels, tiny_suffix(depth).cut.width)
    maps = maps.clamp(-65504, 65504).half() if depth == "partial" else maps.clamp(0, 255).byte()
    return replace(support, features={
        **support.features, **{mapped(view, depth): maps for view in TUNED_VIEWS}
    })  # fmt: skip


def image_task(support: Support, rows: Rows, method: str) -> Task:
    """A task of a method of pictures, with all that it needs to tune a network if it does."""
    depth = hyperparameters.METHODS[method].depth
    if depth is None:
        return task(support, method)
    tuned = task(with_maps(support, rows, depth), method, epochs=2)
    return replace(tuned, tuning=Tuning(suffix=tiny_suffix(depth), depth=depth))


def texts_of(rows: Rows, text: Callable[[int, int], str], count: int, classes: int) -> Support:
    """`count` texts dealt to the classes, with embeddings."""
    labels = torch.arange(count) % classes
    texts = [text(row, label) for row, label in enumerate(labels.tolist())]
    return _support(labels, {"text": rows(labels, MINILM.layout[-1].stop).half()}, texts)


def _support(
    labels: Tensor, features: Mapping[str, Tensor], texts: Sequence[str] | None = None
) -> Support:
    return Support(
        features=features,
        labels=labels,
        groups=torch.arange(len(labels)),
        ids=[f"ex_{row}" for row in range(len(labels))],
        classes=[f"class {c}" for c in range(int(labels.max()) + 1)],
        texts=texts,
    )


def text_task(support: Support, method: str = "auto") -> Task:
    """A task on the text backbone's layout; what tunes a network has a tiny one."""
    depth = hyperparameters.METHODS[method].depth
    return Task(
        method=method,
        hyperparameters={} if depth is None else {"epochs": 1},
        support=support,
        layout=MINILM.layout,
        backbone=MINILM.name,
        tuning=None if depth is None else Tuning(suffix=tiny_texts(depth), depth=depth),
    )


def assert_sound(found: Fit, support: Support) -> None:
    """Finite numbers, probabilities that sum to one, a head that loads, JSON."""
    told = [found.head.config.as_json(), found.evaluation, found.hyperparameters, found.advice]
    json.dumps(told, allow_nan=False)
    own = tiny_suffix if support.texts is None else tiny_texts
    scoring.load(found.head, own)
    layout = LAYOUT if support.texts is None else MINILM.layout
    said = scoring.probabilities(
        found.head, support.features, layout=layout, texts=support.texts, suffix=own
    )
    assert bool(said.isfinite().all())
    torch.testing.assert_close(said.sum(1), torch.ones(len(said)), atol=1e-4, rtol=0)
