"""Networks of many sources, laid into a folder of weights as their owners would lay them there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gguf

from tests import tiny_decoders
from tests.fixtures.unpacked import unpack
from tests.unit.worker.ml import tiny_encoder, tiny_image_folders

Lay = Callable[[Path, str], object]
"""Lays a network of this name into the folder."""
HUB = """
import torch
from torch import nn

def _part(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU())

def small(pretrained=True):
    torch.manual_seed(0)
    trunk = nn.Sequential(_part(3, 8), _part(8, 16), _part(16, 24))
    return nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5))
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and the source that reads it."""

    source: str
    lay: Lay


def of_transformers(folder: Path, name: str) -> None:
    """As its library saves one of the family."""
    tiny_image_folders.saved(name, folder)


def hub(folder: Path, name: str) -> None:
    """A folder whose code builds its network."""
    (folder / name).mkdir()
    (folder / name / "hubconf.py").write_text(HUB)


def packed(kind: str, folder: Path, name: str) -> None:
    """A Llama as ggml's own package writes it, its matrices in this format."""
    made = tiny_decoders.DECODERS["llama"]().eval()
    path = folder / f"{name}.gguf"
    tiny_decoders.gguf_file("llama", made, path, kind=gguf.GGMLQuantizationType[kind])


def encoder(folder: Path, name: str) -> None:
    """As its library saves one of the family."""
    tiny_encoder.saved(name, folder)


PICTURES: Mapping[str, Case] = {
    "siglip": Case(source="hugging_face", lay=of_transformers),
    "own-hub": Case(source="torch_hub", lay=hub),
    "keras-model": Case(source="graph", lay=unpack),
    "lite-int8": Case(source="graph", lay=unpack),
}
TEXTS: Mapping[str, Case] = {
    "distilbert": Case(source="own", lay=encoder),
    "llama-q4_0": Case(source="own", lay=partial(packed, "Q4_0")),
}
