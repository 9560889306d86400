"""Real pictures tiled two by two, each with the union of their labels, as cached embeddings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.quality import image_sets
from benchmarks.record import shared_data
from worker.ml.engines.stream import embed_stream
from worker.ml.tasks import Support

SETS = ("clothing", "grocery", "omniglot", "sign_digits")
VIEWS = ("squish", "mirror", "large", "rot90", "rot180", "rot270")
TILES = {"train": 500, "test": 400}
SIDE = 224
PICTURES = 4


@dataclass(frozen=True)
class TiledPart:
    """One split's tiles: `features[view]` [n, D] fp16, marks [n, C] of zero and one."""

    features: dict[str, Tensor]
    marks: Tensor
    classes: tuple[str, ...]

    def support(self, rows: Tensor, views: tuple[str, ...]) -> Support:
        """Chosen tiles as a support set with chosen views."""
        return Support(
            features={view: self.features[view][rows] for view in views},
            labels=torch.zeros(len(rows), dtype=torch.long),
            groups=torch.arange(len(rows)),
            ids=[f"ex_{row}" for row in rows.tolist()],
            classes=self.classes,
            marks=self.marks[rows],
        )


def load(name: str) -> tuple[TiledPart, TiledPart]:
    """The tiles to train on, of every view, and those to judge by, of the one that predicts."""
    return _part(name, "train", VIEWS), _part(name, "test", VIEWS[:1])


def draw(marks: Tensor, positives: int, seed: int) -> Tensor:
    """Tiles [n] drawn at random until every class of marks [N, C] is on `positives` of them."""
    order = torch.randperm(len(marks), generator=torch.Generator().manual_seed(seed))
    enough = marks[order].long().cumsum(0).amin(1) >= positives
    return order[: int(enough.long().argmax()) + 1 if bool(enough.any()) else len(order)]


def _part(name: str, split: str, views: tuple[str, ...]) -> TiledPart:
    folder = shared_data() / name / split
    classes = tuple(sorted(path.name for path in folder.iterdir()))
    files = [sorted((folder / label).iterdir()) for label in classes]
    chosen = _chosen([len(own) for own in files], TILES[split])
    marks = torch.zeros(len(chosen), len(classes), dtype=torch.bool)
    for tile, pictures in enumerate(chosen):
        marks[tile, [label for label, _ in pictures]] = True
    key = f"{image_sets.BACKBONE}.tiled_{name}.{split}"
    tiles = [[files[label][at] for label, at in pictures] for pictures in chosen]
    features = {view: _embedded(tiles, key, view) for view in views}
    return TiledPart(features, marks, classes)


def _chosen(counts: list[int], tiles: int) -> list[list[tuple[int, int]]]:
    """(class, picture) of each tile's pictures: any class, and then any picture of it."""
    random = np.random.default_rng(0)
    labels = random.integers(0, len(counts), (tiles, PICTURES)).tolist()
    return [[(c, int(random.integers(0, counts[c]))) for c in own] for own in labels]


def _embedded(tiles: list[list[Path]], key: str, view: str) -> Tensor:
    path = image_sets.CACHE / f"{key}.{view}.npy"
    if not path.exists():
        image_sets.CACHE.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(list(_rows(tiles, view))))
    return torch.from_numpy(np.load(path))


def _rows(tiles: list[list[Path]], view: str) -> Iterator[np.ndarray]:
    for _, row in embed_stream(image_sets.engine(), map(_tile, tiles), view=view):
        if isinstance(row, Exception):
            raise row
        yield row.astype(np.float16)


def _tile(pictures: list[Path]) -> bytes:
    whole = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    for place, path in enumerate(pictures):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((SIDE, SIDE))
        whole.paste(small, (place % 2 * SIDE, place // 2 * SIDE))
    out = io.BytesIO()
    whole.save(out, "JPEG", quality=95)
    return out.getvalue()
