"""The real image sets as cached embeddings, every view, and few-shot draws from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.core.backbones import BackboneSpec
from benchmarks.record import shared_data
from worker.ml.engines import Engine, load_engine
from worker.ml.engines.stream import embed_stream
from worker.ml.tasks import Support

CACHE = Path(__file__).resolve().parents[2] / "data" / "benchmarks"
BACKBONE = "efficientnet_lite0"
SETS = ("bccd_cells", "clothing", "omniglot")
VIEWS = ("squish", "mirror", "large", "pad", "rot90", "rot180", "rot270")
SHOTS = (1, 2, 5, 10, 20)


@dataclass(frozen=True)
class Part:
    """One split of a set: `features[view]` [n, D] fp16, labels [n], the classes' names."""

    features: dict[str, Tensor]
    labels: Tensor
    classes: tuple[str, ...]

    def support(self, rows: Tensor, views: tuple[str, ...] = VIEWS) -> Support:
        """Chosen rows as a support set with chosen views."""
        return Support(
            features={view: self.features[view][rows] for view in views},
            labels=self.labels[rows],
            groups=torch.arange(len(rows)),
            ids=[f"ex_{row}" for row in rows.tolist()],
            classes=self.classes,
        )


@dataclass(frozen=True)
class ImageSet:
    """A set with its two splits."""

    name: str
    train: Part
    test: Part

    @property
    def shots(self) -> tuple[int, ...]:
        """The numbers of examples that every class has."""
        least = int(torch.bincount(self.train.labels).min())
        return tuple(shots for shots in SHOTS if shots <= least)


def load(name: str, backbone: str = BACKBONE, *, judged_by: tuple[str, ...] = VIEWS) -> ImageSet:
    """Embed what is not cached yet; a set is some minutes of a CPU the first time.

    Of the test split only what is `judged_by`.
    """
    wanted = {"train": VIEWS, "test": judged_by}
    return ImageSet(name, *(_part(name, split, backbone, own) for split, own in wanted.items()))


@cache
def engine(backbone: str = BACKBONE) -> Engine:
    """The engine that every set is embedded with, in f32 whatever this machine has units for."""
    return load_engine(backbone, shared_data().parent / "weights", precision="f32")


def spec(backbone: str = BACKBONE) -> BackboneSpec:
    """The backbone."""
    return engine(backbone).spec


def _part(name: str, split: str, backbone: str, views: tuple[str, ...]) -> Part:
    folder = shared_data() / name / split
    classes = tuple(sorted(path.name for path in folder.iterdir()))
    files = [sorted((folder / label).iterdir()) for label in classes]
    labels = torch.tensor([c for c, own in enumerate(files) for _ in own])
    flat = [path for own in files for path in own]
    features = {view: _embedded(flat, f"{backbone}.{name}.{split}", view) for view in views}
    return Part(features, labels, classes)


def _embedded(files: list[Path], key: str, view: str) -> Tensor:
    path = CACHE / f"{key}.{view}.npy"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(list(_rows(files, key.partition(".")[0], view))))
    return torch.from_numpy(np.load(path))


def _rows(files: list[Path], backbone: str, view: str) -> Iterator[np.ndarray]:
    stream = embed_stream(engine(backbone), (path.read_bytes() for path in files), view=view)
    for _, row in stream:
        if isinstance(row, Exception):
            raise row
        yield row.astype(np.float16)
