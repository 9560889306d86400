"""Image sets whose test pictures were also taken by another camera: darker, blurred, coarse."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from app.infra import weights
from benchmarks.quality.image_sets import BACKBONE, CACHE, engine
from benchmarks.record import shared_data
from worker.ml.engines.stream import embed_stream
from worker.ml.tasks import Support

SETS = ("bccd_cells", "clothing", "omniglot", "sign_digits", "grocery")
ELSEWHERE = frozenset({"grocery"})
"""Whose test pictures are from other shops and days than those of its training."""


def _darker(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(0.55)


def _blurred(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(0.012 * min(picture.size)))


def _coarse(picture: Image.Image) -> Image.Image:
    small = picture.resize([max(1, round(side / 2)) for side in picture.size])
    out = io.BytesIO()
    small.save(out, "JPEG", quality=15)
    return Image.open(out).convert("RGB")


def _nearer(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.crop(
        (round(0.15 * width), round(0.05 * height), round(0.95 * width), round(0.85 * height))
    )


DRIFTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "darker": _darker,
    "blurred": _blurred,
    "coarse": _coarse,
    "nearer": _nearer,
}
"""Brightness by 0.55; blur of 1.2% of the side; half the size at JPEG quality 15; a crop of
80%, off its middle.
"""


def _brighter(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(1.4)


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "flipped": ImageOps.flip,
    "brighter": _brighter,
    "cropped": _nearer,
}
"""As people augment before they upload: upside down, brighter by 1.4, a crop of 80%."""


@dataclass(frozen=True)
class Pictures:
    """One split: `features[view]` [n, D] fp16, labels and groups [n], the classes' names."""

    features: Mapping[str, Tensor]
    labels: Tensor
    groups: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def support(self, rows: Tensor, *, grouped: bool = False) -> Support:
        """Chosen rows as a support set, each its own group unless `grouped`."""
        return Support(
            features={view: x[rows] for view, x in self.features.items()},
            labels=self.labels[rows],
            groups=self.groups[rows] if grouped else torch.arange(len(rows)),
            ids=[f"ex_{row}" for row in rows.tolist()],
            classes=self.classes,
        )

    def take(self, rows: Tensor) -> Pictures:
        """The pictures `rows`."""
        features = {view: x[rows] for view, x in self.features.items()}
        return Pictures(features, self.labels[rows], self.groups[rows], self.classes)


@cache
def train(name: str) -> Pictures:
    """Of a set, with the views squish and mirror."""
    return _split(name, "train", ("squish", "mirror"), None)


@cache
def some(name: str, split: str, how: str | None, most: int) -> Pictures:
    """The first `most` pictures a class of a split, with the view squish, altered or not."""
    return _split(name, split, ("squish",), how, most)


@cache
def unseen(name: str, drift: str | None) -> Pictures:
    """Of a set, with the view squish, as it is or drifted."""
    return _split(name, "test", ("squish",), drift)


@cache
def tested(name: str) -> Pictures:
    """As `unseen`, with the views squish and mirror: to be learned from, too."""
    return _split(name, "test", ("squish", "mirror"), None)


def whole(name: str) -> Pictures:
    """Both splits of a set as one."""
    own, other = train(name), tested(name)
    features = {view: torch.cat([x, other.features[view]]) for view, x in own.features.items()}
    labels = torch.cat([own.labels, other.labels])
    return Pictures(features, labels, torch.cat(_groups_together(name, own, other)), own.classes)


def _groups_together(name: str, own: Pictures, other: Pictures) -> tuple[Tensor, Tensor]:
    """Groups of both splits, numbered together: by name where the set tells them."""
    told = shared_data() / name / "groups.json"
    if not told.exists():
        return own.groups, other.groups + len(own)
    groups, numbers = json.loads(told.read_text()), dict[str, int]()
    first, second = (
        torch.tensor([numbers.setdefault(groups.get(n, n), len(numbers)) for n in names(name, one)])
        for one in ("train", "test")
    )
    return first, second


def names(name: str, split: str) -> list[str]:
    """What `groups.json` calls a split's pictures, in their order."""
    folders = sorted((shared_data() / name / split).iterdir())
    return ["/".join(path.parts[-3:]) for own in folders for path in sorted(own.iterdir())]


@cache
def weights_sha256() -> str:
    """Of the installed weights, which the generic statistics belong to."""
    found = weights.find(BACKBONE, None)
    assert found is not None
    return weights.sha256(found.path)


def _split(
    name: str, split: str, views: tuple[str, ...], drift: str | None, most: int | None = None
) -> Pictures:
    folder = shared_data() / name / split
    classes = tuple(sorted(path.name for path in folder.iterdir()))
    files = [
        (c, path)
        for c, own in enumerate(classes)
        for path in sorted((folder / own).iterdir())[:most]
    ]
    paths = [path for _, path in files]
    key = f"{BACKBONE}.{name}.{split}" + (f".{most}" if most else "")
    features = {view: _embedded(paths, key, view, drift) for view in views}
    labels = torch.tensor([c for c, _ in files])
    return Pictures(features, labels, _groups(name, paths), classes)


def _groups(name: str, paths: list[Path]) -> Tensor:
    """By what the set tells of its pictures' sources; else each its own."""
    told = shared_data() / name / "groups.json"
    if not told.exists():
        return torch.arange(len(paths))
    groups = json.loads(told.read_text())
    named = ["/".join(path.parts[-3:]) for path in paths]
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(groups.get(n, n), len(numbers)) for n in named])


def _embedded(paths: list[Path], key: str, view: str, drift: str | None) -> Tensor:
    path = CACHE / (f"{key}.{view}.npy" if drift is None else f"{key}.{drift}.{view}.npy")
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(list(_rows(paths, view, drift))))
    return torch.from_numpy(np.load(path))


def _rows(paths: list[Path], view: str, drift: str | None) -> Iterator[np.ndarray]:
    for _, row in embed_stream(engine(), (_bytes(path, drift) for path in paths), view=view):
        if isinstance(row, Exception):
            raise row
        yield row.astype(np.float16)


def _bytes(path: Path, drift: str | None) -> bytes:
    if drift is None:
        return path.read_bytes()
    out = io.BytesIO()
    (DRIFTS | ALTERED)[drift](Image.open(path).convert("RGB")).save(out, "JPEG", quality=95)
    return out.getvalue()
