"""Folders that transformers has saved are backbones: transformers, pyramids, and two towers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from app.core.errors import HeadstartError
from app.infra import weights
from tests.unit.worker.ml.backbones.sources.kit import agreeing, noise
from worker.ml.backbones.sources import image_network

VIT: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 64,
    "patch_size": 16,
}  # fmt: skip
TOWER = {**VIT, "intermediate_size": 64}
TEXT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "vocab_size": 64, "max_position_embeddings": 16,
}  # fmt: skip
SWIN = {
    "image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [1] * 4, "num_heads": [1, 1, 2, 2],
    "window_size": 2,
}  # fmt: skip
NETWORKS: dict[str, Callable[[], Any]] = {
    "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**TOWER)),
    "dinov2": lambda: hf.Dinov2Model(hf.Dinov2Config(**VIT)),
    "convnext": lambda: hf.ConvNextForImageClassification(
        hf.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, image_size=64)
    ),
    "swin": lambda: hf.SwinForImageClassification(hf.SwinConfig(**SWIN)),
    "beit": lambda: hf.BeitModel(hf.BeitConfig(**TOWER, use_relative_position_bias=True)),
    "clip": lambda: hf.CLIPModel(
        hf.CLIPConfig(vision_config=TOWER, text_config=TEXT, projection_dim=24)
    ),
    "siglip": lambda: hf.SiglipModel(hf.SiglipConfig(vision_config=TOWER, text_config=TEXT)),
}
TAUGHT = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 64, "width": 64}}


def saved(name: str, folder: Path) -> Any:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    network.save_pretrained(folder / name)
    (folder / name / "preprocessor_config.json").write_text(json.dumps(TAUGHT))
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_and_the_cpu_engine_agree(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path)
    assert weights.get(name, tmp_path).modality == "image"
    spec = agreeing(name, tmp_path)
    assert (spec.source, spec.input_size, spec.std) == ("hugging_face", 64, (0.25,) * 3)
    assert len({block.level for block in spec.layout}) >= 4


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_two_towers_pictures_lie_in_the_space_of_both(name: str, tmp_path: Path) -> None:
    network = saved(name, tmp_path)
    spec, pyramid = image_network(name, tmp_path)
    pixels = torch.from_numpy(noise(64))
    normal = (pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.inference_mode():
        told = network.get_image_features(pixel_values=normal)
        own = pyramid(pixels)[:, spec.last.start : spec.last.stop]
    theirs = told if isinstance(told, torch.Tensor) else told.pooler_output
    assert torch.allclose(own, theirs, atol=1e-5)


def test_a_vits_embedding_is_its_class_token(tmp_path: Path) -> None:
    network = saved("vit", tmp_path)
    spec, pyramid = image_network("vit", tmp_path)
    pixels = torch.from_numpy(noise(64))
    with torch.inference_mode():
        states = network.vit((pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25).last_hidden_state
        own = pyramid(pixels)[:, spec.last.start : spec.last.stop]
    assert torch.allclose(own, states[:, 0], atol=1e-5)


def test_missing_tensors_are_refused(tmp_path: Path) -> None:
    saved("dinov2", tmp_path)
    file = tmp_path / "dinov2" / "model.safetensors"
    state = load_file(file)
    state.pop(next(key for key in state if "norm1.weight" in key))
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(HeadstartError, match="missing") as caught:
        image_network("dinov2", tmp_path)
    assert caught.value.code == "weights_invalid"


def test_pixels_without_a_scale_are_refused(tmp_path: Path) -> None:
    saved("dinov2", tmp_path)
    (tmp_path / "dinov2" / "preprocessor_config.json").unlink()
    with pytest.raises(HeadstartError, match="image_mean") as caught:
        image_network("dinov2", tmp_path)
    assert caught.value.code == "weights_invalid"


def test_a_folder_without_tensors_says_what_to_put_there(tmp_path: Path) -> None:
    saved("dinov2", tmp_path)
    (tmp_path / "dinov2" / "model.safetensors").unlink()
    assert not weights.availability("dinov2", tmp_path).available
