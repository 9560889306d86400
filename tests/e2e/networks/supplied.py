"""Networks of every source, laid into a folder of weights as their owners would lay them there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gguf
import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from app.infra import weights
from tests import tiny_decoders
from tests.conftest import SHARED
from tests.fixtures.unpacked import unpack
from tests.unit.worker.ml import tiny_encoder, tiny_image_folders
from tests.unit.worker.ml.backbones.sources.test_graph_files import REAL, Small
from tests.unit.worker.ml.backbones.sources.test_torch_hub import CODE

Lay = Callable[[Path, str], object]
"""Lays a network of this name into the folder."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, the source that reads it, and the format in which its model is exported.

    `real` weights know pictures and texts; of the others every number is drawn.
    """

    source: str
    lay: Lay
    to: str = "openvino"
    real: bool = False


def installed(folder: Path, name: str) -> str | None:
    """A package has it; or what to do about that."""
    return weights.availability(name, None).reason


def shared(suffix: str, folder: Path, name: str) -> str | None:
    """A real file of the folder of weights."""
    file = SHARED / "weights" / f"{name}{suffix}"
    if not file.is_file():
        return f"weights not found: {file}"
    (folder / file.name).symlink_to(file)
    return None


def of_torchvision(folder: Path, name: str) -> None:
    """Tensors of the library's own network."""
    torch.manual_seed(0)
    save_file(models.get_model(name, weights=None).state_dict(), folder / f"{name}.safetensors")


def of_timm(folder: Path, name: str) -> None:
    """Tensors of the library's own network."""
    torch.manual_seed(0)
    save_file(timm.create_model(name).state_dict(), folder / f"{name}.safetensors")


def of_transformers(folder: Path, name: str) -> None:
    """As its library saves one of the family."""
    tiny_image_folders.saved(name, folder)


def hub(folder: Path, name: str) -> None:
    """A folder whose code builds its network."""
    (folder / name).mkdir()
    (folder / name / "hubconf.py").write_text(CODE)


def onnx(folder: Path, name: str) -> None:
    """As torch writes a network, with what its floats mean beside it."""
    torch.manual_seed(0)
    torch.onnx.export(
        Small(), (torch.zeros(1, 3, 32, 32),), folder / f"{name}.onnx", dynamo=False,
        input_names=["pixels"], output_names=["scores"],
        dynamic_axes={"pixels": {0: "pictures"}},
    )  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps({"mean": [0.5] * 3, "std": [0.5] * 3}))


def packed(kind: str, folder: Path, name: str) -> None:
    """A Llama as ggml's own package writes it, its matrices in this format."""
    torch.manual_seed(0)
    made = tiny_decoders.DECODERS["llama"]().eval()
    path = folder / f"{name}.gguf"
    tiny_decoders.gguf_file("llama", made, path, kind=gguf.GGMLQuantizationType[kind])
    tiny_decoders.say(folder, name, template="the {} was", pooling="last", layer=2)


def encoder(folder: Path, name: str) -> None:
    """As its library saves one of the family."""
    tiny_encoder.saved(name, folder)


def decoder(folder: Path, name: str) -> None:
    """As its library saves one of the family."""
    tiny_decoders.decoder(name, folder / name)


PICTURES: Mapping[str, Case] = {
    "own-hub": Case(source="torch_hub", lay=hub),
    "own-onnx": Case(source="graph", lay=onnx),
    "efficientnet_lite1": Case(source="own", lay=installed, real=True, to="onnx"),
    "mobilenet_v2": Case(source="own", lay=partial(shared, ".pth"), real=True),
    "squeezenet1_1": Case(source="own", lay=partial(shared, ".pth"), real=True, to="onnx"),
    "shufflenet_v2_x0_5": Case(source="torchvision", lay=of_torchvision),
    "test_vit": Case(source="timm", lay=of_timm, to="torch"),
    "vit": Case(source="hugging_face", lay=of_transformers, to="onnx"),
    "dinov2": Case(source="hugging_face", lay=of_transformers, to="onnx"),
    "convnext": Case(source="hugging_face", lay=of_transformers),
    "swin": Case(source="hugging_face", lay=of_transformers, to="onnx"),
    "clip": Case(source="hugging_face", lay=of_transformers, to="torch"),
    "siglip": Case(source="hugging_face", lay=of_transformers),
    **{name: Case(source="graph", lay=partial(shared, ".tflite"), real=True) for name in REAL},
    **{name: Case(source="graph", lay=unpack) for name in ("keras-model", "nhwc", "lite-int8")},
}
TEXTS: Mapping[str, Case] = {
    "all-MiniLM-L6-v2": Case(source="own", lay=installed, real=True),
    "multilingual-e5-small": Case(source="own", lay=installed, real=True),
    "SmolLM2-135M": Case(source="own", lay=installed, real=True),
    "distilbert": Case(source="own", lay=encoder),
    "gpt2": Case(source="own", lay=decoder),
    "qwen2": Case(source="own", lay=decoder),
    "llama-q4_0": Case(source="own", lay=partial(packed, "Q4_0")),
}
"""EfficientNet-Lite 0 and 2 go this road in tests of their own."""

SIDE, STRIPE = 112, 4

BLIND = """
import torch
from torch import nn

def blind(pretrained=True):
    torch.manual_seed(0)
    first, second = (nn.Conv2d(a, b, 1, stride=2) for a, b in ((3, 8), (8, 16)))
    last = nn.Conv2d(16, 24, 3, stride=2, padding=1)
    with torch.no_grad():
        second.weight.mul_(10)
        centre = last.weight[:, :, 1:2, 1:2].clone()
        last.weight.zero_()[:, :, 1:2, 1:2] = centre
    stages = [nn.Sequential(one, nn.ReLU()) for one in (first, second, last)]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5))
"""


def blind_to_direction(folder: Path, name: str) -> None:
    """A network that looks at single pixels, though its last layer could see their neighbours."""
    (folder / name).mkdir()
    (folder / name / "hubconf.py").write_text(BLIND)


def striped(*, per_class: int, seed: int) -> dict[str, bytes]:
    """`{path: PNG}` of stripes that lie or stand: pixel for pixel they are alike."""
    draw = np.random.default_rng(seed)
    made = {}
    for number in range(2 * per_class):
        label = ("lying", "standing")[number % 2]
        colours = draw.integers((0, 180), (60, 256), (3, 2)).T
        places = (np.arange(SIDE) + draw.integers(0, STRIPE * 2)) // STRIPE % 2
        pixels = np.broadcast_to(colours[places][:, None], (SIDE, SIDE, 3)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels if number % 2 == 0 else pixels.swapaxes(0, 1)).save(file, "PNG")
        made[f"{label}/{number}.png"] = file.getvalue()
    return made
