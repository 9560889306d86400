"""Families whose networks pool nothing are read by their states; what cannot be read says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from app.core.backbones import BACKBONES
from app.core.errors import HeadstartError
from tests.unit.worker.ml.backbones.sources.kit import noise
from tests.unit.worker.ml.tiny_image_folders import TAUGHT, TOWER
from worker.ml.backbones.sources import image_network
from worker.ml.backbones.tapped import ReadNetwork, tapped

_STEPS: dict[str, Any] = {
    "hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "num_attention_heads": [1, 2, 2, 4],
}  # fmt: skip
_SIGLIP2 = {key: value for key, value in TOWER.items() if key != "image_size"}
FAMILIES: dict[str, Callable[[], Any]] = {
    "ijepa": lambda: hf.IJepaModel(hf.IJepaConfig(**TOWER)),
    "msn": lambda: hf.ViTMSNModel(hf.ViTMSNConfig(**TOWER)),
    "pvt2": lambda: hf.PvtV2Model(hf.PvtV2Config(**_STEPS, image_size=64)),
    "segformer": lambda: hf.SegformerModel(hf.SegformerConfig(**_STEPS)),
    "mae": lambda: hf.ViTMAEModel(hf.ViTMAEConfig(**TOWER)),
    "siglip2": lambda: hf.Siglip2VisionModel(hf.Siglip2VisionConfig(**_SIGLIP2, num_patches=16)),
}
EMBEDDING: dict[str, Callable[[Tensor], Tensor]] = {
    "ijepa": lambda states: states.mean(1),
    "msn": lambda states: states[:, 0],
    "pvt2": lambda states: states.mean((2, 3)),
    "segformer": lambda states: states.mean((2, 3)),
}


def _saved(family: str, folder: Path) -> Any:
    torch.manual_seed(0)
    network = FAMILIES[family]().eval()
    network.save_pretrained(folder / family)
    (folder / family / "preprocessor_config.json").write_text(json.dumps(TAUGHT))
    return network


@pytest.mark.parametrize("family", EMBEDDING)
def test_a_family_without_a_pooler_is_read_by_its_states(family: str, tmp_path: Path) -> None:
    network, pixels = _saved(family, tmp_path), torch.from_numpy(noise(64))
    spec, pyramid = image_network(family, tmp_path)
    with torch.inference_mode():
        given = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        states = network(pixel_values=given).last_hidden_state
        own = pyramid(pixels)[:, spec.last.start : spec.last.stop]
    assert torch.allclose(own, EMBEDDING[family](states), atol=1e-5)


@pytest.mark.parametrize(
    ("family", "why"),
    [("mae", "each time that it reads the same"), ("siglip2", "nor of any other")],
)
def test_what_cannot_be_read_says_why(family: str, why: str, tmp_path: Path) -> None:
    _saved(family, tmp_path)
    with pytest.raises(HeadstartError, match=why) as caught:
        image_network(family, tmp_path)
    assert caught.value.code == "weights_invalid"
    assert "choose a network of another family" in caught.value.message
    assert "input_size" not in caught.value.message


def test_another_side_is_named_where_it_is_read() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.Flatten(), nn.Linear(4 * 7 * 7, 3))
    read = ReadNetwork(net=net, input_size=64, mean=(0.5,) * 3, std=(0.5,) * 3, licence="MIT")
    with pytest.raises(HeadstartError, match=r"but of 112 x 112: write \{\"input_size\": 112\}"):
        tapped(BACKBONES["mobilenet_v2"], read)
