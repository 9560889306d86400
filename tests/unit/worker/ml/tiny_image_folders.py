"""Networks of pictures of a few thousand numbers, in folders as transformers saves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

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
    "dinov3": lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**TOWER, num_register_tokens=2)),
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
    """The family's network, which is now a backbone of its name in `folder`."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    network.save_pretrained(folder / name)
    (folder / name / "preprocessor_config.json").write_text(json.dumps(TAUGHT))
    return network
